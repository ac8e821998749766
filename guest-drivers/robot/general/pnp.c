/* The Plug and Play life of a robot. PnP requests come one at a time, at PASSIVE_LEVEL. */
#include "general.h"

static NTSTATUS NTAPI Signal(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Event)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    KeSetEvent(Event, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Lets the drivers below handle a request first; it is ours again afterwards. */
static NTSTATUS ForwardAndWait(PROBOT_EXTENSION extension, PIRP irp)
{
    KEVENT event;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, Signal, &event, TRUE, TRUE, TRUE);
    if (IoCallDriver(extension->Lower, irp) == STATUS_PENDING) KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    return irp->IoStatus.Status;
}

static void SetState(PROBOT_EXTENSION extension, ROBOT_PNP_STATE state, BOOLEAN hold)
{
    LIST_ENTRY ended;
    KIRQL irql;

    InitializeListHead(&ended);
    KeAcquireSpinLock(&extension->Lock, &irql);
    extension->State = state;
    extension->Hold = hold;
    RobotAdvance(extension, &ended);
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
}

/* Gives back what Acquire took, as far as it came. The robot may be gone. */
static void Release(PROBOT_EXTENSION extension)
{
    ULONG i;

    RobotDisconnect(extension);
    if (extension->Device.Common != NULL) {
        extension->Adapter->DmaOperations->FreeCommonBuffer(extension->Adapter, extension->Description.CommonLength, extension->Device.CommonLogical,
            extension->Device.Common, FALSE);
        extension->Device.Common = NULL;
    }
    if (extension->Adapter != NULL) {
        extension->Adapter->DmaOperations->PutDmaAdapter(extension->Adapter);
        extension->Adapter = NULL;
    }
    for (i = 0; i < ROBOT_BARS; i++) {
        if (extension->Device.Bars[i].Base != NULL) MmUnmapIoSpace(extension->Device.Bars[i].Base, extension->Device.Bars[i].Length);
        extension->Device.Bars[i].Base = NULL;
        extension->Device.Bars[i].Length = 0;
    }
}

static NTSTATUS AllocateCommonBuffer(PROBOT_EXTENSION extension)
{
    DEVICE_DESCRIPTION description;
    ULONG registers;

    if (extension->Description.CommonLength == 0) return STATUS_SUCCESS;
    RtlZeroMemory(&description, sizeof description);
    description.Version = DEVICE_DESCRIPTION_VERSION;
    description.Master = TRUE;
    description.ScatterGather = TRUE;
    description.Dma32BitAddresses = TRUE;
    description.Dma64BitAddresses = extension->Description.AddressBits == 64;
    description.InterfaceType = PCIBus;
    description.MaximumLength = extension->Description.CommonLength;
    extension->Adapter = IoGetDmaAdapter(extension->Pdo, &description, &registers);
    if (extension->Adapter == NULL) return STATUS_INSUFFICIENT_RESOURCES;
    extension->Device.Common = extension->Adapter->DmaOperations->AllocateCommonBuffer(extension->Adapter, extension->Description.CommonLength,
        &extension->Device.CommonLogical, FALSE);
    if (extension->Device.Common == NULL) return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(extension->Device.Common, extension->Description.CommonLength);
    /* NT was told so; a HAL that does not keep to it must not have the robot write elsewhere. */
    if (extension->Description.AddressBits == 32 && extension->Device.CommonLogical.HighPart != 0) return STATUS_INSUFFICIENT_RESOURCES;
    return STATUS_SUCCESS;
}

static NTSTATUS Acquire(PROBOT_EXTENSION extension, PCM_RESOURCE_LIST translated)
{
    PCM_PARTIAL_RESOURCE_DESCRIPTOR interrupt = NULL, at;
    ULONG bars = 0, left;
    NTSTATUS status;
    KIRQL irql;

    if (translated == NULL || translated->Count == 0) return STATUS_DEVICE_CONFIGURATION_ERROR;
    at = translated->List[0].PartialResourceList.PartialDescriptors;
    for (left = translated->List[0].PartialResourceList.Count; left > 0; left--, at++) {
        if (at->Type == CmResourceTypeMemory && bars < ROBOT_BARS) {
            extension->Device.Bars[bars].Base = MmMapIoSpace(at->u.Memory.Start, at->u.Memory.Length, MmNonCached);
            if (extension->Device.Bars[bars].Base == NULL) return STATUS_INSUFFICIENT_RESOURCES;
            extension->Device.Bars[bars++].Length = at->u.Memory.Length;
        } else if (at->Type == CmResourceTypeInterrupt && interrupt == NULL) {
            interrupt = at;
        }
    }
    if (bars == 0 || extension->Device.Bars[0].Length < extension->Description.RegisterLength || interrupt == NULL) return STATUS_DEVICE_CONFIGURATION_ERROR;
    status = AllocateCommonBuffer(extension);
    if (NT_SUCCESS(status)) status = RobotCall(extension, RobotPnpCallback, RobotPnpIdentify, NULL);
    if (NT_SUCCESS(status)) status = RobotCall(extension, RobotPowerCallback, RobotPowerUp, NULL);
    if (!NT_SUCCESS(status)) return status;
    status = RobotConnect(extension, interrupt);
    if (!NT_SUCCESS(status)) {
        /* It knows the DMA memory, which is about to go. */
        KeAcquireSpinLock(&extension->Lock, &irql);
        RobotCall(extension, RobotPowerCallback, RobotPowerDown, NULL);
        KeReleaseSpinLock(&extension->Lock, irql);
    }
    return status;
}

