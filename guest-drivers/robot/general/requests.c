/* What programs ask: open, close, read, write, IOCTLs. */
#include "general.h"

/* Takes the remove lock; on failure the request has ended. */
static BOOLEAN Enter(PROBOT_EXTENSION extension, PIRP irp, PNTSTATUS status)
{
    *status = IoAcquireRemoveLock(&extension->RemoveLock, irp);
    if (NT_SUCCESS(*status)) return TRUE;
    RobotComplete(irp, *status, 0);
    return FALSE;
}

static NTSTATUS Leave(PROBOT_EXTENSION extension, PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    RobotComplete(irp, status, information);
    IoReleaseRemoveLock(&extension->RemoveLock, irp);
    return status;
}

NTSTATUS NTAPI RobotDispatchCreate(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    NTSTATUS status;

    if (!Enter(extension, Irp, &status)) return status;
    if (extension->State == RobotNotStarted) status = STATUS_DEVICE_NOT_READY;
    else if (extension->State >= RobotGone) status = STATUS_NO_SUCH_DEVICE;
    return Leave(extension, Irp, status, 0);
}

NTSTATUS NTAPI RobotDispatchClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    NTSTATUS status;

    if (!Enter(extension, Irp, &status)) return status;
    return Leave(extension, Irp, STATUS_SUCCESS, 0);
}

/* The last handle of a file is gone: nobody waits for its requests any more. */
NTSTATUS NTAPI RobotDispatchCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    PFILE_OBJECT file = IoGetCurrentIrpStackLocation(Irp)->FileObject;
    LIST_ENTRY ended;
    NTSTATUS status;
    KIRQL irql;

    if (!Enter(extension, Irp, &status)) return status;
    InitializeListHead(&ended);
    KeAcquireSpinLock(&extension->Lock, &irql);
    if (file != NULL) RobotFlush(extension, file, STATUS_CANCELLED, &ended);
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
    return Leave(extension, Irp, STATUS_SUCCESS, 0);
}

NTSTATUS NTAPI RobotDispatchRead(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;
    NTSTATUS status;

    if (!Enter(extension, Irp, &status)) return status;
    if (length == 0) return Leave(extension, Irp, STATUS_SUCCESS, 0);
    if (length < sizeof(ROBOT_EVENT)) return Leave(extension, Irp, STATUS_BUFFER_TOO_SMALL, 0);
    return RobotQueueRequest(extension, Irp, &extension->Readers);
}

NTSTATUS NTAPI RobotDispatchWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
    NTSTATUS status;

    if (!Enter(extension, Irp, &status)) return status;
    if (length == 0) return Leave(extension, Irp, STATUS_SUCCESS, 0);
    if (length % sizeof(ROBOT_COMMAND) != 0 || length / sizeof(ROBOT_COMMAND) > ROBOT_MOST_COMMANDS) {
        return Leave(extension, Irp, STATUS_INVALID_PARAMETER, 0);
    }
    return RobotQueueRequest(extension, Irp, &extension->Programs);
}

