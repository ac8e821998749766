/*
 * KmdfRobot.sys: the Proseware robot as a KMDF driver. The framework is the general half of this pair. Commands go through the robot's
 * mailbox, one at a time, those of programs too: the requests that carry them wait for their turn in a sequential queue. ReadFile gives a
 * ROBOT_STATE; of robot.h's IOCTLs all are there. Events are GeneralRobot's alone.
 */
#include "wdfsubset.h"
#include <robot.h>
#include <generated/proseware-robot.h>

#define REG(name) PROSEWARE_ROBOT_PROSEWARE_##name
#define FIELD(value, name) (((value) & REG(name##_MASK)) >> REG(name##_SHIFT))

#define MESSAGES 4
#define MOST_COMMANDS 4096 /* of one program */
#define PNP_STARTED 0x119 /* WdfDevStatePnpStarted */
#define NOTIFY_ALL 0x7 /* entering, after processing, leaving */

typedef struct _ROBOT {
    PUCHAR Registers;
    ULONG Length;
    ULONG Messages; /* interrupts by message; 0 with the line */
    volatile LONG Causes; /* from the ISR to the DPC */
    WDFQUEUE Turns; /* of requests with commands */
    KSPIN_LOCK Lock; /* guards the mailbox and what follows */
    WDFREQUEST Running; /* whose turn it is; cancelable */
    const ROBOT_COMMAND *Commands; /* in its buffer */
    ULONG Count, Done;
    BOOLEAN Program;
    ULONG Tag; /* of the command in the mailbox */
    ROBOT_STATISTICS Statistics;
    ULONG PnpChanges;
} ROBOT, *PROBOT;

/* A request that has had its turn, and what came of it. */
typedef struct _ENDED {
    WDFREQUEST Request; /* NULL: somebody else completes it */
    BOOLEAN Program;
    ULONG Done;
    ROBOT_COMMAND Command; /* the last that ran */
    ULONG Result;
    LONG Value;
} ENDED, *PENDED;

static const WDF_OBJECT_CONTEXT_TYPE_INFO RobotType = { sizeof RobotType, "ROBOT", sizeof(ROBOT), &RobotType, NULL };

DRIVER_INITIALIZE DriverEntry;
static EVT_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd;
static EVT_WDF_DEVICE_PREPARE_HARDWARE EvtDevicePrepareHardware;
static EVT_WDF_DEVICE_RELEASE_HARDWARE EvtDeviceReleaseHardware;
static EVT_WDF_DEVICE_D0 EvtDeviceD0Entry, EvtDeviceD0Exit;
static EVT_WDF_DEVICE_PNP_STATE_CHANGE_NOTIFICATION EvtDevicePnpStateChange;
static EVT_WDF_IO_QUEUE_IO_READ EvtIoRead;
static EVT_WDF_IO_QUEUE_IO_WRITE EvtIoWrite;
static EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoDeviceControl, EvtIoExecute;
static EVT_WDF_IO_QUEUE_IO_STOP EvtIoStop;
static EVT_WDF_REQUEST_CANCEL EvtRequestCancel;
static EVT_WDF_INTERRUPT_ISR EvtInterruptIsr;
static EVT_WDF_INTERRUPT_DPC EvtInterruptDpc;
static EVT_WDF_INTERRUPT_SWITCH EvtInterruptEnable, EvtInterruptDisable;

static PROBOT Robot(WDFOBJECT device)
{
    return WDF_FAST(WdfObjectGetTypedContextWorker, PVOID, WDFOBJECT, const WDF_OBJECT_CONTEXT_TYPE_INFO *)(WdfDriverGlobals, device, &RobotType);
}

static ULONG Read(PROBOT robot, ULONG offset)
{
    return READ_REGISTER_ULONG((PULONG)(robot->Registers + offset));
}

static void Write(PROBOT robot, ULONG offset, ULONG value)
{
    WRITE_REGISTER_ULONG((PULONG)(robot->Registers + offset), value);
}

static void Complete(WDFREQUEST request, NTSTATUS status, ULONG_PTR information)
{
    WDF(WdfRequestCompleteWithInformation, void, WDFREQUEST, NTSTATUS, ULONG_PTR)(WdfDriverGlobals, request, status, information);
}