static NTSTATUS Start(PROBOT_EXTENSION extension, PIRP irp)
{
    PCM_RESOURCE_LIST translated = IoGetCurrentIrpStackLocation(irp)->Parameters.StartDevice.AllocatedResourcesTranslated;
    NTSTATUS status = ForwardAndWait(extension, irp);
    POWER_STATE power;
    KIRQL irql;

    if (!NT_SUCCESS(status)) return status;
    status = Acquire(extension, translated);
    if (!NT_SUCCESS(status)) {
        DbgPrint("GeneralRobot: cannot start, status 0x%x\n", status);
        Release(extension);
        return status;
    }
    KeAcquireSpinLock(&extension->Lock, &irql);
    extension->Failed = FALSE;
    RobotEnable(extension);
    KeReleaseSpinLock(&extension->Lock, irql);
    power.DeviceState = PowerDeviceD0;
    PoSetPowerState(extension->Self, DevicePowerState, power);
    SetState(extension, RobotStarted, FALSE);
    /* Without an interface nobody finds the robot, but what drives it by name goes on. */
    IoSetDeviceInterfaceState(&extension->InterfaceName, TRUE);
    return STATUS_SUCCESS;
}

/* A rebalance must not stop a robot in the middle of a program. */
static NTSTATUS QueryStop(PROBOT_EXTENSION extension)
{
    NTSTATUS status = STATUS_SUCCESS;
    KIRQL irql;

    if (extension->State != RobotStarted) return STATUS_SUCCESS;
    KeAcquireSpinLock(&extension->Lock, &irql);
    if (extension->Active != NULL) {
        status = STATUS_DEVICE_BUSY;
    } else {
        extension->State = RobotStopPending;
        extension->Hold = TRUE;
    }
    KeReleaseSpinLock(&extension->Lock, irql);
    return status;
}

static void Remove(PROBOT_EXTENSION extension, ROBOT_PNP_STATE state)
{
    LIST_ENTRY ended;
    KIRQL irql;

    IoSetDeviceInterfaceState(&extension->InterfaceName, FALSE);
    InitializeListHead(&ended);
    KeAcquireSpinLock(&extension->Lock, &irql);
    extension->State = state;
    extension->Hold = TRUE;
    RobotFlush(extension, NULL, STATUS_NO_SUCH_DEVICE, &ended);
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
    /* NT calls it a surprise, too, when the robot is there and its restart or its power-up failed: it must not go on writing to memory. */
    RobotQuiesce(extension);
    Release(extension);
}

NTSTATUS NTAPI RobotDispatchPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    PDEVICE_CAPABILITIES capabilities;
    NTSTATUS status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);
    ULONG i;

    if (!NT_SUCCESS(status)) return RobotComplete(Irp, status, 0);
    switch (stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
        status = Start(extension, Irp);
        goto complete;
    case IRP_MN_QUERY_STOP_DEVICE:
        status = QueryStop(extension);
        if (!NT_SUCCESS(status)) goto complete;
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_CANCEL_STOP_DEVICE:
        status = ForwardAndWait(extension, Irp);
        if (extension->State == RobotStopPending) SetState(extension, RobotStarted, FALSE);
        goto complete;
    case IRP_MN_STOP_DEVICE:
        /* First the state: from then on power requests leave the registers alone. */
        SetState(extension, RobotStopped, TRUE);
        RobotQuiesce(extension);
        Release(extension);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_REMOVE_DEVICE:
        if (extension->State == RobotStarted) SetState(extension, RobotRemovePending, TRUE);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        status = ForwardAndWait(extension, Irp);
        if (extension->State == RobotRemovePending) SetState(extension, RobotStarted, FALSE);
        goto complete;
    case IRP_MN_SURPRISE_REMOVAL:
        Remove(extension, RobotGone);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_REMOVE_DEVICE:
        Remove(extension, RobotRemoved);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoReleaseRemoveLockAndWait(&extension->RemoveLock, Irp);
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(extension->Lower, Irp);
        RtlFreeUnicodeString(&extension->InterfaceName);
        IoDetachDevice(extension->Lower);
        IoDeleteDevice(extension->Self);
        return status;
    case IRP_MN_QUERY_CAPABILITIES:
        capabilities = stack->Parameters.DeviceCapabilities.Capabilities;
        status = ForwardAndWait(extension, Irp);
        if (!NT_SUCCESS(status)) goto complete;
        capabilities->SurpriseRemovalOK = TRUE;
        for (i = PowerSystemSleeping1; i < PowerSystemMaximum; i++) {
            if (capabilities->DeviceState[i] != PowerDeviceUnspecified) extension->DeviceStates[i] = capabilities->DeviceState[i];
        }
        goto complete;
    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        status = ForwardAndWait(extension, Irp);
        if (extension->Failed) {
            Irp->IoStatus.Information |= PNP_DEVICE_FAILED;
            status = STATUS_SUCCESS;
        }
        goto complete;
    default:
        break;
    }
    IoSkipCurrentIrpStackLocation(Irp);
    status = IoCallDriver(extension->Lower, Irp);
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return status;

complete:
    /* What the bus driver left in Information is its answer. */
    RobotComplete(Irp, status, Irp->IoStatus.Information);
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return status;
}
