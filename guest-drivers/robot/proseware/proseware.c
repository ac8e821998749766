/*
 * ProsewareRobot.sys: what is Proseware's own of a robot (docs/robots/proseware.md). Commands go through the ring in guest memory;
 * the mailbox is used for STOP alone, which it never refuses. Register names are the datasheet's, generated from the model.
 */
#include <robotpair.h>
#include <generated/proseware-robot.h>

#define REG(name) PROSEWARE_ROBOT_PROSEWARE_##name
#define FIELD(value, name) (((value) & REG(name##_MASK)) >> REG(name##_SHIFT))

#define ENTRIES 64u /* of ring and queue, 16 bytes each */
#define RING_OFFSET 0u
#define QUEUE_OFFSET (ENTRIES * 16u)
#define COMMON_LENGTH (2u * ENTRIES * 16u)

/* Structures in guest memory; the datasheet's page has them, the register tables do not. */
typedef struct _DESCRIPTOR {
    ULONG Command; /* 7:0 opcode, 8 INT, 9 CONTINUE, 31:16 tag */
    LONG Argument0;
    LONG Argument1;
    ULONG Zero;
} DESCRIPTOR;

typedef struct _COMPLETION {
    LONG Value;
    ULONG Time;
    ULONG HeadingBattery;
    ULONG Last; /* 15:0 tag, 23:16 result, 30:24 opcode, 31 phase; written last */
} COMPLETION;

#define DESCRIPTOR_INT 0x100u
#define COMPLETION_PHASE 0x80000000u

typedef struct _PROSEWARE {
    ULONG Tail; /* filled next */
    ULONG Head; /* read next */
    ULONG Phase; /* expected: COMPLETION_PHASE or 0 */
} PROSEWARE;

DRIVER_INITIALIZE DriverEntry;
static ROBOT_CALLBACK DeviceControlCallback, PnpCallback, PowerCallback;

static PVOID g_ProsewareRobotCallbacks[RobotCallbacks] = { DeviceControlCallback, PnpCallback, PowerCallback };

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    return GeneralRobotInit(DriverObject, RegistryPath, g_ProsewareRobotCallbacks);
}

static ULONG Read(PROBOT_DEVICE device, ULONG offset)
{
    return READ_REGISTER_ULONG((PULONG)(device->Bars[0].Base + offset));
}

static void Write(PROBOT_DEVICE device, ULONG offset, ULONG value)
{
    WRITE_REGISTER_ULONG((PULONG)(device->Bars[0].Base + offset), value);
}

/* ---- the ring ---- */

/* Empty ring and queue, and RUN. */
static void StartRing(PROBOT_DEVICE device)
{
    PROSEWARE *robot = device->Specific;
    ULONGLONG ring = (ULONGLONG)device->CommonLogical.QuadPart + RING_OFFSET, queue = (ULONGLONG)device->CommonLogical.QuadPart + QUEUE_OFFSET;

    RtlZeroMemory(device->Common, COMMON_LENGTH);
    robot->Tail = robot->Head = 0;
    robot->Phase = COMPLETION_PHASE;
    Write(device, REG(RING_BASE), (ULONG)ring);
    Write(device, REG(RING_BASE) + 4, (ULONG)(ring >> 32));
    Write(device, REG(RING_SIZE), ENTRIES);
    Write(device, REG(CQ_BASE), (ULONG)queue);
    Write(device, REG(CQ_BASE) + 4, (ULONG)(queue >> 32));
    Write(device, REG(CQ_SIZE), ENTRIES);
    Write(device, REG(RING_CTRL), REG(RING_CTRL_RUN_MASK));
}

/* Wheels, mailbox and ring; the read returns when the robot has seen both writes, and written its last completion. */
static void StopAll(PROBOT_DEVICE device)
{
    Write(device, REG(ARG0), 0);
    Write(device, REG(ARG1), 0);
    Write(device, REG(COMMAND), REG(COMMAND_OPCODE_STOP));
    Write(device, REG(RING_CTRL), 0);
    Read(device, REG(RING_STATUS));
}

static NTSTATUS Submit(PROBOT_DEVICE device, const ROBOT_COMMAND *command)
{
    static const UCHAR opcodes[RobotOpcodes] = {
        REG(COMMAND_OPCODE_NOP), REG(COMMAND_OPCODE_DRIVE), REG(COMMAND_OPCODE_TURN), REG(COMMAND_OPCODE_VELOCITY), REG(COMMAND_OPCODE_STOP),
        REG(COMMAND_OPCODE_PEN), REG(COMMAND_OPCODE_LED), REG(COMMAND_OPCODE_WAIT), REG(COMMAND_OPCODE_ZERO_ODOMETER),
    };
    PROSEWARE *robot = device->Specific;
    volatile DESCRIPTOR *descriptor = (volatile DESCRIPTOR *)((PUCHAR)device->Common + RING_OFFSET) + robot->Tail;

    /* Arguments out of range the robot itself answers with INVALID. */
    if (command->Opcode >= RobotOpcodes) return STATUS_INVALID_PARAMETER;
    descriptor->Command = opcodes[command->Opcode] | DESCRIPTOR_INT | command->Tag << 16;
    descriptor->Argument0 = command->Argument0;
    descriptor->Argument1 = command->Argument1;
    descriptor->Zero = 0;
    robot->Tail = (robot->Tail + 1) % ENTRIES;
    ROBOT_BARRIER();
    Write(device, REG(RING_TAIL), robot->Tail);
    return STATUS_SUCCESS;
}

