/* What NT offers, called as drivers call it. Each test gives back the line of the first wrong answer, or 0. */
#include "skeleton.h"

/* As ntoskrnl.exe exports them; the compiler's own headers would take others. */
__declspec(dllimport) int __cdecl sprintf(char *out, const char *format, ...);
__declspec(dllimport) int __cdecl swprintf(WCHAR *out, const WCHAR *format, ...);
__declspec(dllimport) int __cdecl _snprintf(char *out, size_t count, const char *format, ...);
__declspec(dllimport) int __cdecl _stricmp(const char *a, const char *b);
__declspec(dllimport) int __cdecl wcscmp(const WCHAR *a, const WCHAR *b);
__declspec(dllimport) int __cdecl wcsncmp(const WCHAR *a, const WCHAR *b, size_t count);
__declspec(dllimport) size_t __cdecl wcslen(const WCHAR *a);
__declspec(dllimport) int __cdecl strcmp(const char *a, const char *b);
__declspec(dllimport) int __cdecl strncmp(const char *a, const char *b, size_t count);
__declspec(dllimport) char *__cdecl strchr(const char *a, int character);
__declspec(dllimport) char *__cdecl strstr(const char *a, const char *b);
__declspec(dllimport) size_t __cdecl strlen(const char *a);

#define CHECK(right) do { if (!(right)) return __LINE__; } while (0)

static LARGE_INTEGER Relative(LONG milliseconds)
{
    LARGE_INTEGER time;

    time.QuadPart = -10000 * (LONGLONG)milliseconds;
    return time;
}

/* ---- waits ---- */

static int Waits(void)
{
    LARGE_INTEGER none = Relative(0), little = Relative(5), before, after;
    KWAIT_BLOCK blocks[3];
    PVOID objects[3];
    KSEMAPHORE semaphore;
    KMUTEX mutex;
    KEVENT once, always;

    KeInitializeEvent(&once, SynchronizationEvent, TRUE);
    KeInitializeEvent(&always, NotificationEvent, FALSE);
    CHECK(KeWaitForSingleObject(&once, Executive, KernelMode, FALSE, &none) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&once, Executive, KernelMode, FALSE, &none) == STATUS_TIMEOUT);
    CHECK(KeSetEvent(&always, 0, FALSE) == 0 && KeSetEvent(&always, 0, FALSE) != 0);
    CHECK(KeReadStateEvent(&always) != 0 && KeResetEvent(&always) != 0 && KeReadStateEvent(&always) == 0);
    KeInitializeSemaphore(&semaphore, 1, 3);
    CHECK(KeWaitForSingleObject(&semaphore, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&semaphore, Executive, KernelMode, FALSE, &little) == STATUS_TIMEOUT);
    CHECK(KeReleaseSemaphore(&semaphore, 0, 2, FALSE) == 0 && KeReadStateSemaphore(&semaphore) == 2);
    KeInitializeMutex(&mutex, 0);
    CHECK(KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeReleaseMutex(&mutex, FALSE) == -1 && KeReleaseMutex(&mutex, FALSE) == 0 && KeReadStateMutex(&mutex) == 1);

    objects[0] = &once;
    objects[1] = &always;
    objects[2] = &semaphore;
    CHECK(KeWaitForMultipleObjects(3, objects, WaitAny, Executive, KernelMode, FALSE, &none, blocks) == STATUS_WAIT_0 + 2);
    CHECK(KeReadStateSemaphore(&semaphore) == 1);
    CHECK(KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, &little, blocks) == STATUS_TIMEOUT);
    CHECK(KeReadStateSemaphore(&semaphore) == 1);
    KeSetEvent(&once, 0, FALSE);
    KeSetEvent(&always, 0, FALSE);
    CHECK(KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, NULL, blocks) == STATUS_SUCCESS);
    CHECK(KeReadStateSemaphore(&semaphore) == 0 && KeReadStateEvent(&once) == 0 && KeReadStateEvent(&always) != 0);

    before = KeQueryPerformanceCounter(NULL);
    KeDelayExecutionThread(KernelMode, FALSE, &little);
    after = KeQueryPerformanceCounter(NULL);
    CHECK(after.QuadPart - before.QuadPart == 50000);
    KeStallExecutionProcessor(50);
    CHECK(KeQueryPerformanceCounter(&before).QuadPart - after.QuadPart == 500 && before.QuadPart == 10000000);
    return 0;
}

