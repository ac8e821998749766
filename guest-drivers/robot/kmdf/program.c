/*
 * Programs, and commands that are programs of one: each request of the sequential queue has its turn with the ring, from EvtIoWrite or
 * EvtIoExecute until the interrupt, STOP, EvtIoStop or EvtRequestCancel ends it.
 */
#include "kmdfrobot.h"

static EVT_WDF_REQUEST_CANCEL EvtRequestCancel;

/*
 * The turn of the request that runs is over. Until it is unmarked EvtRequestCancel may come, which waits for the lock: it is then the one
 * that completes. Completion: of the command that decided; NULL when the robot has not answered, and result says why. Locked.
 */
static void EndTurn(PROBOT robot, ULONG result, const ROBOT_COMPLETION *completion, PENDED ended)
{
    const ROBOT_COMMAND *last = robot->Commands + (robot->Done < robot->Count ? robot->Done : robot->Count - 1);

    ended->Request = robot->Running;
    ended->Program = robot->Program;
    ended->Done = robot->Done;
    if (completion != NULL) ended->Last = *completion;
    ended->Last.Tag = last->Tag;
    ended->Last.Opcode = last->Opcode;
    ended->Last.Result = result;
    robot->Running = NULL;
    if (result != RobotOk) {
        ProsewareAbort(&robot->Ring);
        RobotAddEvent(&robot->Events, RobotEventProgram, result, last->Tag);
    }
    if (WDF(WdfRequestUnmarkCancelable, NTSTATUS, WDFREQUEST)(WdfDriverGlobals, ended->Request) == STATUS_CANCELLED) ended->Request = NULL;
}

/* Completes a request with what came of it; not under the lock. */
void RobotComplete(const ENDED *Ended)
{
    PROBOT_COMPLETION out;
    NTSTATUS status;

    if (Ended->Request == NULL) return;
    if (!NT_SUCCESS(Ended->Status)) {
        Complete(Ended->Request, Ended->Status, 0);
    } else if (Ended->Program) {
        Complete(Ended->Request, Ended->Done > 0 ? STATUS_SUCCESS : STATUS_IO_DEVICE_ERROR, Ended->Done * sizeof(ROBOT_COMMAND));
    } else {
        out = Output(Ended->Request, sizeof *out, &status, NULL);
        if (out != NULL) *out = Ended->Last;
        Complete(Ended->Request, status, out != NULL ? sizeof *out : 0);
    }
}

/* Submits what the running program still has. A refusal counts when its turn comes: what was submitted before it ends first. Locked. */
static void Advance(PROBOT robot, PENDED ended)
{
    while (robot->Next < robot->Count && robot->Next - robot->Done < PROSEWARE_CAPACITY) {
        if (!NT_SUCCESS(ProsewareSubmit(&robot->Ring, &robot->Commands[robot->Next]))) {
            if (robot->Done == robot->Next) EndTurn(robot, RobotInvalid, NULL, ended);
            return;
        }
        robot->Next++;
    }
}

/* The next command that ended. FALSE: none. A ring that has halted and left one without an end has failed it. Locked. */
static BOOLEAN NextCompletion(PROBOT robot, PROBOT_COMPLETION completion)
{
    RtlZeroMemory(completion, sizeof *completion);
    if (!NT_SUCCESS(ProsewareReap(&robot->Ring, completion))) {
        if (!ProsewareHasHalted(robot->Registers)) return FALSE;
        /* The robot may have written it since. */
        if (!NT_SUCCESS(ProsewareReap(&robot->Ring, completion))) {
            completion->Result = RobotFailed;
            return TRUE;
        }
    }
    completion->Result = RobotTranslateResult(ProsewareResults, completion->Result);
    return TRUE;
}

/* Takes what has ended from the robot, and gives it more. Locked. */
void RobotReap(PROBOT Robot, PENDED Ended)
{
    ROBOT_COMPLETION completion;

    while (Robot->Running != NULL && Robot->Done < Robot->Next && NextCompletion(Robot, &completion)) {
        Robot->Statistics.Commands++;
        if (completion.Result == RobotOk) Robot->Done++;
        if (completion.Result != RobotOk || Robot->Done == Robot->Count) EndTurn(Robot, completion.Result, &completion, Ended);
    }
    if (Robot->Running != NULL) Advance(Robot, Ended);
}