/* NULL with the status when there is none of at least the size. */
static PVOID Buffer(ULONG which, WDFREQUEST request, SIZE_T size, PNTSTATUS status)
{
    PVOID buffer = NULL;

    *status = WDF(which, NTSTATUS, WDFREQUEST, SIZE_T, PVOID *, SIZE_T *)(WdfDriverGlobals, request, size, &buffer, NULL);
    return NT_SUCCESS(*status) ? buffer : NULL;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    WDF_DRIVER_CONFIG config = { .Size = sizeof config, .EvtDriverDeviceAdd = EvtDriverDeviceAdd };

    return WDF(WdfDriverCreate, NTSTATUS, PDRIVER_OBJECT, PUNICODE_STRING, WDF_OBJECT_ATTRIBUTES *, WDF_DRIVER_CONFIG *, WDFDRIVER *)(
        WdfDriverGlobals, DriverObject, RegistryPath, NULL, &config, NULL);
}

static NTSTATUS CreateInterrupts(WDFDEVICE device)
{
    WDF_INTERRUPT_CONFIG config = {
        .Size = sizeof config,
        .ShareVector = 2,
        .EvtInterruptIsr = EvtInterruptIsr,
        .EvtInterruptDpc = EvtInterruptDpc,
        .EvtInterruptEnable = EvtInterruptEnable,
        .EvtInterruptDisable = EvtInterruptDisable,
    };
    ULONG i;

    /* One for each message; with fewer granted, the framework leaves the rest unconnected. */
    for (i = 0; i < MESSAGES; i++) {
        WDFINTERRUPT interrupt;
        NTSTATUS status = WDF(WdfInterruptCreate, NTSTATUS, WDFDEVICE, WDF_INTERRUPT_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFINTERRUPT *)(
            WdfDriverGlobals, device, &config, NULL, &interrupt);

        if (!NT_SUCCESS(status)) return status;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS CreateQueues(WDFDEVICE device)
{
    WDF_IO_QUEUE_CONFIG queue = {
        .Size = sizeof queue,
        .DispatchType = 2, /* parallel */
        .PowerManaged = 2,
        .DefaultQueue = TRUE,
        .EvtIoRead = EvtIoRead,
        .EvtIoDeviceControl = EvtIoDeviceControl,
        .Settings.NumberOfPresentedRequests = MAXULONG,
    };
    WDF_IO_QUEUE_CONFIG turns = {
        .Size = sizeof turns,
        .DispatchType = 1, /* sequential */
        .PowerManaged = 2,
        .EvtIoWrite = EvtIoWrite,
        .EvtIoDeviceControl = EvtIoExecute,
        .EvtIoStop = EvtIoStop,
    };
    PROBOT robot = Robot(device);
    NTSTATUS status = WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
        WdfDriverGlobals, device, &queue, NULL, NULL);

    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
        WdfDriverGlobals, device, &turns, NULL, &robot->Turns);
    if (!NT_SUCCESS(status)) return status;
    return WDF(WdfDeviceConfigureRequestDispatching, NTSTATUS, WDFDEVICE, WDFQUEUE, ULONG)(WdfDriverGlobals, device, robot->Turns, IRP_MJ_WRITE);
}

static NTSTATUS NTAPI EvtDriverDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT Init)
{
    static const GUID robots = ROBOT_INTERFACE_GUID;
    WDF_PNPPOWER_EVENT_CALLBACKS power = {
        .Size = sizeof power,
        .EvtDeviceD0Entry = EvtDeviceD0Entry,
        .EvtDeviceD0Exit = EvtDeviceD0Exit,
        .EvtDevicePrepareHardware = EvtDevicePrepareHardware,
        .EvtDeviceReleaseHardware = EvtDeviceReleaseHardware,
    };
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1, .ContextTypeInfo = &RobotType };
    WDFDEVICE device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(Driver);
    WDF(WdfDeviceInitSetPnpPowerEventCallbacks, void, PWDFDEVICE_INIT, WDF_PNPPOWER_EVENT_CALLBACKS *)(WdfDriverGlobals, Init, &power);
    WDF(WdfDeviceInitSetIoType, void, PWDFDEVICE_INIT, ULONG)(WdfDriverGlobals, Init, 2 /* buffered */);
    status = WDF(WdfDeviceInitRegisterPnpStateChangeCallback, NTSTATUS, PWDFDEVICE_INIT, ULONG, EVT_WDF_DEVICE_PNP_STATE_CHANGE_NOTIFICATION *, ULONG)(
        WdfDriverGlobals, Init, PNP_STARTED, EvtDevicePnpStateChange, NOTIFY_ALL);
    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfDeviceCreate, NTSTATUS, PWDFDEVICE_INIT *, WDF_OBJECT_ATTRIBUTES *, WDFDEVICE *)(WdfDriverGlobals, &Init, &attributes, &device);
    if (!NT_SUCCESS(status)) return status;
    KeInitializeSpinLock(&Robot(device)->Lock);
    status = CreateInterrupts(device);
    if (!NT_SUCCESS(status)) return status;
    status = CreateQueues(device);
    if (!NT_SUCCESS(status)) return status;
    return WDF(WdfDeviceCreateDeviceInterface, NTSTATUS, WDFDEVICE, const GUID *, PUNICODE_STRING)(WdfDriverGlobals, device, &robots, NULL);
}