/* ---- timers ---- */

static volatile LONG Ticks;

static void NTAPI Tick(PKDPC dpc, PVOID context, PVOID low, PVOID high)
{
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(low);
    UNREFERENCED_PARAMETER(high);
    if (KeGetCurrentIrql() == DISPATCH_LEVEL) InterlockedIncrement((LONG *)context);
}

static void NTAPI DeviceTick(PDEVICE_OBJECT device, PVOID context)
{
    UNREFERENCED_PARAMETER(device);
    InterlockedIncrement((LONG *)context);
}

static int Timers(PDEVICE_OBJECT device)
{
    LARGE_INTEGER soon = Relative(10), later = Relative(35), now;
    KTIMER timer;
    KDPC dpc;

    Ticks = 0;
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    KeInitializeDpc(&dpc, Tick, (PVOID)&Ticks);
    CHECK(!KeSetTimer(&timer, soon, &dpc) && KeSetTimer(&timer, soon, &dpc));
    CHECK(KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(!KeReadStateTimer(&timer) && !KeCancelTimer(&timer));
    KeSetTimerEx(&timer, soon, 10, &dpc);
    KeDelayExecutionThread(KernelMode, FALSE, &later);
    CHECK(Ticks == 4 && KeCancelTimer(&timer));
    KeQuerySystemTime(&now);
    now.QuadPart += 100000;
    KeSetTimer(&timer, now, NULL);
    CHECK(KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, &later) == STATUS_SUCCESS);

    Ticks = 0;
    CHECK(IoInitializeTimer(device, DeviceTick, (PVOID)&Ticks) == STATUS_SUCCESS);
    IoStartTimer(device);
    later = Relative(2500);
    KeDelayExecutionThread(KernelMode, FALSE, &later);
    IoStopTimer(device);
    KeDelayExecutionThread(KernelMode, FALSE, &later);
    CHECK(Ticks == 2);
    return 0;
}

/* ---- work items and threads ---- */

typedef struct { KEVENT Go, Done; LONG Count; PVOID Thread; } SHARED;

static void NTAPI Work(PDEVICE_OBJECT device, PVOID context)
{
    SHARED *shared = context;

    if (device->Type == IO_TYPE_DEVICE && KeGetCurrentIrql() == PASSIVE_LEVEL && KeGetCurrentThread() != shared->Thread) shared->Count++;
    /* It waits for whoever waits for it. */
    KeSetEvent(&shared->Done, 0, FALSE);
    KeWaitForSingleObject(&shared->Go, Executive, KernelMode, FALSE, NULL);
    shared->Count++;
    KeSetEvent(&shared->Done, 0, FALSE);
}