static void BeginTurn(PROBOT robot, WDFREQUEST request, const ROBOT_COMMAND *commands, ULONG count, BOOLEAN program)
{
    NTSTATUS status = STATUS_NO_SUCH_DEVICE;
    ENDED ended;
    KIRQL irql;

    RtlZeroMemory(&ended, sizeof ended);
    KeAcquireSpinLock(&robot->Lock, &irql);
    if (!robot->Gone) status = WDF(WdfRequestMarkCancelableEx, NTSTATUS, WDFREQUEST, EVT_WDF_REQUEST_CANCEL *)(WdfDriverGlobals, request, EvtRequestCancel);
    if (NT_SUCCESS(status)) {
        robot->Running = request;
        robot->Commands = commands;
        robot->Count = count;
        robot->Next = robot->Done = 0;
        robot->Program = program;
        Advance(robot, &ended);
    }
    KeReleaseSpinLock(&robot->Lock, irql);
    if (!NT_SUCCESS(status)) Complete(request, status, 0);
    RobotComplete(&ended);
    RobotServeReaders(robot);
}

void NTAPI EvtIoWrite(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Length)
{
    NTSTATUS status = STATUS_INVALID_PARAMETER;
    const ROBOT_COMMAND *commands = NULL;

    if (Length % sizeof *commands == 0 && Length / sizeof *commands <= ROBOT_MOST_COMMANDS) {
        commands = Input(Request, sizeof *commands, &status);
    }
    if (commands != NULL) BeginTurn(RobotOfQueue(Queue), Request, commands, (ULONG)(Length / sizeof *commands), TRUE);
    else Complete(Request, status, 0);
}

/* IOCTL_ROBOT_EXECUTE, from EvtIoDeviceControl. */
void NTAPI EvtIoExecute(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Out, SIZE_T In, ULONG Code)
{
    NTSTATUS status;
    const ROBOT_COMMAND *command = Input(Request, sizeof *command, &status);

    UNREFERENCED_PARAMETER(Out);
    UNREFERENCED_PARAMETER(In);
    UNREFERENCED_PARAMETER(Code);
    if (command != NULL) BeginTurn(RobotOfQueue(Queue), Request, command, 1, FALSE);
    else Complete(Request, status, 0);
}

/*
 * Stops the robot, and ends the turn of what runs: as aborted, or with a status that is not of success, after which the robot takes no
 * more programs.
 */
void RobotHalt(PROBOT Robot, NTSTATUS Status)
{
    ENDED ended;
    KIRQL irql;

    RtlZeroMemory(&ended, sizeof ended);
    ended.Status = Status;
    KeAcquireSpinLock(&Robot->Lock, &irql);
    if (!NT_SUCCESS(Status)) Robot->Gone = TRUE;
    if (Robot->Running != NULL) EndTurn(Robot, RobotAborted, NULL, &ended);
    /* The wheels may go on after RobotVelocity. */
    else if (Robot->Ring.Base != NULL) ProsewareAbort(&Robot->Ring);
    KeReleaseSpinLock(&Robot->Lock, irql);
    RobotComplete(&ended);
    RobotServeReaders(Robot);
}

/* Whoever else ends the request's turn leaves its completion to this. */
static void NTAPI EvtRequestCancel(WDFREQUEST Request)
{
    PROBOT robot = RobotOfQueue(WDF(WdfRequestGetIoQueue, WDFQUEUE, WDFREQUEST)(WdfDriverGlobals, Request));
    KIRQL irql;

    KeAcquireSpinLock(&robot->Lock, &irql);
    robot->Statistics.Cancelled++;
    if (robot->Running == Request) {
        /* The robot works on copies of the commands: after the abort nothing of the request is in use. */
        robot->Running = NULL;
        ProsewareAbort(&robot->Ring);
    }
    KeReleaseSpinLock(&robot->Lock, irql);
    Complete(Request, STATUS_CANCELLED, 0);
}

/* The queue stops, for power or for good: a program must not hold that up, and ends as aborted. */
void NTAPI EvtIoStop(WDFQUEUE Queue, WDFREQUEST Request, ULONG Flags)
{
    PROBOT robot = RobotOfQueue(Queue);
    ENDED ended;
    KIRQL irql;

    UNREFERENCED_PARAMETER(Flags);
    RtlZeroMemory(&ended, sizeof ended);
    KeAcquireSpinLock(&robot->Lock, &irql);
    /* Whoever took it out already completes it. */
    if (robot->Running == Request) EndTurn(robot, RobotAborted, NULL, &ended);
    KeReleaseSpinLock(&robot->Lock, irql);
    RobotComplete(&ended);
    RobotServeReaders(robot);
}
