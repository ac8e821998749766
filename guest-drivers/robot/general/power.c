/* D0 and D3. The pair is its device's power policy owner: it asks for the device state that fits a system state. */
#include "general.h"

/* Registers are up: interrupts and motors on. Locked. */
void RobotEnable(PROBOT_EXTENSION Extension)
{
    Extension->Ready = TRUE;
    InterlockedExchange(&Extension->Listening, TRUE);
    RobotCall(Extension, RobotPowerCallback, RobotPowerEnable, NULL);
}

/* Before the start, and after the stop, there is nothing to resume or to lose. Locked. */
static BOOLEAN HasStarted(PROBOT_EXTENSION extension)
{
    return extension->State >= RobotStarted && extension->State < RobotGone;
}

/* The robot does not come back: nobody waits for it. NT asks for the state, and takes the device away. <= DISPATCH_LEVEL. */
static void Fail(PROBOT_EXTENSION extension)
{
    BOOLEAN failed;
    LIST_ENTRY ended;
    KIRQL irql;

    InitializeListHead(&ended);
    KeAcquireSpinLock(&extension->Lock, &irql);
    failed = extension->Failed = HasStarted(extension);
    if (failed) RobotFlush(extension, NULL, STATUS_DEVICE_NOT_READY, &ended);
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
    if (failed) IoInvalidateDeviceState(extension->Pdo);
}

/* D0 again: programs go on. <= DISPATCH_LEVEL. */
void RobotResume(PROBOT_EXTENSION Extension)
{
    BOOLEAN failed = FALSE;
    LIST_ENTRY ended;
    KIRQL irql;

    InitializeListHead(&ended);
    KeAcquireSpinLock(&Extension->Lock, &irql);
    if (!Extension->Ready && !Extension->Failed && HasStarted(Extension)) {
        failed = !NT_SUCCESS(RobotCall(Extension, RobotPowerCallback, RobotPowerUp, NULL));
        if (!failed) {
            RobotEnable(Extension);
            RobotAdvance(Extension, &ended);
        }
    }
    KeReleaseSpinLock(&Extension->Lock, irql);
    RobotEndRequests(Extension, &ended);
    if (failed) Fail(Extension);
}

/* The running program ends as aborted; the robot stops, and its registers are left alone from now on. It may be gone. */
void RobotQuiesce(PROBOT_EXTENSION Extension)
{
    LIST_ENTRY ended;
    KIRQL irql;

    InitializeListHead(&ended);
    KeAcquireSpinLock(&Extension->Lock, &irql);
    if (Extension->Active != NULL) RobotFinish(Extension, RobotAborted, NULL, 0, &ended);
    if (Extension->Ready) RobotCall(Extension, RobotPowerCallback, RobotPowerDown, NULL);
    InterlockedExchange(&Extension->Listening, FALSE);
    Extension->Ready = FALSE;
    KeReleaseSpinLock(&Extension->Lock, irql);
    RobotEndRequests(Extension, &ended);
}

static void SetPower(PROBOT_EXTENSION extension, DEVICE_POWER_STATE device)
{
    POWER_STATE power;

    power.DeviceState = device;
    PoSetPowerState(extension->Self, DevicePowerState, power);
}

static NTSTATUS Pass(PROBOT_EXTENSION extension, PIRP irp)
{
    NTSTATUS status;

    PoStartNextPowerIrp(irp);
    IoSkipCurrentIrpStackLocation(irp);
    status = PoCallDriver(extension->Lower, irp);
    IoReleaseRemoveLock(&extension->RemoveLock, irp);
    return status;
}

/* The bus has given the device power. */
static NTSTATUS NTAPI DeviceUp(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    PROBOT_EXTENSION extension = Context;

    UNREFERENCED_PARAMETER(DeviceObject);
    if (NT_SUCCESS(Irp->IoStatus.Status)) {
        RobotResume(extension);
        SetPower(extension, PowerDeviceD0);
    }
    PoStartNextPowerIrp(Irp);
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS DevicePower(PROBOT_EXTENSION extension, PIRP irp, DEVICE_POWER_STATE state)
{
    if (state == PowerDeviceD0) {
        IoMarkIrpPending(irp);
        IoCopyCurrentIrpStackLocationToNext(irp);
        IoSetCompletionRoutine(irp, DeviceUp, extension, TRUE, TRUE, TRUE);
        PoCallDriver(extension->Lower, irp);
        return STATUS_PENDING;
    }
    RobotQuiesce(extension);
    SetPower(extension, state);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return Pass(extension, irp);
}

/* The device is in the state the system's asks for: so is this stack. */
static void NTAPI DeviceDone(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState, PVOID Context, PIO_STATUS_BLOCK IoStatus)
{
    PIRP irp = Context;
    PROBOT_EXTENSION extension = IoGetCurrentIrpStackLocation(irp)->DeviceObject->DeviceExtension;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(MinorFunction);
    UNREFERENCED_PARAMETER(PowerState);
    PoStartNextPowerIrp(irp);
    RobotComplete(irp, IoStatus->Status, 0);
    IoReleaseRemoveLock(&extension->RemoveLock, irp);
}

static NTSTATUS NTAPI SystemDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    PROBOT_EXTENSION extension = Context;
    SYSTEM_POWER_STATE system = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State.SystemState;
    NTSTATUS status = Irp->IoStatus.Status;
    POWER_STATE power;

    UNREFERENCED_PARAMETER(DeviceObject);
    if (NT_SUCCESS(status)) {
        power.DeviceState = system > PowerSystemUnspecified && system < PowerSystemMaximum ? extension->DeviceStates[system] : PowerDeviceD3;
        status = PoRequestPowerIrp(extension->Pdo, IRP_MN_SET_POWER, power, DeviceDone, Irp, NULL);
        if (status == STATUS_PENDING) return STATUS_MORE_PROCESSING_REQUIRED;
        if (system == PowerSystemWorking) Fail(extension);
        Irp->IoStatus.Status = status;
    }
    PoStartNextPowerIrp(Irp);
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return STATUS_CONTINUE_COMPLETION;
}

NTSTATUS NTAPI RobotDispatchPower(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS status = IoAcquireRemoveLock(&extension->RemoveLock, Irp);

    if (!NT_SUCCESS(status)) {
        PoStartNextPowerIrp(Irp);
        return RobotComplete(Irp, status, 0);
    }
    if (stack->MinorFunction == IRP_MN_SET_POWER && stack->Parameters.Power.Type == DevicePowerState) {
        return DevicePower(extension, Irp, stack->Parameters.Power.State.DeviceState);
    }
    if (stack->MinorFunction == IRP_MN_SET_POWER) {
        IoMarkIrpPending(Irp);
        IoCopyCurrentIrpStackLocationToNext(Irp);
        IoSetCompletionRoutine(Irp, SystemDone, extension, TRUE, TRUE, TRUE);
        PoCallDriver(extension->Lower, Irp);
        return STATUS_PENDING;
    }
    if (stack->MinorFunction == IRP_MN_QUERY_POWER) Irp->IoStatus.Status = STATUS_SUCCESS;
    return Pass(extension, Irp);
}