static void NTAPI Loop(PVOID context)
{
    SHARED *shared = context;

    while (shared->Count < 3) {
        KeWaitForSingleObject(&shared->Go, Executive, KernelMode, FALSE, NULL);
        shared->Count++;
        KeSetEvent(&shared->Done, 0, FALSE);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static int Threads(PDEVICE_OBJECT device)
{
    LARGE_INTEGER little = Relative(5);
    PIO_WORKITEM item = IoAllocateWorkItem(device);
    SHARED shared;
    HANDLE handle;
    PVOID thread;
    int i;

    KeInitializeEvent(&shared.Go, SynchronizationEvent, FALSE);
    KeInitializeEvent(&shared.Done, SynchronizationEvent, FALSE);
    shared.Count = 0;
    shared.Thread = KeGetCurrentThread();
    IoQueueWorkItem(item, Work, DelayedWorkQueue, &shared);
    CHECK(shared.Count == 0);
    CHECK(KeWaitForSingleObject(&shared.Done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS && shared.Count == 1);
    KeSetEvent(&shared.Go, 0, FALSE);
    CHECK(KeWaitForSingleObject(&shared.Done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS && shared.Count == 2);
    IoFreeWorkItem(item);

    shared.Count = 0;
    CHECK(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Loop, &shared) == STATUS_SUCCESS);
    CHECK(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL) == STATUS_SUCCESS);
    CHECK(ZwClose(handle) == STATUS_SUCCESS && thread != shared.Thread);
    for (i = 1; i <= 3; i++) {
        CHECK(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, &little) == STATUS_TIMEOUT);
        KeSetEvent(&shared.Go, 0, FALSE);
        CHECK(KeWaitForSingleObject(&shared.Done, Executive, KernelMode, FALSE, &little) == STATUS_SUCCESS && shared.Count == i);
    }
    CHECK(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    ObDereferenceObject(thread);
    return 0;
}

/* ---- lists and locks ---- */

typedef struct { LIST_ENTRY Link; SINGLE_LIST_ENTRY Single; int Value; } ITEM;

static int Lists(void)
{
    NPAGED_LOOKASIDE_LIST lookaside;
    SINGLE_LIST_ENTRY single = { NULL };
    FAST_MUTEX mutex;
    ERESOURCE resource;
    LARGE_INTEGER sum;
    KSPIN_LOCK lock;
    LIST_ENTRY head;
    ITEM a, b, c;
    PVOID entry;

    KeInitializeSpinLock(&lock);
    InitializeListHead(&head);
    CHECK(ExInterlockedInsertTailList(&head, &a.Link, &lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&head, &b.Link, &lock) == &a.Link);
    CHECK(ExInterlockedInsertHeadList(&head, &c.Link, &lock) == &a.Link);
    CHECK(head.Flink == &c.Link && c.Link.Flink == &a.Link && a.Link.Flink == &b.Link && b.Link.Flink == &head && head.Blink == &b.Link);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &c.Link && ExInterlockedRemoveHeadList(&head, &lock) == &a.Link);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &b.Link && ExInterlockedRemoveHeadList(&head, &lock) == NULL && IsListEmpty(&head));
    CHECK(ExInterlockedPushEntryList(&single, &a.Single, &lock) == NULL && ExInterlockedPushEntryList(&single, &b.Single, &lock) == &a.Single);
    CHECK(ExInterlockedPopEntryList(&single, &lock) == &b.Single && ExInterlockedPopEntryList(&single, &lock) == &a.Single);
    CHECK(ExInterlockedPopEntryList(&single, &lock) == NULL);
    sum.QuadPart = 0xffffffffLL;
    CHECK(ExInterlockedAddLargeInteger(&sum, (LARGE_INTEGER){ .QuadPart = 1 }, &lock).QuadPart == 0xffffffffLL && sum.QuadPart == 0x100000000LL);

    ExInitializeNPagedLookasideList(&lookaside, NULL, NULL, 0, 24, 'tseT', 0);
    entry = ExAllocateFromNPagedLookasideList(&lookaside);
    CHECK(entry != NULL);
    RtlZeroMemory(entry, 24);
    ExFreeToNPagedLookasideList(&lookaside, entry);
    ExDeleteNPagedLookasideList(&lookaside);

    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    CHECK(KeGetCurrentIrql() == APC_LEVEL && !ExTryToAcquireFastMutex(&mutex));
    ExReleaseFastMutex(&mutex);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    CHECK(ExInitializeResourceLite(&resource) == STATUS_SUCCESS);
    KeEnterCriticalRegion();
    CHECK(ExAcquireResourceExclusiveLite(&resource, TRUE) && ExAcquireResourceSharedLite(&resource, FALSE));
    ExReleaseResourceLite(&resource);
    ExReleaseResourceLite(&resource);
    KeLeaveCriticalRegion();
    CHECK(ExDeleteResourceLite(&resource) == STATUS_SUCCESS);
    return 0;
}

