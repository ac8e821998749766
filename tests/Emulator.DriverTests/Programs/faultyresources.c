/* The device's registers, interrupt and memory, and what is left behind of them. */
#include "skeleton.h"

static KDPC Dpc;

static BOOLEAN NTAPI Claim(PKINTERRUPT interrupt, PVOID context)
{
    UNREFERENCED_PARAMETER(interrupt);
    UNREFERENCED_PARAMETER(context);
    return TRUE;
}

static void NTAPI Late(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
}

/* Nothing runs while interrupts are off. */
static void QueueDpc(void)
{
    KeInitializeDpc(&Dpc, Late, NULL);
    __asm__ volatile ("cli");
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

static void NTAPI Never(PVOID context)
{
    UNREFERENCED_PARAMETER(context);
    KeBugCheckEx(0xe2, 0, 0, 0, 0);
}

static void CreateThread(void)
{
    HANDLE handle;

    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Never, NULL);
    ZwClose(handle);
}

static PDMA_ADAPTER Adapter(EXTENSION *extension)
{
    DEVICE_DESCRIPTION description;
    ULONG registers;

    RtlZeroMemory(&description, sizeof description);
    description.Version = DEVICE_DESCRIPTION_VERSION;
    description.Master = description.ScatterGather = description.Dma32BitAddresses = TRUE;
    description.InterfaceType = PCIBus;
    description.MaximumLength = 0x1000;
    return IoGetDmaAdapter(extension->Pdo, &description, &registers);
}

static NTSTATUS Connect(EXTENSION *extension)
{
    return IoConnectInterrupt(&extension->Interrupt, Claim, extension, NULL, extension->Vector, 8, 8, LevelSensitive, TRUE, 1, FALSE);
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int fault)
{
    PHYSICAL_ADDRESS nowhere, logical;
    UNICODE_STRING link, target;
    volatile ULONG *registers;
    PDMA_ADAPTER adapter;
    PPUT_DMA_ADAPTER put;
    PVOID buffer;

    UNREFERENCED_PARAMETER(device);
    nowhere.QuadPart = 0x7fff0000;
    switch (fault) {
    case 0: break;
    case 1: MmMapIoSpace(nowhere, 0x1000, MmNonCached); break; /* where nothing is */
    case 2: MmUnmapIoSpace(extension, 0x1000); break; /* not mapped */
    case 3: MmUnmapIoSpace(MmMapIoSpace(extension->Bar, extension->BarLength, MmNonCached), 0x1000); break; /* a part of it */
    case 4: MmMapIoSpace(extension->Bar, extension->BarLength, MmNonCached); break; /* left */
    case 5: Adapter(extension); break; /* left */
    case 6: /* a common buffer left, whose adapter is gone */
        adapter = Adapter(extension);
        adapter->DmaOperations->AllocateCommonBuffer(adapter, 0x2000, &logical, FALSE);
        adapter->DmaOperations->PutDmaAdapter(adapter);
        break;
    case 7: /* given back twice */
        adapter = Adapter(extension);
        put = adapter->DmaOperations->PutDmaAdapter;
        put(adapter);
        put(adapter);
        break;
    case 8: /* freed as another length */
    case 9: /* freed twice */
        adapter = Adapter(extension);
        buffer = adapter->DmaOperations->AllocateCommonBuffer(adapter, 0x2000, &logical, FALSE);
        adapter->DmaOperations->FreeCommonBuffer(adapter, fault == 8 ? 0x1000 : 0x2000, logical, buffer, FALSE);
        if (fault == 9) adapter->DmaOperations->FreeCommonBuffer(adapter, 0x2000, logical, buffer, FALSE);
        adapter->DmaOperations->PutDmaAdapter(adapter);
        break;
    case 10: /* a link left */
        RtlInitUnicodeString(&link, L"\\DosDevices\\Faulty");
        RtlInitUnicodeString(&target, L"\\Device\\Faulty");
        IoCreateSymbolicLink(&link, &target);
        break;
    case 11: /* an interface left enabled */
        IoRegisterDeviceInterface(extension->Pdo, &FAULTY_INTERFACE, NULL, &extension->Interface);
        IoSetDeviceInterfaceState(&extension->Interface, TRUE);
        RtlFreeUnicodeString(&extension->Interface);
        break;
    case 12: Connect(extension); break; /* left connected */
    case 13: IoDisconnectInterrupt((PKINTERRUPT)extension); break; /* not connected */
    case 14: AtUnload = QueueDpc; break;
    case 15: /* claims the line, and lets it be */
        Connect(extension);
        registers = MmMapIoSpace(extension->Bar, extension->BarLength, MmNonCached);
        registers[0x1c / 4] = 1; /* INTEN: command done */
        registers[0x48 / 4] = 0; /* COMMAND: NOP */
        break;
    case 16: /* the robot still has the ring in memory that is freed */
        adapter = Adapter(extension);
        buffer = adapter->DmaOperations->AllocateCommonBuffer(adapter, 0x2000, &logical, FALSE);
        RtlZeroMemory(buffer, 0x2000);
        registers = MmMapIoSpace(extension->Bar, extension->BarLength, MmNonCached);
        registers[0x100 / 4] = logical.LowPart; /* RING_BASE, RING_SIZE */
        registers[0x104 / 4] = 0;
        registers[0x108 / 4] = 16;
        registers[0x118 / 4] = logical.LowPart + 0x1000; /* CQ_BASE, CQ_SIZE */
        registers[0x11c / 4] = 0;
        registers[0x120 / 4] = 16;
        registers[0x128 / 4] = 1; /* RING_CTRL: run */
        adapter->DmaOperations->FreeCommonBuffer(adapter, 0x2000, logical, buffer, FALSE);
        adapter->DmaOperations->PutDmaAdapter(adapter);
        registers[0x110 / 4] = 1; /* RING_TAIL */
        MmUnmapIoSpace((PVOID)registers, extension->BarLength);
        break;
    case 18: AtUnload = CreateThread; break;
    case 17: /* a register, whatever the power */
        registers = MmMapIoSpace(extension->Bar, extension->BarLength, MmNonCached);
        (void)registers[0];
        MmUnmapIoSpace((PVOID)registers, extension->BarLength);
        break;
    default: return Finish(irp, STATUS_INVALID_PARAMETER);
    }
    return Finish(irp, STATUS_SUCCESS);
}
