/*
 * ContosoRobot.sys: what is Contoso's own of a robot (docs/robots/contoso.md): 16-bit registers, half of them behind INDEX and WINDOW, encoder
 * ticks and parts of a circle, and a list of descriptors that change hands. Register names are the datasheet's, generated from the model.
 */
#include <robotpair.h>
#include <generated/contoso-robot.h>

#define REG(name) CONTOSO_ROBOT_CONTOSO_##name
#define INDEXED(name) (CONTOSO_ROBOT_CONTOSO_INDEXED_##name / 2u)

#define ENTRIES 32u
#define TICKS_PER_MM 4
#define TICKS_PER_CIRCLE 1440 /* of each wheel when turning */
#define CIRCLE 65536
#define TENTHS 3600

/* What fits a descriptor's 16 bits, in the units of robot.h. */
#define MOST_DISTANCE 8191
#define MOST_ANGLE 1799
#define MOST_SPEED 500

#define OWN 0x80000000u
#define INT 0x20000000u
#define RESULT_OF(control) ((control) >> 8 & 0xffu)

/* In guest memory, linked in a circle. The robot parks at the one whose OWN is 0: where the driver fills next. */
typedef struct _DESCRIPTOR {
    ULONG Control; /* 7:0 opcode, 15:8 result, 29 INT, 31 OWN */
    ULONG Next;
    USHORT Parameter0;
    USHORT Parameter1;
    ULONG Zero;
    LONG Left;
    LONG Right;
    ULONG Time;
    ULONG Cookie;
} DESCRIPTOR;

#define COMMON_LENGTH (ENTRIES * sizeof(DESCRIPTOR))

typedef struct _CONTOSO {
    ULONG Tail; /* filled next */
    ULONG Head; /* ends next */
    LONG Left, Right; /* encoders when the last descriptor ended */
} CONTOSO;

DRIVER_INITIALIZE DriverEntry;
static ROBOT_CALLBACK DeviceControlCallback, PnpCallback, PowerCallback;

static PVOID g_ContosoRobotCallbacks[RobotCallbacks] = { DeviceControlCallback, PnpCallback, PowerCallback };

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    return GeneralRobotInit(DriverObject, RegistryPath, g_ContosoRobotCallbacks);
}

static USHORT Read(PROBOT_DEVICE device, ULONG offset)
{
    return READ_REGISTER_USHORT((PUSHORT)(device->Bars[0].Base + offset));
}

static void Write(PROBOT_DEVICE device, ULONG offset, ULONG value)
{
    WRITE_REGISTER_USHORT((PUSHORT)(device->Bars[0].Base + offset), (USHORT)value);
}

/* INDEX and WINDOW are a pair: GeneralRobot's lock keeps them together, and the ISR uses neither. */
static USHORT ReadIndexed(PROBOT_DEVICE device, ULONG number)
{
    Write(device, REG(INDEX), number);
    return Read(device, REG(WINDOW));
}

static void WriteIndexed(PROBOT_DEVICE device, ULONG number, ULONG value)
{
    Write(device, REG(INDEX), number);
    Write(device, REG(WINDOW), value);
}

static void Encoders(PROBOT_DEVICE device, PLONG left, PLONG right)
{
    ULONG words[4], i;

    Write(device, REG(LATCH), REG(LATCH_STROBE_MASK));
    Write(device, REG(INDEX), INDEXED(ENC(0)) | REG(INDEX_AUTOINC_MASK));
    for (i = 0; i < 4; i++) words[i] = Read(device, REG(WINDOW));
    *left = (LONG)(words[0] | words[1] << 16);
    *right = (LONG)(words[2] | words[3] << 16);
}

/* ---- the list ---- */

static void StartList(PROBOT_DEVICE device)
{
    CONTOSO *robot = device->Specific;
    volatile DESCRIPTOR *list = device->Common;
    ULONG at = device->CommonLogical.LowPart, i;

    RtlZeroMemory(device->Common, COMMON_LENGTH);
    for (i = 0; i < ENTRIES; i++) list[i].Next = at + (i + 1) % ENTRIES * sizeof(DESCRIPTOR);
    robot->Tail = robot->Head = 0;
    Encoders(device, &robot->Left, &robot->Right);
    Write(device, REG(LISTLO), at & 0xffff);
    Write(device, REG(LISTHI), at >> 16);
}