/* ---- strings ---- */

static int Strings(void)
{
    static const GUID guid = { 0x00112233, 0x4455, 0x6677, { 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } };
    UNICODE_STRING a, b, c;
    WCHAR room[32];
    ANSI_STRING ansi;
    ULONG value;
    GUID back;

    RtlInitUnicodeString(&a, L"Robot");
    RtlInitUnicodeString(&b, L"robot");
    CHECK(a.Length == 10 && a.MaximumLength == 12);
    CHECK(!RtlEqualUnicodeString(&a, &b, FALSE) && RtlEqualUnicodeString(&a, &b, TRUE));
    CHECK(RtlCompareUnicodeString(&a, &b, FALSE) < 0 && RtlCompareUnicodeString(&a, &b, TRUE) == 0);
    c.Buffer = room;
    c.Length = 0;
    c.MaximumLength = sizeof room;
    RtlCopyUnicodeString(&c, &a);
    CHECK(RtlAppendUnicodeToString(&c, L" and ") == STATUS_SUCCESS && RtlAppendUnicodeStringToString(&c, &b) == STATUS_SUCCESS);
    CHECK(c.Length == 30 && wcscmp(room, L"Robot and robot") == 0);
    CHECK(RtlAppendUnicodeToString(&c, L" and yet another of them") == STATUS_BUFFER_TOO_SMALL && c.Length == 30);
    CHECK(RtlIntegerToUnicodeString(0xbeef, 16, &c) == STATUS_SUCCESS && c.Length == 8 && room[0] == 'B');
    CHECK(RtlUnicodeStringToInteger(&c, 16, &value) == STATUS_SUCCESS && value == 0xbeef);
    RtlInitAnsiString(&ansi, "parport");
    CHECK(RtlAnsiStringToUnicodeString(&c, &ansi, TRUE) == STATUS_SUCCESS && c.Length == 14 && wcscmp(c.Buffer, L"parport") == 0);
    RtlFreeUnicodeString(&c);
    CHECK(RtlUnicodeStringToAnsiString(&ansi, &a, TRUE) == STATUS_SUCCESS && ansi.Length == 5 && strcmp(ansi.Buffer, "Robot") == 0);
    RtlFreeAnsiString(&ansi);
    CHECK(RtlStringFromGUID(&guid, &c) == STATUS_SUCCESS && wcscmp(c.Buffer, L"{00112233-4455-6677-8899-AABBCCDDEEFF}") == 0);
    CHECK(RtlGUIDFromString(&c, &back) == STATUS_SUCCESS && RtlCompareMemory(&back, &guid, sizeof guid) == sizeof guid);
    RtlFreeUnicodeString(&c);
    return 0;
}

static int Prints(void)
{
    char narrow[48];
    WCHAR wide[48];

    CHECK(sprintf(narrow, "%d %5u|%-4x|%04X|%s", -5, 42u, 0xabu, 0xcdu, "end") == 22 && strcmp(narrow, "-5    42|ab  |00CD|end") == 0);
    CHECK(sprintf(narrow, "%c%%%.2s %I64d", 'x', "abc", 0x123456789LL) == 15 && strcmp(narrow, "x%ab 4886718345") == 0);
    CHECK(swprintf(wide, L"%s-%hs-%03d", L"wide", "narrow", 7) == 15 && wcscmp(wide, L"wide-narrow-007") == 0);
    CHECK(_snprintf(narrow, 4, "%s", "too long") == -1 && strncmp(narrow, "too ", 4) == 0);
    CHECK(strlen("four") == 4 && strchr("abc", 'c') != NULL && strstr("abcd", "bc") != NULL && wcslen(L"ab") == 2 && _stricmp("A", "a") == 0);
    DbgPrint("printed %d %wZ\n", 3, NULL);
    return 0;
}

