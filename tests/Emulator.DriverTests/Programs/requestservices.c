/* Requests, queues, memory lists, objects, the bus, and what old drivers call. */
#include "services.h"

/* ---- requests, lists of memory, objects ---- */

static NTSTATUS NTAPI Keep(PDEVICE_OBJECT device, PIRP irp, PVOID event)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
    KeSetEvent(event, 0, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static int Requests(PDEVICE_OBJECT device, EXTENSION *extension)
{
    const ULONG code = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
    ULONG in = 100, out = 0;
    IO_STATUS_BLOCK result;
    PIO_STACK_LOCATION next;
    KEVENT event;
    PIRP irp;

    /* 100 answers 4 bytes of its own; the bus knows no IOCTL. */
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(code, device, &in, 4, &out, 4, FALSE, &event, &result);
    CHECK(irp != NULL && IoCallDriver(device, irp) == STATUS_SUCCESS);
    CHECK(KeReadStateEvent(&event) != 0 && result.Status == STATUS_SUCCESS && result.Information == 4 && out == 0x600d);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(code, extension->Lower, &in, 4, &out, 4, FALSE, &event, &result);
    CHECK(IoCallDriver(extension->Lower, irp) == STATUS_INVALID_DEVICE_REQUEST && result.Status == STATUS_INVALID_DEVICE_REQUEST);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, extension->Lower, NULL, 0, NULL, &event, &result);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    IoGetNextIrpStackLocation(irp)->MinorFunction = IRP_MN_DEVICE_USAGE_NOTIFICATION;
    CHECK(IoCallDriver(extension->Lower, irp) == STATUS_NOT_SUPPORTED && KeReadStateEvent(&event) != 0);

    irp = IoAllocateIrp(extension->Lower->StackSize, FALSE);
    CHECK(irp != NULL);
    next = IoGetNextIrpStackLocation(irp);
    next->MajorFunction = IRP_MJ_POWER;
    next->MinorFunction = IRP_MN_QUERY_POWER;
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoSetCompletionRoutine(irp, Keep, &event, TRUE, TRUE, TRUE);
    CHECK(PoCallDriver(extension->Lower, irp) == STATUS_SUCCESS && KeReadStateEvent(&event) != 0 && irp->IoStatus.Status == STATUS_SUCCESS);
    IoReuseIrp(irp, STATUS_NOT_SUPPORTED);
    CHECK(irp->CurrentLocation == irp->StackCount + 1 && irp->IoStatus.Status == STATUS_NOT_SUPPORTED);
    IoFreeIrp(irp);
    return 0;
}

static int Memory(void)
{
    PVOID pool = ExAllocatePoolWithTag(NonPagedPool, 0x2345, 'tseT');
    PMDL mdl = IoAllocateMdl(pool, 0x2345, FALSE, FALSE, NULL), partial;

    CHECK(mdl != NULL && MmGetMdlByteCount(mdl) == 0x2345 && MmGetMdlVirtualAddress(mdl) == pool);
    MmBuildMdlForNonPagedPool(mdl);
    CHECK(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == pool);
    partial = IoAllocateMdl((PUCHAR)pool + 0x100, 0x10, FALSE, FALSE, NULL);
    IoBuildPartialMdl(mdl, partial, (PUCHAR)pool + 0x100, 0x10);
    CHECK(MmGetSystemAddressForMdlSafe(partial, NormalPagePriority) == (PUCHAR)pool + 0x100);
    IoFreeMdl(partial);
    IoFreeMdl(mdl);
    mdl = IoAllocateMdl(pool, 16, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
    CHECK(MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority) == pool);
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
    ExFreePool(pool);
    return 0;
}