/* Wheels, EXEC and list; the read returns when the robot has given back what it worked on. */
static void StopAll(PROBOT_DEVICE device)
{
    WriteIndexed(device, INDEXED(P(0)), 0);
    WriteIndexed(device, INDEXED(P(1)), 0);
    Write(device, REG(EXEC), REG(EXEC_OPCODE_HALT));
    Write(device, REG(DOORBELL), REG(DOORBELL_STOP_MASK));
    Read(device, REG(LISTST));
}

static BOOLEAN Within(LONG value, LONG least, LONG most)
{
    return value >= least && value <= most;
}

/* FALSE: this robot cannot say it. */
static BOOLEAN Translate(const ROBOT_COMMAND *command, PULONG opcode, PLONG parameter0, PLONG parameter1)
{
    LONG a = command->Argument0, b = command->Argument1;

    *parameter0 = *parameter1 = 0;
    switch (command->Opcode) {
    case RobotNop: *opcode = REG(EXEC_OPCODE_NOP); return a == 0 && b == 0;
    case RobotDrive:
        if (!Within(a, -MOST_DISTANCE, MOST_DISTANCE) || !Within(b, 1, MOST_SPEED)) return FALSE;
        *opcode = REG(EXEC_OPCODE_MOVE);
        *parameter0 = a * TICKS_PER_MM;
        *parameter1 = b * TICKS_PER_MM;
        return TRUE;
    case RobotTurn:
        if (!Within(a, -MOST_ANGLE, MOST_ANGLE) || !Within(b, 1, MOST_SPEED)) return FALSE;
        *opcode = REG(EXEC_OPCODE_TURN);
        /* To the nearest part of the circle. */
        *parameter0 = (a * CIRCLE + (a < 0 ? -TENTHS / 2 : TENTHS / 2)) / TENTHS;
        *parameter1 = b * TICKS_PER_MM;
        return TRUE;
    case RobotVelocity:
        if (!Within(a, -MOST_SPEED, MOST_SPEED) || !Within(b, -MOST_SPEED, MOST_SPEED)) return FALSE;
        *opcode = REG(EXEC_OPCODE_SPIN);
        *parameter0 = a * TICKS_PER_MM;
        *parameter1 = b * TICKS_PER_MM;
        return TRUE;
    case RobotStop: *opcode = REG(EXEC_OPCODE_HALT); return a == 0 && b == 0;
    case RobotTool: *opcode = REG(EXEC_OPCODE_GRIP); *parameter0 = a; return Within(a, 0, 1) && b == 0;
    case RobotLight:
        *opcode = REG(EXEC_OPCODE_LIGHT);
        *parameter0 = (a >> 8 & 0xf800) | (a >> 5 & 0x07e0) | (a >> 3 & 0x001f);
        return Within(a, 0, 0xffffff) && b == 0;
    case RobotWait:
        if (!Within(a, 0, 600000) || b != 0) return FALSE;
        *opcode = REG(EXEC_OPCODE_WAIT);
        *parameter0 = (a + 9) / 10;
        return TRUE;
    case RobotZero: *opcode = REG(EXEC_OPCODE_ZERO_ENCODERS); return a == 0 && b == 0;
    default: return FALSE;
    }
}

static NTSTATUS Submit(PROBOT_DEVICE device, const ROBOT_COMMAND *command)
{
    CONTOSO *robot = device->Specific;
    volatile DESCRIPTOR *descriptor = (volatile DESCRIPTOR *)device->Common + robot->Tail;
    LONG parameter0, parameter1;
    ULONG opcode;

    if (!Translate(command, &opcode, &parameter0, &parameter1)) return STATUS_INVALID_PARAMETER;
    descriptor->Parameter0 = (USHORT)parameter0;
    descriptor->Parameter1 = (USHORT)parameter1;
    descriptor->Cookie = command->Tag & 0xffff;
    ROBOT_BARRIER();
    descriptor->Control = opcode | INT | OWN;
    robot->Tail = (robot->Tail + 1) % ENTRIES;
    ROBOT_BARRIER();
    Write(device, REG(DOORBELL), REG(DOORBELL_GO_MASK));
    return STATUS_SUCCESS;
}