/* IOCTLs that end at once. Locked. */
static NTSTATUS Control(PROBOT_EXTENSION extension, ULONG code, PVOID buffer, ULONG_PTR *information, PLIST_ENTRY ended)
{
    NTSTATUS status;
    PLIST_ENTRY entry;

    if (extension->State >= RobotGone) return STATUS_NO_SUCH_DEVICE;
    if (code == IOCTL_ROBOT_GET_STATISTICS) {
        extension->Statistics.Events = extension->Events.Last;
        *(PROBOT_STATISTICS)buffer = extension->Statistics;
        *information = sizeof(ROBOT_STATISTICS);
        return STATUS_SUCCESS;
    }
    if (!extension->Ready) return STATUS_DEVICE_NOT_READY;
    switch (code) {
    case IOCTL_ROBOT_GET_INFO: {
        PROBOT_INFO info = buffer;

        RtlZeroMemory(info, sizeof *info);
        info->Size = sizeof *info;
        info->Messages = extension->Messages;
        *information = sizeof *info;
        return RobotCall(extension, RobotDeviceControlCallback, RobotControlInfo, info);
    }
    case IOCTL_ROBOT_GET_STATE: {
        PROBOT_STATE state = buffer;

        RtlZeroMemory(state, sizeof *state);
        status = RobotCall(extension, RobotDeviceControlCallback, RobotControlState, state);
        state->Flags = RobotTranslateFlags(extension->Description.Flags, state->Flags);
        for (entry = extension->Programs.Flink; entry != &extension->Programs; entry = entry->Flink) state->Waiting++;
        *information = sizeof *state;
        return status;
    }
    case IOCTL_ROBOT_STOP:
        if (extension->Active != NULL) {
            RobotFinish(extension, RobotAborted, NULL, 0, ended);
            RobotAdvance(extension, ended);
            return STATUS_SUCCESS;
        }
        /* The wheels may go on after RobotVelocity. */
        return RobotCall(extension, RobotDeviceControlCallback, RobotControlAbort, NULL);
    case IOCTL_ROBOT_SET_WATCHDOG:
        if (*(PULONG)buffer > extension->Description.MostWatchdog) return STATUS_INVALID_PARAMETER;
        return RobotCall(extension, RobotDeviceControlCallback, RobotControlWatchdog, buffer);
    default:
        return RobotCall(extension, RobotDeviceControlCallback, RobotControlFeed, NULL);
    }
}

static NTSTATUS DeviceControl(PROBOT_EXTENSION extension, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    ULONG code = stack->Parameters.DeviceIoControl.IoControlCode;
    ULONG_PTR information = 0;
    ULONG in = 0, out = 0;
    LIST_ENTRY ended;
    NTSTATUS status;
    KIRQL irql;

    if (!Enter(extension, irp, &status)) return status;
    switch (code) {
    case IOCTL_ROBOT_GET_INFO: out = sizeof(ROBOT_INFO); break;
    case IOCTL_ROBOT_GET_STATE: out = sizeof(ROBOT_STATE); break;
    case IOCTL_ROBOT_EXECUTE: in = sizeof(ROBOT_COMMAND), out = sizeof(ROBOT_COMPLETION); break;
    case IOCTL_ROBOT_SET_WATCHDOG: in = sizeof(ULONG); break;
    case IOCTL_ROBOT_GET_STATISTICS: out = sizeof(ROBOT_STATISTICS); break;
    case IOCTL_ROBOT_STOP:
    case IOCTL_ROBOT_FEED_WATCHDOG: break;
    default: return Leave(extension, irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    if (stack->Parameters.DeviceIoControl.InputBufferLength < in) return Leave(extension, irp, STATUS_INVALID_PARAMETER, 0);
    if (stack->Parameters.DeviceIoControl.OutputBufferLength < out) return Leave(extension, irp, STATUS_BUFFER_TOO_SMALL, 0);
    if (code == IOCTL_ROBOT_EXECUTE) return RobotQueueRequest(extension, irp, &extension->Programs);

    InitializeListHead(&ended);
    KeAcquireSpinLock(&extension->Lock, &irql);
    status = Control(extension, code, irp->AssociatedIrp.SystemBuffer, &information, &ended);
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
    return Leave(extension, irp, status, NT_SUCCESS(status) ? information : 0);
}

NTSTATUS NTAPI RobotDispatchDeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    return DeviceControl(DeviceObject->DeviceExtension, Irp);
}

/* Other drivers use the same codes: all are METHOD_BUFFERED. */
NTSTATUS NTAPI RobotDispatchInternalDeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    return DeviceControl(DeviceObject->DeviceExtension, Irp);
}

/* No WMI classes of our own. */
NTSTATUS NTAPI RobotDispatchSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    NTSTATUS status;

    if (!Enter(extension, Irp, &status)) return status;
    IoSkipCurrentIrpStackLocation(Irp);
    status = IoCallDriver(extension->Lower, Irp);
    IoReleaseRemoveLock(&extension->RemoveLock, Irp);
    return status;
}