static int Objects(EXTENSION *extension, PDEVICE_OBJECT device)
{
    PDEVICE_OBJECT found;
    PFILE_OBJECT file;
    WCHAR text[80];
    ULONG length, bus;

    CHECK(IoGetDeviceProperty(extension->Pdo, DevicePropertyBusNumber, sizeof bus, &bus, &length) == STATUS_SUCCESS && length == 4 && bus == 0);
    CHECK(IoGetDeviceProperty(extension->Pdo, DevicePropertyHardwareID, 4, text, &length) == STATUS_BUFFER_TOO_SMALL && length > 100);
    CHECK(IoGetDeviceProperty(extension->Pdo, DevicePropertyEnumeratorName, sizeof text, text, &length) == STATUS_SUCCESS && wcscmp(text, L"PCI") == 0);
    CHECK(IoRegisterDeviceInterface(extension->Pdo, &FAULTY_INTERFACE, NULL, &extension->Interface) == STATUS_SUCCESS);
    CHECK(IoGetDeviceObjectPointer(&extension->Interface, FILE_READ_DATA, &file, &found) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(IoSetDeviceInterfaceState(&extension->Interface, TRUE) == STATUS_SUCCESS);
    CHECK(IoGetDeviceObjectPointer(&extension->Interface, FILE_READ_DATA, &file, &found) == STATUS_SUCCESS && found == device);
    ObDereferenceObject(file);
    CHECK(IoSetDeviceInterfaceState(&extension->Interface, FALSE) == STATUS_SUCCESS);
    RtlFreeUnicodeString(&extension->Interface);
    found = IoGetAttachedDeviceReference(extension->Pdo);
    CHECK(found == device);
    ObDereferenceObject(found);
    return 0;
}

/* ---- the bus ---- */

static NTSTATUS Ask(PDEVICE_OBJECT device, PIO_STACK_LOCATION what, ULONG_PTR *information)
{
    IO_STATUS_BLOCK result;
    PIO_STACK_LOCATION next;
    KEVENT event;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, device, NULL, 0, NULL, &event, &result);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    next = IoGetNextIrpStackLocation(irp);
    next->MinorFunction = what->MinorFunction;
    next->Parameters = what->Parameters;
    if (IoCallDriver(device, irp) == STATUS_PENDING) KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    *information = result.Information;
    return result.Status;
}

static int Bus(EXTENSION *extension)
{
    static const GUID standard = { 0x496b8280, 0x6f25, 0x11d0, { 0xbe, 0xaf, 0x08, 0x00, 0x2b, 0xe2, 0x09, 0x2f } };
    BUS_INTERFACE_STANDARD bus;
    DEVICE_DESCRIPTION description = { 0 };
    PDMA_ADAPTER adapter;
    ULONG registers = 0;
    IO_STACK_LOCATION what;
    ULONG_PTR information;
    UCHAR header[64];
    USHORT command;

    RtlZeroMemory(&what, sizeof what);
    what.MinorFunction = IRP_MN_READ_CONFIG;
    what.Parameters.ReadWriteConfig.WhichSpace = PCI_WHICHSPACE_CONFIG;
    what.Parameters.ReadWriteConfig.Buffer = header;
    what.Parameters.ReadWriteConfig.Length = sizeof header;
    CHECK(Ask(extension->Lower, &what, &information) == STATUS_SUCCESS && information == sizeof header);
    CHECK(*(ULONG *)header == 0x50571234);

    RtlZeroMemory(&what, sizeof what);
    what.MinorFunction = IRP_MN_QUERY_ID;
    what.Parameters.QueryId.IdType = BusQueryDeviceID;
    CHECK(Ask(extension->Lower, &what, &information) == STATUS_SUCCESS && wcsncmp((WCHAR *)information, L"PCI\\VEN_1234&DEV_5057&SUBSYS_", 29) == 0);
    ExFreePool((PVOID)information);

    RtlZeroMemory(&what, sizeof what);
    what.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS;
    what.Parameters.QueryDeviceRelations.Type = TargetDeviceRelation;
    CHECK(Ask(extension->Lower, &what, &information) == STATUS_SUCCESS);
    CHECK(((PDEVICE_RELATIONS)information)->Count == 1 && ((PDEVICE_RELATIONS)information)->Objects[0] == extension->Pdo);
    ObDereferenceObject(extension->Pdo);
    ExFreePool((PVOID)information);

    RtlZeroMemory(&what, sizeof what);
    what.MinorFunction = IRP_MN_QUERY_BUS_INFORMATION;
    CHECK(Ask(extension->Lower, &what, &information) == STATUS_SUCCESS && ((PPNP_BUS_INFORMATION)information)->LegacyBusType == PCIBus);
    ExFreePool((PVOID)information);

    RtlZeroMemory(&what, sizeof what);
    what.MinorFunction = IRP_MN_QUERY_INTERFACE;
    what.Parameters.QueryInterface.InterfaceType = &standard;
    what.Parameters.QueryInterface.Size = sizeof bus;
    what.Parameters.QueryInterface.Version = 1;
    what.Parameters.QueryInterface.Interface = (PINTERFACE)&bus;
    CHECK(Ask(extension->Lower, &what, &information) == STATUS_SUCCESS && bus.Size == sizeof bus && bus.Version == 1);
    CHECK(bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &command, 4, 2) == 2 && (command & 6) == 6);
    command |= 0x400;
    CHECK(bus.SetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &command, 4, 2) == 2);
    command = 0;
    CHECK(bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &command, 4, 2) == 2 && (command & 0x400) != 0);
    description.Version = DEVICE_DESCRIPTION_VERSION;
    description.Master = description.ScatterGather = TRUE;
    adapter = bus.GetDmaAdapter(bus.Context, &description, &registers);
    CHECK(adapter != NULL && registers > 0);
    adapter->DmaOperations->PutDmaAdapter(adapter);
    bus.InterfaceDereference(bus.Context);
    return 0;
}