static NTSTATUS Reap(PROBOT_DEVICE device, PROBOT_COMPLETION completion)
{
    CONTOSO *robot = device->Specific;
    volatile DESCRIPTOR *descriptor = (volatile DESCRIPTOR *)device->Common + robot->Head;
    ULONG control = descriptor->Control;
    LONG left, right;

    if ((control & OWN) != 0) return STATUS_NO_MORE_ENTRIES;
    ROBOT_BARRIER();
    left = descriptor->Left;
    right = descriptor->Right;
    completion->Result = RESULT_OF(control);
    completion->Time = descriptor->Time;
    switch (control & 0xff) {
    case REG(EXEC_OPCODE_MOVE):
        completion->Value = ((left - robot->Left) + (right - robot->Right)) / (2 * TICKS_PER_MM);
        break;
    case REG(EXEC_OPCODE_TURN):
        /* Both wheels move, in opposite directions. */
        completion->Value = ((right - robot->Right) - (left - robot->Left)) * (TENTHS / 10) / (2 * TICKS_PER_CIRCLE / 10);
        break;
    default:
        break;
    }
    robot->Left = left;
    robot->Right = right;
    robot->Head = (robot->Head + 1) % ENTRIES;
    return STATUS_SUCCESS;
}

/* ---- interrupts ---- */

static NTSTATUS Interrupt(PROBOT_DEVICE device, PULONG causes)
{
    /* Reading clears all causes: once, and each bit counts. */
    USHORT cause = Read(device, REG(CAUSE));

    if (cause == 0 || cause == 0xffff) return STATUS_NO_MORE_ENTRIES;
    *causes = cause;
    return STATUS_SUCCESS;
}

static ULONG Battery(PROBOT_DEVICE device)
{
    return (ReadIndexed(device, INDEXED(BATADC)) * 100u + 1022u) / 1023u;
}

static void Collect(PROBOT_DEVICE device, PROBOT_COLLECTION collection)
{
    if ((collection->Causes & REG(CAUSE_SENSOR_MASK)) != 0) {
        ULONG events = ReadIndexed(device, INDEXED(EVENTS));

        collection->Bumpers = events & 0x7;
        collection->Near = (events & 0x8) != 0;
    }
    /* The bits are those of ROBOT_FAULT_. */
    if ((collection->Causes & REG(CAUSE_FAULT_MASK)) != 0) collection->Faults = Read(device, REG(ERROR)) & 0xff;
    if ((collection->Causes & REG(CAUSE_BATTERY_MASK)) != 0) {
        collection->BatteryFell = TRUE;
        collection->Battery = Battery(device);
    }
}

/* ---- what programs ask ---- */

static NTSTATUS Info(PROBOT_DEVICE device, PROBOT_INFO info)
{
    ULONG version = Read(device, REG(FWREV)), i;

    if (version == 0xffff) return STATUS_DEVICE_NOT_CONNECTED;
    info->Capabilities = ROBOT_HAS_GRIPPER;
    /* Binary coded decimal. */
    info->VersionMajor = (version >> 12) * 10 + (version >> 8 & 0xf);
    info->VersionMinor = (version >> 4 & 0xf) * 10 + (version & 0xf);
    info->Ranges = 4;
    info->MostDistance = MOST_DISTANCE;
    info->MostAngle = MOST_ANGLE;
    info->MostSpeed = MOST_SPEED;
    RtlCopyMemory(info->Name, "Contoso", sizeof "Contoso");
    Write(device, REG(INDEX), INDEXED(SERIAL(0)) | REG(INDEX_AUTOINC_MASK));
    for (i = 0; i < 16; i += 2) {
        ULONG word = Read(device, REG(WINDOW));

        info->Serial[i] = (CHAR)word;
        info->Serial[i + 1] = (CHAR)(word >> 8);
    }
    return STATUS_SUCCESS;
}

static LONG Range(PROBOT_DEVICE device, ULONG n)
{
    ULONG echo = ReadIndexed(device, INDEXED(RANGE(0)) + n);

    if (echo == 0xffff) return ROBOT_NO_SENSOR;
    return echo == 0xfffe ? ROBOT_NO_ECHO : (LONG)(echo / 6);
}