static NTSTATUS Reap(PROBOT_DEVICE device, PROBOT_COMPLETION completion)
{
    PROSEWARE *robot = device->Specific;
    volatile COMPLETION *entry = (volatile COMPLETION *)((PUCHAR)device->Common + QUEUE_OFFSET) + robot->Head;
    ULONG last = entry->Last;

    if ((last & COMPLETION_PHASE) != robot->Phase) return STATUS_NO_MORE_ENTRIES;
    ROBOT_BARRIER();
    completion->Result = last >> 16 & 0xff;
    completion->Value = entry->Value;
    completion->Time = entry->Time;
    robot->Head = (robot->Head + 1) % ENTRIES;
    if (robot->Head == 0) robot->Phase ^= COMPLETION_PHASE;
    Write(device, REG(CQ_HEAD), robot->Head);
    return STATUS_SUCCESS;
}

/* ---- interrupts ---- */

static NTSTATUS Interrupt(PROBOT_DEVICE device, PULONG causes)
{
    ULONG status = Read(device, REG(INTSTS));

    /* All ones: the robot is gone, and so is its claim to the line. */
    if (status == 0 || status == MAXULONG) return STATUS_NO_MORE_ENTRIES;
    Write(device, REG(INTSTS), status);
    /* The write has arrived, and the line fallen, when this read returns. */
    Read(device, REG(INTSTS));
    *causes = status;
    return STATUS_SUCCESS;
}

static void Collect(PROBOT_DEVICE device, PROBOT_COLLECTION collection)
{
    ULONG value;

    if ((collection->Causes & 0x2) != 0) {
        value = Read(device, REG(SENSEVT));
        Write(device, REG(SENSEVT), value);
        collection->Bumpers = FIELD(value, SENSEVT_BUMP);
        collection->Near = (value & REG(SENSEVT_NEAR_MASK)) != 0;
    }
    if ((collection->Causes & 0x4) != 0) {
        value = Read(device, REG(FAULTS));
        Write(device, REG(FAULTS), value);
        /* The bits are those of ROBOT_FAULT_. */
        collection->Faults = value & 0xff;
    }
    if ((collection->Causes & 0x8) != 0) {
        collection->BatteryFell = TRUE;
        collection->Battery = FIELD(Read(device, REG(BATTERY)), BATTERY_PERCENT);
    }
}

/* ---- what programs ask ---- */

static void Hex(PCHAR out, ULONG value)
{
    int i;

    for (i = 0; i < 8; i++) out[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 0xf];
}

static NTSTATUS Info(PROBOT_DEVICE device, PROBOT_INFO info)
{
    ULONG version = Read(device, REG(VERSION)), caps = Read(device, REG(CAPS));

    if (version == MAXULONG) return STATUS_DEVICE_NOT_CONNECTED;
    if ((caps & REG(CAPS_PEN_MASK)) != 0) info->Capabilities |= ROBOT_HAS_PEN;
    if ((caps & REG(CAPS_GRIPPER_MASK)) != 0) info->Capabilities |= ROBOT_HAS_GRIPPER;
    info->VersionMajor = FIELD(version, VERSION_MAJOR);
    info->VersionMinor = FIELD(version, VERSION_MINOR);
    info->Ranges = FIELD(caps, CAPS_RANGES);
    info->MostDistance = 10000;
    info->MostAngle = 36000;
    info->MostSpeed = 500;
    RtlCopyMemory(info->Name, "Proseware", sizeof "Proseware");
    Hex(info->Serial, Read(device, REG(SERIAL)));
    return STATUS_SUCCESS;
}

static LONG Range(PROBOT_DEVICE device, ULONG n)
{
    ULONG value = Read(device, REG(RANGE)(n));

    if ((value & REG(RANGE_VALID_MASK)) == 0) return ROBOT_NO_SENSOR;
    return (value & REG(RANGE_NOECHO_MASK)) != 0 ? ROBOT_NO_ECHO : (LONG)FIELD(value, RANGE_MM);
}

static NTSTATUS State(PROBOT_DEVICE device, PROBOT_STATE state)
{
    ULONG i;

    state->Flags = Read(device, REG(STATUS));
    if (state->Flags == MAXULONG) return STATUS_DEVICE_NOT_CONNECTED;
    state->Left = (LONG)Read(device, REG(ODO_L));
    state->Right = (LONG)Read(device, REG(ODO_R));
    state->Heading = (LONG)(Read(device, REG(HEADING)) & REG(HEADING_TENTHS_MASK));
    for (i = 0; i < REG(RANGE_COUNT); i++) state->Range[i] = Range(device, i);
    state->Range[3] = ROBOT_NO_SENSOR;
    state->Bumpers = Read(device, REG(BUMPERS)) & REG(BUMPERS_PRESSED_MASK);
    state->Battery = FIELD(Read(device, REG(BATTERY)), BATTERY_PERCENT);
    return STATUS_SUCCESS;
}