/* ---- cancel-safe queues ---- */

typedef struct { IO_CSQ Csq; LIST_ENTRY List; KSPIN_LOCK Lock; ULONG Cancelled; } QUEUE;

#define QUEUE_OF(csq) CONTAINING_RECORD(csq, QUEUE, Csq)

static void NTAPI CsqInsert(PIO_CSQ csq, PIRP irp) { InsertTailList(&QUEUE_OF(csq)->List, &irp->Tail.Overlay.ListEntry); }
static void NTAPI CsqRemove(PIO_CSQ csq, PIRP irp)
{
    UNREFERENCED_PARAMETER(csq);
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI CsqPeek(PIO_CSQ csq, PIRP irp, PVOID context)
{
    PLIST_ENTRY next = irp == NULL ? QUEUE_OF(csq)->List.Flink : irp->Tail.Overlay.ListEntry.Flink;

    UNREFERENCED_PARAMETER(context);
    return next == &QUEUE_OF(csq)->List ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}

static void NTAPI CsqAcquire(PIO_CSQ csq, PKIRQL irql) { KeAcquireSpinLock(&QUEUE_OF(csq)->Lock, irql); }
static void NTAPI CsqRelease(PIO_CSQ csq, KIRQL irql) { KeReleaseSpinLock(&QUEUE_OF(csq)->Lock, irql); }
static void NTAPI CsqCancelled(PIO_CSQ csq, PIRP irp) { QUEUE_OF(csq)->Cancelled = (ULONG)irp->IoStatus.Information; }

static int CancelSafe(void)
{
    IO_CSQ_IRP_CONTEXT context;
    PIRP irps[3];
    QUEUE queue;
    ULONG i;

    InitializeListHead(&queue.List);
    KeInitializeSpinLock(&queue.Lock);
    queue.Cancelled = 0;
    CHECK(IoCsqInitialize(&queue.Csq, CsqInsert, CsqRemove, CsqPeek, CsqAcquire, CsqRelease, CsqCancelled) == STATUS_SUCCESS);
    for (i = 0; i < 3; i++) {
        irps[i] = IoAllocateIrp(1, FALSE);
        IoSetNextIrpStackLocation(irps[i]);
        irps[i]->IoStatus.Information = i + 1;
        IoCsqInsertIrp(&queue.Csq, irps[i], i == 1 ? &context : NULL);
        CHECK(irps[i]->CancelRoutine != NULL && (IoGetCurrentIrpStackLocation(irps[i])->Control & SL_PENDING_RETURNED) != 0);
    }
    CHECK(IoCancelIrp(irps[2]) && queue.Cancelled == 3 && KeGetCurrentIrql() == PASSIVE_LEVEL);
    CHECK(IoCsqRemoveIrp(&queue.Csq, &context) == irps[1] && IoCsqRemoveIrp(&queue.Csq, &context) == NULL);
    CHECK(IoCsqRemoveNextIrp(&queue.Csq, NULL) == irps[0] && irps[0]->CancelRoutine == NULL && IoCsqRemoveNextIrp(&queue.Csq, NULL) == NULL);
    for (i = 0; i < 3; i++) IoFreeIrp(irps[i]);
    return 0;
}

/* ---- odds and ends ---- */

/* Of ntifs.h. */
__declspec(dllimport) BOOLEAN NTAPI RtlCreateUnicodeString(PUNICODE_STRING string, PCWSTR text);

static BOOLEAN NTAPI Isr(PKINTERRUPT interrupt, PVOID context)
{
    UNREFERENCED_PARAMETER(interrupt);
    UNREFERENCED_PARAMETER(context);
    return FALSE;
}

static int Others(PDEVICE_OBJECT device, EXTENSION *extension)
{
    PDEVICE_OBJECT another;
    KLOCK_QUEUE_HANDLE handle;
    UNICODE_STRING text;
    KSPIN_LOCK lock;
    ULONG id = 0;
    PVOID own;

    CHECK(IoGetDriverObjectExtension(device->DriverObject, Others) == NULL);
    CHECK(IoAllocateDriverObjectExtension(device->DriverObject, Others, 16, &own) == STATUS_SUCCESS);
    CHECK(IoGetDriverObjectExtension(device->DriverObject, Others) == own);
    CHECK(HalGetBusDataByOffset(PCIConfiguration, 0, 1, &id, 0, 4) == 4 && id == 0x50571234);
    CHECK(HalGetBusDataByOffset(PCIConfiguration, 0, 9, &id, 0, 4) == 2 && (id & 0xffff) == 0xffff);
    CHECK(RtlCreateUnicodeString(&text, L"made") && text.Length == 8);
    RtlFreeUnicodeString(&text);
    KeInitializeSpinLock(&lock);
    KeAcquireInStackQueuedSpinLock(&lock, &handle);
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&handle);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL && IoIsWdmVersionAvailable(1, 0x10));
    CHECK(IoConnectInterrupt(&extension->Interrupt, Isr, extension, NULL, extension->Vector, 8, 8, LevelSensitive, TRUE, 1, FALSE)
        == STATUS_SUCCESS);
    CHECK(KeAcquireInterruptSpinLock(extension->Interrupt) == PASSIVE_LEVEL && KeGetCurrentIrql() == 8);
    KeReleaseInterruptSpinLock(extension->Interrupt, PASSIVE_LEVEL);
    IoDisconnectInterrupt(extension->Interrupt);
    /* Too much is an answer, not a crash. */
    CHECK(IoCreateDevice(device->DriverObject, 0xfffffff0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &another) == STATUS_INSUFFICIENT_RESOURCES);
    return 0;
}