/* ---- registry ---- */

static NTSTATUS NTAPI SeeValue(PWSTR name, ULONG type, PVOID data, ULONG length, PVOID context, PVOID entry)
{
    if (type == REG_DWORD && length == 4 && wcscmp(name, L"Speed") == 0) *(ULONG *)context += *(ULONG *)data + *(ULONG *)entry;
    return STATUS_SUCCESS;
}

static int Registry(void)
{
    RTL_QUERY_REGISTRY_TABLE table[4];
    struct { KEY_VALUE_PARTIAL_INFORMATION Header; UCHAR Data[32]; } value;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING path, name, text;
    ULONG disposition, speed = 200, length, other = 0, sum = 0, one = 1, missing = 7;
    HANDLE key;

    RtlInitUnicodeString(&path, L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\Tested\\Parameters");
    RtlInitUnicodeString(&name, L"Speed");
    InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK(ZwOpenKey(&key, KEY_ALL_ACCESS, &attributes) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ZwCreateKey(&key, KEY_ALL_ACCESS, &attributes, 0, NULL, 0, &disposition) == STATUS_SUCCESS && disposition == REG_CREATED_NEW_KEY);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, sizeof value, &length) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ZwSetValueKey(key, &name, 0, REG_DWORD, &speed, 4) == STATUS_SUCCESS);
    RtlInitUnicodeString(&name, L"Name");
    CHECK(ZwSetValueKey(key, &name, 0, REG_SZ, L"Robby", 12) == STATUS_SUCCESS);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, 14, &length) == STATUS_BUFFER_OVERFLOW && length == 24);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, sizeof value, &length) == STATUS_SUCCESS);
    CHECK(value.Header.Type == REG_SZ && value.Header.DataLength == 12 && wcscmp((WCHAR *)value.Header.Data, L"Robby") == 0);
    CHECK(ZwClose(key) == STATUS_SUCCESS);

    RtlZeroMemory(table, sizeof table);
    RtlZeroMemory(&text, sizeof text);
    table[0].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED;
    table[0].Name = L"Name";
    table[0].EntryContext = &text;
    table[1].Flags = RTL_QUERY_REGISTRY_DIRECT;
    table[1].Name = L"Other";
    table[1].EntryContext = &other;
    table[1].DefaultType = REG_DWORD;
    table[1].DefaultData = &missing;
    table[1].DefaultLength = 4;
    table[2].QueryRoutine = SeeValue;
    table[2].Name = L"Speed";
    table[2].EntryContext = &one;
    CHECK(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"Tested\\Parameters", table, &sum, NULL) == STATUS_SUCCESS);
    CHECK(other == 7 && sum == 201 && text.Length == 10 && wcscmp(text.Buffer, L"Robby") == 0);
    RtlFreeUnicodeString(&text);
    CHECK(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"Nobody", table, &sum, NULL) == STATUS_OBJECT_NAME_NOT_FOUND);
    return 0;
}

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
    bus.InterfaceDereference(bus.Context);
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
    int *answer = irp->AssociatedIrp.SystemBuffer;

    switch (what) {
    case 0: *answer = 0; break;
    case 1: *answer = Waits(); break;
    case 2: *answer = Timers(device); break;
    case 3: *answer = Threads(device); break;
    case 4: *answer = Lists(); break;
    case 5: *answer = Strings(); break;
    case 6: *answer = Prints(); break;
    case 7: *answer = Registry(); break;
    case 8: *answer = Requests(device, extension); break;
    case 9: *answer = Memory(); break;
    case 10: *answer = Objects(extension, device); break;
    case 11: *answer = Packets(device); break;
    case 12: *answer = Bus(extension); break;
    case 13: *answer = Sections(); break;
    case 100: *answer = 0x600d; break;
    default: return Finish(irp, STATUS_INVALID_PARAMETER);
    }
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = sizeof *answer;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}