/* ---- the callbacks ---- */

static NTSTATUS NTAPI DeviceControlCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    switch (operation) {
    case RobotControlInterrupt: return Interrupt(device, data);
    case RobotControlCollect: Collect(device, data); return STATUS_SUCCESS;
    case RobotControlSubmit: return Submit(device, data);
    case RobotControlReap: return Reap(device, data);
    case RobotControlHalted: return (Read(device, REG(RING_STATUS)) & REG(RING_STATUS_FAILED_MASK)) != 0 ? STATUS_SUCCESS : STATUS_NO_MORE_ENTRIES;
    case RobotControlAbort: StopAll(device); StartRing(device); return STATUS_SUCCESS;
    case RobotControlInfo: return Info(device, data);
    case RobotControlState: return State(device, data);
    case RobotControlWatchdog: Write(device, REG(WDT_PERIOD), *(PULONG)data); return STATUS_SUCCESS;
    case RobotControlFeed: Write(device, REG(WDT_FEED), 0x600d); return STATUS_SUCCESS;
    default: return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI PnpCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    static const ROBOT_TRANSLATION results[] = {
        { REG(RESULT_CODE_OK), RobotOk }, { REG(RESULT_CODE_BLOCKED), RobotBlocked }, { REG(RESULT_CODE_STALLED), RobotStalled },
        { REG(RESULT_CODE_ABORTED), RobotAborted }, { REG(RESULT_CODE_INVALID), RobotInvalid }, { REG(RESULT_CODE_DISABLED), RobotDisabled },
        { REG(RESULT_CODE_NO_POWER), RobotNoPower }, { REG(RESULT_CODE_WATCHDOG), RobotWatchdog }, { 0, 0 },
    };
    static const ROBOT_TRANSLATION flags[] = {
        { REG(STATUS_READY_MASK), ROBOT_STATE_READY }, { REG(STATUS_BUSY_MASK) | REG(STATUS_RUNNING_MASK), ROBOT_STATE_BUSY },
        { REG(STATUS_MOVING_MASK), ROBOT_STATE_MOVING }, { REG(STATUS_PENDOWN_MASK), ROBOT_STATE_TOOL }, { REG(STATUS_BATLOW_MASK), ROBOT_STATE_LOW },
        { REG(STATUS_BATCRIT_MASK), ROBOT_STATE_CRITICAL }, { REG(STATUS_FAULT_MASK), ROBOT_STATE_FAULT }, { REG(STATUS_BUMPED_MASK), ROBOT_STATE_BUMPED },
        { 0, 0 },
    };
    static const ROBOT_DESCRIPTION description = {
        .ContextSize = sizeof(PROSEWARE), .RegisterLength = PROSEWARE_ROBOT_BAR0_SIZE, .CommonLength = COMMON_LENGTH, .AddressBits = 64,
        .Capacity = ENTRIES - 1, .MostWatchdog = REG(WDT_PERIOD_MS_MASK), .Results = results, .Flags = flags,
    };

    switch (operation) {
    case RobotPnpDescribe: *(PROBOT_DESCRIPTION)data = description; return STATUS_SUCCESS;
    case RobotPnpIdentify: return Read(device, REG(ID)) == 0x42525750 /* "PWRB" */ ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
    default: return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI PowerCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    UNREFERENCED_PARAMETER(data);
    switch (operation) {
    case RobotPowerUp:
        Write(device, REG(CONTROL), REG(CONTROL_RESET_MASK));
        if (Read(device, REG(CONTROL)) != REG(CONTROL_BUMPSTOP_MASK)) return STATUS_DEVICE_NOT_READY;
        Write(device, REG(FAULTS), MAXULONG);
        Write(device, REG(SENSEVT), MAXULONG);
        Write(device, REG(INTSTS), MAXULONG);
        StartRing(device);
        return STATUS_SUCCESS;
    case RobotPowerEnable:
        Write(device, REG(CONTROL), REG(CONTROL_MOTEN_MASK) | REG(CONTROL_BUMPSTOP_MASK));
        Write(device, REG(INTEN), REG(INTEN_ENABLE_MASK));
        return STATUS_SUCCESS;
    case RobotPowerDown:
        Write(device, REG(INTEN), 0);
        StopAll(device);
        Write(device, REG(CONTROL), REG(CONTROL_BUMPSTOP_MASK));
        /* An armed watchdog would go off in D3. */
        Write(device, REG(WDT_PERIOD), 0);
        Read(device, REG(STATUS));
        return STATUS_SUCCESS;
    default: return STATUS_NOT_SUPPORTED;
    }
}