/* ---- pageable sections ---- */

void Paged(void);
__attribute__((section("PAGE"), noinline)) void Paged(void)
{
    __asm__ volatile ("");
}

static int Sections(void)
{
    PVOID handle = MmLockPagableDataSection((PVOID)(ULONG_PTR)Paged);
    KSPIN_LOCK lock;
    KIRQL irql;

    CHECK(handle != NULL);
    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &irql);
    Paged();
    KeReleaseSpinLock(&lock, irql);
    MmUnlockPagableImageSection(handle);
    Paged();
    return 0;
}

/* ---- StartIo ---- */

static ULONG Order;

static void NTAPI StartIo(PDEVICE_OBJECT device, PIRP irp)
{
    Order = Order * 10 + (irp == device->CurrentIrp && KeGetCurrentIrql() == DISPATCH_LEVEL ? (ULONG)irp->IoStatus.Information : 9);
}

static int Packets(PDEVICE_OBJECT device)
{
    PIRP irps[3];
    ULONG i;

    device->DriverObject->DriverStartIo = StartIo;
    Order = 0;
    for (i = 0; i < 3; i++) {
        irps[i] = IoAllocateIrp(1, FALSE);
        irps[i]->IoStatus.Information = i + 1;
        IoStartPacket(device, irps[i], NULL, NULL);
    }
    CHECK(Order == 1 && device->CurrentIrp == irps[0]);
    CHECK(KeRemoveEntryDeviceQueue(&device->DeviceQueue, &irps[1]->Tail.Overlay.DeviceQueueEntry));
    IoStartNextPacket(device, FALSE);
    CHECK(Order == 13 && device->CurrentIrp == irps[2]);
    IoStartNextPacket(device, FALSE);
    CHECK(Order == 13 && device->CurrentIrp == NULL);
    for (i = 0; i < 3; i++) IoFreeIrp(irps[i]);
    return 0;
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what)
{
    switch (what) {
    case 8: return Answer(irp, Requests(device, extension));
    case 9: return Answer(irp, Memory());
    case 10: return Answer(irp, Objects(extension, device));
    case 11: return Answer(irp, Packets(device));
    case 12: return Answer(irp, Bus(extension));
    case 13: return Answer(irp, Sections());
    case 14: return Answer(irp, CancelSafe());
    case 15: return Answer(irp, Others(device, extension));
    case 16:
        /* The bus knows no IOCTL; the request is this driver's again all the same. */
        IoForwardIrpSynchronously(extension->Lower, irp);
        return Answer(irp, irp->IoStatus.Status == STATUS_INVALID_DEVICE_REQUEST ? 0 : __LINE__);
    case 100: return Answer(irp, 0x600d);
    default: return Finish(irp, STATUS_INVALID_PARAMETER);
    }
}