/* ---- hardware ---- */

static NTSTATUS NTAPI EvtDevicePrepareHardware(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
    ULONG count = WDF(WdfCmResourceListGetCount, ULONG, WDFCMRESLIST)(WdfDriverGlobals, Translated), i;
    PROBOT robot = Robot(Device);

    UNREFERENCED_PARAMETER(Raw);
    robot->Messages = 0;
    for (i = 0; i < count; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR at = WDF(WdfCmResourceListGetDescriptor, PCM_PARTIAL_RESOURCE_DESCRIPTOR, WDFCMRESLIST, ULONG)(
            WdfDriverGlobals, Translated, i);

        if (at->Type == CmResourceTypeMemory && robot->Registers == NULL) {
            if (at->u.Memory.Length < PROSEWARE_ROBOT_BAR0_SIZE) return STATUS_DEVICE_CONFIGURATION_ERROR;
            robot->Registers = MmMapIoSpace(at->u.Memory.Start, at->u.Memory.Length, MmNonCached);
            if (robot->Registers == NULL) return STATUS_INSUFFICIENT_RESOURCES;
            robot->Length = at->u.Memory.Length;
        } else if (at->Type == CmResourceTypeInterrupt && (at->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0 && robot->Messages < MESSAGES) {
            /* MSI-X has a descriptor for each message granted. */
            robot->Messages++;
        }
    }
    if (robot->Registers == NULL) return STATUS_DEVICE_CONFIGURATION_ERROR;
    return Read(robot, REG(ID)) == 0x42525750 /* "PWRB" */ ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

/* Also after a failed EvtDevicePrepareHardware. */
static NTSTATUS NTAPI EvtDeviceReleaseHardware(WDFDEVICE Device, WDFCMRESLIST Translated)
{
    PROBOT robot = Robot(Device);

    UNREFERENCED_PARAMETER(Translated);
    if (robot->Registers != NULL) MmUnmapIoSpace(robot->Registers, robot->Length);
    robot->Registers = NULL;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI EvtDeviceD0Entry(WDFDEVICE Device, ULONG Previous)
{
    PROBOT robot = Robot(Device);

    UNREFERENCED_PARAMETER(Previous);
    Write(robot, REG(CONTROL), REG(CONTROL_RESET_MASK));
    if (Read(robot, REG(CONTROL)) != REG(CONTROL_BUMPSTOP_MASK)) return STATUS_DEVICE_NOT_READY;
    Write(robot, REG(FAULTS), MAXULONG);
    Write(robot, REG(SENSEVT), MAXULONG);
    Write(robot, REG(INTSTS), MAXULONG);
    Write(robot, REG(CONTROL), REG(CONTROL_MOTEN_MASK) | REG(CONTROL_BUMPSTOP_MASK));
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI EvtDeviceD0Exit(WDFDEVICE Device, ULONG Target)
{
    PROBOT robot = Robot(Device);

    UNREFERENCED_PARAMETER(Target);
    /* A robot that is gone takes no harm from writes. */
    Write(robot, REG(CONTROL), REG(CONTROL_BUMPSTOP_MASK));
    Write(robot, REG(WDT_PERIOD), 0);
    return STATUS_SUCCESS;
}

/* The framework tells; what it tells is kept for whoever asks with a debugger. */
static void NTAPI EvtDevicePnpStateChange(WDFDEVICE Device, const WDF_DEVICE_PNP_NOTIFICATION_DATA *Data)
{
    UNREFERENCED_PARAMETER(Data);
    Robot(Device)->PnpChanges++;
}

/* ---- interrupts ---- */

/* Each of the messages calls it; the bit for all is the same. */
static NTSTATUS NTAPI EvtInterruptEnable(WDFINTERRUPT Interrupt, WDFDEVICE Device)
{
    UNREFERENCED_PARAMETER(Interrupt);
    Write(Robot(Device), REG(INTEN), REG(INTEN_ENABLE_MASK));
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI EvtInterruptDisable(WDFINTERRUPT Interrupt, WDFDEVICE Device)
{
    UNREFERENCED_PARAMETER(Interrupt);
    Write(Robot(Device), REG(INTEN), 0);
    return STATUS_SUCCESS;
}

static BOOLEAN NTAPI EvtInterruptIsr(WDFINTERRUPT Interrupt, ULONG Message)
{
    PROBOT robot = Robot(WDF(WdfInterruptGetDevice, WDFDEVICE, WDFINTERRUPT)(WdfDriverGlobals, Interrupt));
    ULONG status = Read(robot, REG(INTSTS));

    UNREFERENCED_PARAMETER(Message);
    /* All ones: the robot is gone, and so is its claim to the line. */
    if (status == 0 || status == MAXULONG) {
        InterlockedIncrement((PLONG)&robot->Statistics.Foreign);
        return FALSE;
    }
    Write(robot, REG(INTSTS), status);
    /* The write has arrived, and the line fallen, when this read returns. */
    Read(robot, REG(INTSTS));
    InterlockedIncrement((PLONG)&robot->Statistics.Interrupts);
    InterlockedOr(&robot->Causes, (LONG)status);
    WDF(WdfInterruptQueueDpcForIsr, BOOLEAN, WDFINTERRUPT)(WdfDriverGlobals, Interrupt);
    return TRUE;
}

static ULONG Result(ULONG code)
{
    static const UCHAR results[] = {
        RobotNone, RobotOk, RobotBlocked, RobotStalled, RobotAborted, RobotInvalid, RobotFailed, RobotDisabled, RobotNoPower, RobotWatchdog,
    };

    return code < sizeof results ? results[code] : RobotFailed;
}

/* The next command, into the mailbox; under the lock. */
static void Post(PROBOT robot)
{
    const ROBOT_COMMAND *command = robot->Commands + robot->Done;

    robot->Tag = (robot->Tag + 1) & 0xffff;
    Write(robot, REG(ARG0), (ULONG)command->Argument0);
    Write(robot, REG(ARG1), (ULONG)command->Argument1);
    /* The robot's opcodes are in robot.h's order. */
    Write(robot, REG(COMMAND), command->Opcode | robot->Tag << REG(COMMAND_TAG_SHIFT));
}

/*
 * The turn of the request that runs is over; under the lock. Until it is unmarked EvtRequestCancel may come, which waits for the lock: it is
 * then the one that completes.
 */
static void EndTurn(PROBOT robot, PENDED ended)
{
    ended->Request = robot->Running;
    ended->Program = robot->Program;
    ended->Command = robot->Commands[robot->Done < robot->Count ? robot->Done : robot->Count - 1];
    ended->Done = robot->Done;
    robot->Running = NULL;
    if (WDF(WdfRequestUnmarkCancelable, NTSTATUS, WDFREQUEST)(WdfDriverGlobals, ended->Request) == STATUS_CANCELLED) ended->Request = NULL;
}

/* Completes a request with what came of it; not under the lock. */
static void Finish(const ENDED *ended)
{
    PROBOT_COMPLETION out;
    NTSTATUS status;

    if (ended->Request == NULL) return;
    if (ended->Program) {
        Complete(ended->Request, ended->Done > 0 ? STATUS_SUCCESS : STATUS_IO_DEVICE_ERROR, ended->Done * sizeof(ROBOT_COMMAND));
        return;
    }
    out = Buffer(WdfRequestRetrieveOutputBuffer, ended->Request, sizeof *out, &status);
    if (out == NULL) {
        Complete(ended->Request, status, 0);
        return;
    }
    RtlZeroMemory(out, sizeof *out);
    out->Tag = ended->Command.Tag;
    out->Opcode = ended->Command.Opcode;
    out->Result = ended->Result;
    out->Value = ended->Value;
    Complete(ended->Request, STATUS_SUCCESS, sizeof *out);
}

static void NTAPI EvtInterruptDpc(WDFINTERRUPT Interrupt, WDFOBJECT Device)
{
    PROBOT robot = Robot(Device);
    ULONG causes = (ULONG)InterlockedExchange((PLONG)&robot->Causes, 0), value;
    ENDED ended;
    KIRQL irql;

    UNREFERENCED_PARAMETER(Interrupt);
    RtlZeroMemory(&ended, sizeof ended);
    KeAcquireSpinLock(&robot->Lock, &irql);
    robot->Statistics.Dpcs++;
    if ((causes & 0x1) != 0 && robot->Running != NULL) {
        value = Read(robot, REG(RESULT));
        /* An earlier command's end is not this one's. */
        if (FIELD(value, RESULT_TAG) == robot->Tag) {
            ended.Result = Result(FIELD(value, RESULT_CODE));
            ended.Value = (LONG)Read(robot, REG(RESULT_VALUE));
            robot->Statistics.Commands++;
            if (ended.Result == RobotOk) robot->Done++;
            if (ended.Result == RobotOk && robot->Done < robot->Count) Post(robot);
            else EndTurn(robot, &ended);
        }
    }
    /* Whatever else happened is for GET_STATE: cleared, so that the next edge interrupts again. */
    if ((causes & 0x2) != 0) Write(robot, REG(SENSEVT), Read(robot, REG(SENSEVT)));
    if ((causes & 0x4) != 0) Write(robot, REG(FAULTS), Read(robot, REG(FAULTS)));
    KeReleaseSpinLock(&robot->Lock, irql);
    Finish(&ended);
}

/* ---- requests ---- */

static LONG Range(PROBOT robot, ULONG n)
{
    ULONG value = Read(robot, REG(RANGE)(n));

    if ((value & REG(RANGE_VALID_MASK)) == 0) return ROBOT_NO_SENSOR;
    return (value & REG(RANGE_NOECHO_MASK)) != 0 ? ROBOT_NO_ECHO : (LONG)FIELD(value, RANGE_MM);
}

static NTSTATUS State(PROBOT robot, PROBOT_STATE state)
{
    static const struct { ULONG Status, Flag; } flags[] = {
        { REG(STATUS_READY_MASK), ROBOT_STATE_READY }, { REG(STATUS_BUSY_MASK) | REG(STATUS_RUNNING_MASK), ROBOT_STATE_BUSY },
        { REG(STATUS_MOVING_MASK), ROBOT_STATE_MOVING }, { REG(STATUS_PENDOWN_MASK), ROBOT_STATE_TOOL }, { REG(STATUS_BATLOW_MASK), ROBOT_STATE_LOW },
        { REG(STATUS_BATCRIT_MASK), ROBOT_STATE_CRITICAL }, { REG(STATUS_FAULT_MASK), ROBOT_STATE_FAULT }, { REG(STATUS_BUMPED_MASK), ROBOT_STATE_BUMPED },
    };
    ULONG status = Read(robot, REG(STATUS)), battery = Read(robot, REG(BATTERY)), i;

    if (status == MAXULONG) return STATUS_DEVICE_NOT_CONNECTED;
    RtlZeroMemory(state, sizeof *state);
    for (i = 0; i < RTL_NUMBER_OF(flags); i++) {
        if ((status & flags[i].Status) != 0) state->Flags |= flags[i].Flag;
    }
    state->Left = (LONG)Read(robot, REG(ODO_L));
    state->Right = (LONG)Read(robot, REG(ODO_R));
    state->Heading = (LONG)(Read(robot, REG(HEADING)) & REG(HEADING_TENTHS_MASK));
    for (i = 0; i < REG(RANGE_COUNT); i++) state->Range[i] = Range(robot, i);
    state->Range[3] = ROBOT_NO_SENSOR;
    state->Bumpers = Read(robot, REG(BUMPERS)) & REG(BUMPERS_PRESSED_MASK);
    state->Battery = FIELD(battery, BATTERY_PERCENT);
    return STATUS_SUCCESS;
}

static NTSTATUS Info(PROBOT robot, PROBOT_INFO info)
{
    ULONG version = Read(robot, REG(VERSION)), caps = Read(robot, REG(CAPS)), serial = Read(robot, REG(SERIAL));
    int i;

    if (version == MAXULONG) return STATUS_DEVICE_NOT_CONNECTED;
    RtlZeroMemory(info, sizeof *info);
    info->Size = sizeof *info;
    if ((caps & REG(CAPS_PEN_MASK)) != 0) info->Capabilities |= ROBOT_HAS_PEN;
    if ((caps & REG(CAPS_GRIPPER_MASK)) != 0) info->Capabilities |= ROBOT_HAS_GRIPPER;
    info->VersionMajor = FIELD(version, VERSION_MAJOR);
    info->VersionMinor = FIELD(version, VERSION_MINOR);
    info->Ranges = FIELD(caps, CAPS_RANGES);
    info->MostDistance = 10000;
    info->MostAngle = 36000;
    info->MostSpeed = 500;
    info->Messages = robot->Messages;
    RtlCopyMemory(info->Name, "Proseware", sizeof "Proseware");
    for (i = 0; i < 8; i++) info->Serial[i] = "0123456789abcdef"[serial >> (28 - 4 * i) & 0xf];
    return STATUS_SUCCESS;
}

/* A queue's parent is its device. */
static PROBOT RobotOf(WDFQUEUE queue)
{
    return Robot(WDF(WdfIoQueueGetDevice, WDFDEVICE, WDFQUEUE)(WdfDriverGlobals, queue));
}

static void NTAPI EvtIoRead(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Length)
{
    NTSTATUS status;
    PROBOT_STATE out = Buffer(WdfRequestRetrieveOutputBuffer, Request, sizeof *out, &status);

    UNREFERENCED_PARAMETER(Length);
    if (out != NULL) status = State(RobotOf(Queue), out);
    Complete(Request, status, NT_SUCCESS(status) ? sizeof *out : 0);
}

/* The turn lasts until EvtInterruptDpc, STOP, EvtIoStop or EvtRequestCancel ends it. A request that gets none is completed here. */
static void BeginTurn(PROBOT robot, WDFREQUEST request, const ROBOT_COMMAND *commands, ULONG count, BOOLEAN program)
{
    NTSTATUS status = STATUS_SUCCESS;
    KIRQL irql;
    ULONG i;

    for (i = 0; i < count; i++) {
        if (commands[i].Opcode >= RobotOpcodes) status = STATUS_INVALID_PARAMETER;
    }
    if (NT_SUCCESS(status)) {
        KeAcquireSpinLock(&robot->Lock, &irql);
        status = WDF(WdfRequestMarkCancelableEx, NTSTATUS, WDFREQUEST, EVT_WDF_REQUEST_CANCEL *)(WdfDriverGlobals, request, EvtRequestCancel);
        if (NT_SUCCESS(status)) {
            robot->Running = request;
            robot->Commands = commands;
            robot->Count = count;
            robot->Done = 0;
            robot->Program = program;
            Post(robot);
        }
        KeReleaseSpinLock(&robot->Lock, irql);
    }
    if (!NT_SUCCESS(status)) Complete(request, status, 0);
}

static void NTAPI EvtIoWrite(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Length)
{
    NTSTATUS status = STATUS_INVALID_PARAMETER;
    const ROBOT_COMMAND *commands = NULL;

    if (Length % sizeof *commands == 0 && Length / sizeof *commands <= MOST_COMMANDS) {
        commands = Buffer(WdfRequestRetrieveInputBuffer, Request, sizeof *commands, &status);
    }
    if (commands != NULL) BeginTurn(RobotOf(Queue), Request, commands, (ULONG)(Length / sizeof *commands), TRUE);
    else Complete(Request, status, 0);
}

/* IOCTL_ROBOT_EXECUTE, from EvtIoDeviceControl. */
static void NTAPI EvtIoExecute(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Out, SIZE_T In, ULONG Code)
{
    NTSTATUS status;
    const ROBOT_COMMAND *command = Buffer(WdfRequestRetrieveInputBuffer, Request, sizeof *command, &status);

    UNREFERENCED_PARAMETER(Out);
    UNREFERENCED_PARAMETER(In);
    UNREFERENCED_PARAMETER(Code);
    if (command != NULL) BeginTurn(RobotOf(Queue), Request, command, 1, FALSE);
    else Complete(Request, status, 0);
}

/* Stops the robot, and ends the turn of what runs. With only: nothing happens unless that one runs. */
static void Stop(PROBOT robot, WDFREQUEST only, PENDED ended)
{
    KIRQL irql;

    RtlZeroMemory(ended, sizeof *ended);
    ended->Result = RobotAborted;
    KeAcquireSpinLock(&robot->Lock, &irql);
    if (only == NULL || robot->Running == only) {
        if (robot->Running != NULL) EndTurn(robot, ended);
        robot->Tag = (robot->Tag + 1) & 0xffff;
        Write(robot, REG(ARG0), 0);
        Write(robot, REG(ARG1), 0);
        Write(robot, REG(COMMAND), REG(COMMAND_OPCODE_STOP) | robot->Tag << REG(COMMAND_TAG_SHIFT));
    }
    KeReleaseSpinLock(&robot->Lock, irql);
}

/* Whoever else ends the request's turn leaves its completion to this. */
static void NTAPI EvtRequestCancel(WDFREQUEST Request)
{
    PROBOT robot = RobotOf(WDF(WdfRequestGetIoQueue, WDFQUEUE, WDFREQUEST)(WdfDriverGlobals, Request));
    ENDED ended;

    Stop(robot, Request, &ended);
    InterlockedIncrement((PLONG)&robot->Statistics.Cancelled);
    Complete(Request, STATUS_CANCELLED, 0);
}

/* The queue stops, for power or for good: a command must not hold that up. */
static void NTAPI EvtIoStop(WDFQUEUE Queue, WDFREQUEST Request, ULONG Flags)
{
    PROBOT robot = RobotOf(Queue);
    ENDED ended;

    UNREFERENCED_PARAMETER(Flags);
    Stop(robot, Request, &ended);
    if (ended.Request == NULL) return;
    InterlockedIncrement((PLONG)&robot->Statistics.Cancelled);
    Complete(Request, STATUS_CANCELLED, 0);
}

static void NTAPI EvtIoDeviceControl(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Out, SIZE_T In, ULONG Code)
{
    PROBOT robot = RobotOf(Queue);
    ULONG_PTR information = 0;
    NTSTATUS status = STATUS_SUCCESS;
    ENDED ended;
    PVOID buffer;

    UNREFERENCED_PARAMETER(Out);
    UNREFERENCED_PARAMETER(In);
    switch (Code) {
    case IOCTL_ROBOT_GET_INFO:
        buffer = Buffer(WdfRequestRetrieveOutputBuffer, Request, sizeof(ROBOT_INFO), &status);
        if (buffer != NULL) status = Info(robot, buffer), information = sizeof(ROBOT_INFO);
        break;
    case IOCTL_ROBOT_GET_STATE:
        buffer = Buffer(WdfRequestRetrieveOutputBuffer, Request, sizeof(ROBOT_STATE), &status);
        if (buffer != NULL) status = State(robot, buffer), information = sizeof(ROBOT_STATE);
        break;
    case IOCTL_ROBOT_GET_STATISTICS:
        buffer = Buffer(WdfRequestRetrieveOutputBuffer, Request, sizeof(ROBOT_STATISTICS), &status);
        if (buffer != NULL) *(PROBOT_STATISTICS)buffer = robot->Statistics, information = sizeof(ROBOT_STATISTICS);
        break;
    case IOCTL_ROBOT_EXECUTE:
        if (Buffer(WdfRequestRetrieveOutputBuffer, Request, sizeof(ROBOT_COMPLETION), &status) == NULL) break;
        if (Buffer(WdfRequestRetrieveInputBuffer, Request, sizeof(ROBOT_COMMAND), &status) == NULL) break;
        status = WDF(WdfRequestForwardToIoQueue, NTSTATUS, WDFREQUEST, WDFQUEUE)(WdfDriverGlobals, Request, robot->Turns);
        if (NT_SUCCESS(status)) return;
        break;
    case IOCTL_ROBOT_STOP:
        Stop(robot, NULL, &ended);
        Finish(&ended);
        break;
    case IOCTL_ROBOT_SET_WATCHDOG:
        buffer = Buffer(WdfRequestRetrieveInputBuffer, Request, sizeof(ULONG), &status);
        if (buffer == NULL) break;
        if (*(PULONG)buffer > REG(WDT_PERIOD_MS_MASK)) status = STATUS_INVALID_PARAMETER;
        else Write(robot, REG(WDT_PERIOD), *(PULONG)buffer);
        break;
    case IOCTL_ROBOT_FEED_WATCHDOG:
        Write(robot, REG(WDT_FEED), 0x600d);
        break;
    default:
        status = STATUS_INVALID_DEVICE_REQUEST;
        break;
    }
    Complete(Request, status, NT_SUCCESS(status) ? information : 0);
}
