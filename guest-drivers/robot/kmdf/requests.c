/* What programs ask: reads, which wait for events, and IOCTLs. Opening and closing are the framework's. */
#include "kmdfrobot.h"

/* Gives events to readers while there are both; not under the lock. */
void RobotServeReaders(PROBOT Robot)
{
    for (;;) {
        WDFREQUEST request = NULL;
        NTSTATUS status = STATUS_SUCCESS;
        ULONG taken = 0;
        SIZE_T length;
        KIRQL irql;

        KeAcquireSpinLock(&Robot->Lock, &irql);
        if (Robot->Events.Count > 0) {
            WDF(WdfIoQueueRetrieveNextRequest, NTSTATUS, WDFQUEUE, WDFREQUEST *)(WdfDriverGlobals, Robot->Readers, &request);
        }
        if (request != NULL) {
            PROBOT_EVENT out = Output(request, sizeof *out, &status, &length);

            if (out != NULL) taken = RobotTakeEvents(&Robot->Events, out, (ULONG)length);
        }
        KeReleaseSpinLock(&Robot->Lock, irql);
        if (request == NULL) return;
        Complete(request, status, taken);
    }
}

static NTSTATUS Forward(WDFREQUEST request, WDFQUEUE queue)
{
    return WDF(WdfRequestForwardToIoQueue, NTSTATUS, WDFREQUEST, WDFQUEUE)(WdfDriverGlobals, request, queue);
}

/* The framework ends those that are cancelled, or whose handle closes. */
void NTAPI EvtIoRead(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Length)
{
    PROBOT robot = RobotOfQueue(Queue);
    NTSTATUS status = Length < sizeof(ROBOT_EVENT) ? STATUS_BUFFER_TOO_SMALL : Forward(Request, robot->Readers);

    if (NT_SUCCESS(status)) RobotServeReaders(robot);
    else Complete(Request, status, 0);
}

static NTSTATUS Info(PROBOT robot, PROBOT_INFO info)
{
    RtlZeroMemory(info, sizeof *info);
    info->Size = sizeof *info;
    info->Messages = robot->Messages;
    return ProsewareInfo(robot->Registers, info);
}

static NTSTATUS State(PROBOT robot, PROBOT_STATE state)
{
    NTSTATUS status;

    RtlZeroMemory(state, sizeof *state);
    status = ProsewareState(robot->Registers, state);
    state->Flags = RobotTranslateFlags(ProsewareFlags, state->Flags);
    WDF(WdfIoQueueGetState, ULONG, WDFQUEUE, PULONG, PULONG)(WdfDriverGlobals, robot->Turns, &state->Waiting, NULL);
    return status;
}

void NTAPI EvtIoDeviceControl(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Out, SIZE_T In, ULONG Code)
{
    PROBOT robot = RobotOfQueue(Queue);
    ULONG_PTR information = 0;
    NTSTATUS status = STATUS_SUCCESS;
    PVOID buffer;

    UNREFERENCED_PARAMETER(Out);
    UNREFERENCED_PARAMETER(In);
    switch (Code) {
    case IOCTL_ROBOT_GET_INFO:
        buffer = Output(Request, sizeof(ROBOT_INFO), &status, NULL);
        if (buffer != NULL) status = Info(robot, buffer), information = sizeof(ROBOT_INFO);
        break;
    case IOCTL_ROBOT_GET_STATE:
        buffer = Output(Request, sizeof(ROBOT_STATE), &status, NULL);
        if (buffer != NULL) status = State(robot, buffer), information = sizeof(ROBOT_STATE);
        break;
    case IOCTL_ROBOT_GET_STATISTICS:
        buffer = Output(Request, sizeof(ROBOT_STATISTICS), &status, NULL);
        if (buffer == NULL) break;
        robot->Statistics.Events = robot->Events.Last;
        *(PROBOT_STATISTICS)buffer = robot->Statistics, information = sizeof(ROBOT_STATISTICS);
        break;
    case IOCTL_ROBOT_EXECUTE:
        if (Output(Request, sizeof(ROBOT_COMPLETION), &status, NULL) == NULL) break;
        if (Input(Request, sizeof(ROBOT_COMMAND), &status) == NULL) break;
        status = Forward(Request, robot->Turns);
        if (NT_SUCCESS(status)) return;
        break;
    case IOCTL_ROBOT_STOP:
        RobotHalt(robot, STATUS_SUCCESS);
        break;
    case IOCTL_ROBOT_SET_WATCHDOG:
        buffer = Input(Request, sizeof(ULONG), &status);
        if (buffer == NULL) break;
        if (*(PULONG)buffer > PROSEWARE_MOST_WATCHDOG) status = STATUS_INVALID_PARAMETER;
        else ProsewareSetWatchdog(robot->Registers, *(PULONG)buffer);
        break;
    case IOCTL_ROBOT_FEED_WATCHDOG:
        ProsewareFeedWatchdog(robot->Registers);
        break;
    default:
        status = STATUS_INVALID_DEVICE_REQUEST;
        break;
    }
    Complete(Request, status, NT_SUCCESS(status) ? information : 0);
}