static NTSTATUS State(PROBOT_DEVICE device, PROBOT_STATE state)
{
    state->Flags = Read(device, REG(STATE));
    if (state->Flags == 0xffff) return STATUS_DEVICE_NOT_CONNECTED;
    Encoders(device, &state->Left, &state->Right);
    state->Left /= TICKS_PER_MM;
    state->Right /= TICKS_PER_MM;
    state->Heading = (LONG)(ReadIndexed(device, INDEXED(HEADING)) * (ULONG)TENTHS / CIRCLE);
    state->Range[0] = Range(device, 0);
    state->Range[1] = Range(device, 1);
    /* Contoso counts front, left, rear, right. */
    state->Range[2] = Range(device, 3);
    state->Range[3] = Range(device, 2);
    state->Bumpers = ReadIndexed(device, INDEXED(BUMPER)) & 0x7u;
    state->Battery = Battery(device);
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
    case RobotControlHalted: return (Read(device, REG(LISTST)) & REG(LISTST_HALTED_MASK)) != 0 ? STATUS_SUCCESS : STATUS_NO_MORE_ENTRIES;
    case RobotControlAbort: StopAll(device); StartList(device); return STATUS_SUCCESS;
    case RobotControlInfo: return Info(device, data);
    case RobotControlState: return State(device, data);
    case RobotControlWatchdog: WriteIndexed(device, INDEXED(WDOG), (*(PULONG)data + 9u) / 10u); return STATUS_SUCCESS;
    case RobotControlFeed: Write(device, REG(KICK), 0xa5c3); return STATUS_SUCCESS;
    default: return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI PnpCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    static const ROBOT_TRANSLATION results[] = {
        { REG(RESULT_CODE_OK), RobotOk }, { REG(RESULT_CODE_BUMPED), RobotBlocked }, { REG(RESULT_CODE_STALLED), RobotStalled },
        { REG(RESULT_CODE_HALTED), RobotAborted }, { REG(RESULT_CODE_REJECTED), RobotInvalid }, { REG(RESULT_CODE_LOCKED), RobotDisabled },
        { REG(RESULT_CODE_NO_POWER), RobotNoPower }, { REG(RESULT_CODE_WATCHDOG), RobotWatchdog }, { 0, 0 },
    };
    static const ROBOT_TRANSLATION flags[] = {
        { REG(STATE_READY_MASK), ROBOT_STATE_READY }, { REG(STATE_BUSY_MASK) | REG(STATE_LIST_MASK), ROBOT_STATE_BUSY },
        { REG(STATE_MOVING_MASK), ROBOT_STATE_MOVING }, { REG(STATE_GRIP_MASK), ROBOT_STATE_TOOL }, { REG(STATE_HOLD_MASK), ROBOT_STATE_HOLDING },
        { REG(STATE_BATLOW_MASK), ROBOT_STATE_LOW }, { REG(STATE_BATCRIT_MASK), ROBOT_STATE_CRITICAL }, { REG(STATE_ERR_MASK), ROBOT_STATE_FAULT },
        { REG(STATE_BUMP_MASK), ROBOT_STATE_BUMPED }, { 0, 0 },
    };
    static const ROBOT_DESCRIPTION description = {
        .ContextSize = sizeof(CONTOSO), .RegisterLength = CONTOSO_ROBOT_BAR0_SIZE, .CommonLength = COMMON_LENGTH, .AddressBits = 32,
        /* One descriptor stays the driver's, so that the robot parks. */
        .Capacity = ENTRIES - 1, .MostWatchdog = 0xffff * 10, .Results = results, .Flags = flags,
    };

    switch (operation) {
    case RobotPnpDescribe: *(PROBOT_DESCRIPTION)data = description; return STATUS_SUCCESS;
    case RobotPnpIdentify: return Read(device, REG(CHIPID)) == 0x4f43 /* "CO" */ ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
    default: return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI PowerCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    UNREFERENCED_PARAMETER(data);
    switch (operation) {
    case RobotPowerUp:
        Write(device, REG(MODE), REG(MODE_SRST_MASK));
        if (Read(device, REG(MODE)) != REG(MODE_BUMPSTOP_MASK)) return STATUS_DEVICE_NOT_READY;
        Read(device, REG(ERROR));
        ReadIndexed(device, INDEXED(EVENTS));
        Read(device, REG(CAUSE));
        StartList(device);
        return STATUS_SUCCESS;
    case RobotPowerEnable:
        Write(device, REG(MODE), REG(MODE_MOTEN_MASK) | REG(MODE_BUMPSTOP_MASK));
        Write(device, REG(MASK), REG(MASK_ENABLE_MASK));
        return STATUS_SUCCESS;
    case RobotPowerDown:
        Write(device, REG(MASK), 0);
        StopAll(device);
        Write(device, REG(MODE), REG(MODE_BUMPSTOP_MASK));
        /* An armed watchdog would go off in D3. */
        WriteIndexed(device, INDEXED(WDOG), 0);
        Read(device, REG(STATE));
        return STATUS_SUCCESS;
    default: return STATUS_NOT_SUPPORTED;
    }
}
