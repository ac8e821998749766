/*
 * What the Proseware robot's registers and its structures in guest memory mean (DeviceModels.Robot/Proseware/proseware.md), for each
 * driver of it. Register names are the datasheet's, generated from the model. "base" is BAR 0, mapped. Commands go through the ring;
 * the mailbox is used for STOP alone, which it never refuses.
 */
#ifndef PROSEWAREROBOT_H
#define PROSEWAREROBOT_H

#include <robotcommon.h>
#include <generated/proseware-robot.h>

#define REG(name) PROSEWARE_ROBOT_PROSEWARE_##name
#define FIELD(value, name) (((value) & REG(name##_MASK)) >> REG(name##_SHIFT))

#define PROSEWARE_ENTRIES 64u /* of ring and queue, 16 bytes each */
#define PROSEWARE_CAPACITY (PROSEWARE_ENTRIES - 1) /* commands under way */
#define PROSEWARE_QUEUE_OFFSET (PROSEWARE_ENTRIES * 16u) /* behind the ring */
#define PROSEWARE_SHARED_LENGTH (2u * PROSEWARE_ENTRIES * 16u)
#define PROSEWARE_SHARED_ALIGNMENT 64u

#define PROSEWARE_CAUSE_DONE 0x1u
#define PROSEWARE_CAUSE_SENSOR 0x2u
#define PROSEWARE_CAUSE_FAULT 0x4u
#define PROSEWARE_CAUSE_BATTERY 0x8u

typedef struct _PROSEWARE_DESCRIPTOR {
    ULONG Command; /* 7:0 opcode, 8 INT, 9 CONTINUE, 31:16 tag */
    LONG Argument0;
    LONG Argument1;
    ULONG Zero;
} PROSEWARE_DESCRIPTOR;

typedef struct _PROSEWARE_COMPLETION {
    LONG Value;
    ULONG Time;
    ULONG HeadingBattery;
    ULONG Last; /* 15:0 tag, 23:16 result, 30:24 opcode, 31 phase; written last */
} PROSEWARE_COMPLETION;

#define PROSEWARE_DESCRIPTOR_INT 0x100u
#define PROSEWARE_COMPLETION_PHASE 0x80000000u

typedef struct _PROSEWARE_RING {
    PUCHAR Base; /* the robot's registers */
    PUCHAR Shared; /* PROSEWARE_SHARED_LENGTH bytes, at a multiple of PROSEWARE_SHARED_ALIGNMENT */
    ULONGLONG Logical; /* where the robot finds them */
    ULONG Tail; /* filled next */
    ULONG Head; /* read next */
    ULONG Phase; /* expected: PROSEWARE_COMPLETION_PHASE or 0 */
} PROSEWARE_RING, *PPROSEWARE_RING;

static const ROBOT_TRANSLATION ProsewareResults[] = {
    { REG(RESULT_CODE_OK), RobotOk }, { REG(RESULT_CODE_BLOCKED), RobotBlocked }, { REG(RESULT_CODE_STALLED), RobotStalled },
    { REG(RESULT_CODE_ABORTED), RobotAborted }, { REG(RESULT_CODE_INVALID), RobotInvalid }, { REG(RESULT_CODE_DISABLED), RobotDisabled },
    { REG(RESULT_CODE_NO_POWER), RobotNoPower }, { REG(RESULT_CODE_WATCHDOG), RobotWatchdog }, { 0, 0 },
};

static const ROBOT_TRANSLATION ProsewareFlags[] = {
    { REG(STATUS_READY_MASK), ROBOT_STATE_READY }, { REG(STATUS_BUSY_MASK) | REG(STATUS_RUNNING_MASK), ROBOT_STATE_BUSY },
    { REG(STATUS_MOVING_MASK), ROBOT_STATE_MOVING }, { REG(STATUS_PENDOWN_MASK), ROBOT_STATE_TOOL }, { REG(STATUS_BATLOW_MASK), ROBOT_STATE_LOW },
    { REG(STATUS_BATCRIT_MASK), ROBOT_STATE_CRITICAL }, { REG(STATUS_FAULT_MASK), ROBOT_STATE_FAULT }, { REG(STATUS_BUMPED_MASK), ROBOT_STATE_BUMPED },
    { 0, 0 },
};

static inline ULONG ProsewareRead(PUCHAR base, ULONG offset)
{
    return READ_REGISTER_ULONG((PULONG)(base + offset));
}

static inline void ProsewareWrite(PUCHAR base, ULONG offset, ULONG value)
{
    WRITE_REGISTER_ULONG((PULONG)(base + offset), value);
}

/* STATUS_NO_SUCH_DEVICE when these are another device's registers, or none. */
static inline NTSTATUS ProsewareIdentify(PUCHAR base)
{
    return ProsewareRead(base, REG(ID)) == 0x42525750 /* "PWRB" */ ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

/* ---- power ---- */

/* As after power-on, with all causes cleared. */
static inline NTSTATUS ProsewareReset(PUCHAR base)
{
    ProsewareWrite(base, REG(CONTROL), REG(CONTROL_RESET_MASK));
    if (ProsewareRead(base, REG(CONTROL)) != REG(CONTROL_BUMPSTOP_MASK)) return STATUS_DEVICE_NOT_READY;
    ProsewareWrite(base, REG(FAULTS), MAXULONG);
    ProsewareWrite(base, REG(SENSEVT), MAXULONG);
    ProsewareWrite(base, REG(INTSTS), MAXULONG);
    return STATUS_SUCCESS;
}

static inline void ProsewareEnableMotors(PUCHAR base)
{
    ProsewareWrite(base, REG(CONTROL), REG(CONTROL_MOTEN_MASK) | REG(CONTROL_BUMPSTOP_MASK));
}

static inline void ProsewareEnableInterrupts(PUCHAR base, BOOLEAN enable)
{
    ProsewareWrite(base, REG(INTEN), enable ? REG(INTEN_ENABLE_MASK) : 0);
}

/* ---- the ring ---- */

/* Empty ring and queue, and RUN. */
static inline void ProsewareStartRing(PPROSEWARE_RING ring)
{
    ULONGLONG queue = ring->Logical + PROSEWARE_QUEUE_OFFSET;

    RtlZeroMemory(ring->Shared, PROSEWARE_SHARED_LENGTH);
    ring->Tail = ring->Head = 0;
    ring->Phase = PROSEWARE_COMPLETION_PHASE;
    ProsewareWrite(ring->Base, REG(RING_BASE), (ULONG)ring->Logical);
    ProsewareWrite(ring->Base, REG(RING_BASE) + 4, (ULONG)(ring->Logical >> 32));
    ProsewareWrite(ring->Base, REG(RING_SIZE), PROSEWARE_ENTRIES);
    ProsewareWrite(ring->Base, REG(CQ_BASE), (ULONG)queue);
    ProsewareWrite(ring->Base, REG(CQ_BASE) + 4, (ULONG)(queue >> 32));
    ProsewareWrite(ring->Base, REG(CQ_SIZE), PROSEWARE_ENTRIES);
    ProsewareWrite(ring->Base, REG(RING_CTRL), REG(RING_CTRL_RUN_MASK));
}

/* Wheels, mailbox and ring; the read returns when the robot has seen both writes, and written its last completion. It may be gone. */
static inline void ProsewareStop(PUCHAR base)
{
    ProsewareWrite(base, REG(ARG0), 0);
    ProsewareWrite(base, REG(ARG1), 0);
    ProsewareWrite(base, REG(COMMAND), REG(COMMAND_OPCODE_STOP));
    ProsewareWrite(base, REG(RING_CTRL), 0);
    ProsewareRead(base, REG(RING_STATUS));
}

/* Forgets what was submitted; the ring is empty and ready on return. */
static inline void ProsewareAbort(PPROSEWARE_RING ring)
{
    ProsewareStop(ring->Base);
    ProsewareStartRing(ring);
}

/* Everything is off; interrupts were disabled before. */
static inline void ProsewarePowerDown(PUCHAR base)
{
    ProsewareStop(base);
    ProsewareWrite(base, REG(CONTROL), REG(CONTROL_BUMPSTOP_MASK));
    /* An armed watchdog would go off in D3. */
    ProsewareWrite(base, REG(WDT_PERIOD), 0);
    ProsewareRead(base, REG(STATUS));
}

/* The ring has room: at most PROSEWARE_CAPACITY commands are under way. STATUS_INVALID_PARAMETER: not a command of this robot. */
static inline NTSTATUS ProsewareSubmit(PPROSEWARE_RING ring, const ROBOT_COMMAND *command)
{
    static const UCHAR opcodes[RobotOpcodes] = {
        REG(COMMAND_OPCODE_NOP), REG(COMMAND_OPCODE_DRIVE), REG(COMMAND_OPCODE_TURN), REG(COMMAND_OPCODE_VELOCITY), REG(COMMAND_OPCODE_STOP),
        REG(COMMAND_OPCODE_PEN), REG(COMMAND_OPCODE_LED), REG(COMMAND_OPCODE_WAIT), REG(COMMAND_OPCODE_ZERO_ODOMETER),
    };
    volatile PROSEWARE_DESCRIPTOR *descriptor = (volatile PROSEWARE_DESCRIPTOR *)ring->Shared + ring->Tail;

    /* Arguments out of range the robot itself answers with INVALID. */
    if (command->Opcode >= RobotOpcodes) return STATUS_INVALID_PARAMETER;
    descriptor->Command = opcodes[command->Opcode] | PROSEWARE_DESCRIPTOR_INT | command->Tag << 16;
    descriptor->Argument0 = command->Argument0;
    descriptor->Argument1 = command->Argument1;
    descriptor->Zero = 0;
    ring->Tail = (ring->Tail + 1) % PROSEWARE_ENTRIES;
    ROBOT_BARRIER();
    ProsewareWrite(ring->Base, REG(RING_TAIL), ring->Tail);
    return STATUS_SUCCESS;
}

/* The next that ended: Result as the robot codes it, Value, Time; or STATUS_NO_MORE_ENTRIES. */
static inline NTSTATUS ProsewareReap(PPROSEWARE_RING ring, PROBOT_COMPLETION completion)
{
    volatile PROSEWARE_COMPLETION *entry = (volatile PROSEWARE_COMPLETION *)(ring->Shared + PROSEWARE_QUEUE_OFFSET) + ring->Head;
    ULONG last = entry->Last;

    if ((last & PROSEWARE_COMPLETION_PHASE) != ring->Phase) return STATUS_NO_MORE_ENTRIES;
    ROBOT_BARRIER();
    completion->Result = last >> 16 & 0xff;
    completion->Value = entry->Value;
    completion->Time = entry->Time;
    ring->Head = (ring->Head + 1) % PROSEWARE_ENTRIES;
    if (ring->Head == 0) ring->Phase ^= PROSEWARE_COMPLETION_PHASE;
    ProsewareWrite(ring->Base, REG(CQ_HEAD), ring->Head);
    return STATUS_SUCCESS;
}

/* An error has stopped the ring. */
static inline BOOLEAN ProsewareHasHalted(PUCHAR base)
{
    return (ProsewareRead(base, REG(RING_STATUS)) & REG(RING_STATUS_FAILED_MASK)) != 0;
}

/* ---- interrupts ---- */

/* What the robot interrupts for, which is acknowledged; 0 when it does not. Any IRQL. */
static inline ULONG ProsewareAcknowledge(PUCHAR base)
{
    ULONG status = ProsewareRead(base, REG(INTSTS));

    /* All ones: the robot is gone, and so is its claim to the line. */
    if (status == 0 || status == MAXULONG) return 0;
    ProsewareWrite(base, REG(INTSTS), status);
    /* The write has arrived, and the line fallen, when this read returns. */
    ProsewareRead(base, REG(INTSTS));
    return status;
}

/* What the causes mean; it is cleared, so that the next of its kind interrupts again. */
static inline void ProsewareCollect(PUCHAR base, PROBOT_COLLECTION collection)
{
    ULONG value;

    if ((collection->Causes & PROSEWARE_CAUSE_SENSOR) != 0) {
        value = ProsewareRead(base, REG(SENSEVT));
        ProsewareWrite(base, REG(SENSEVT), value);
        collection->Bumpers = FIELD(value, SENSEVT_BUMP);
        collection->Near = (value & REG(SENSEVT_NEAR_MASK)) != 0;
    }
    if ((collection->Causes & PROSEWARE_CAUSE_FAULT) != 0) {
        value = ProsewareRead(base, REG(FAULTS));
        ProsewareWrite(base, REG(FAULTS), value);
        /* The bits are those of ROBOT_FAULT_. */
        collection->Faults = value & 0xff;
    }
    if ((collection->Causes & PROSEWARE_CAUSE_BATTERY) != 0) {
        collection->BatteryFell = TRUE;
        collection->Battery = FIELD(ProsewareRead(base, REG(BATTERY)), BATTERY_PERCENT);
    }
}

/* ---- what programs ask ---- */

/* All but Size and Messages, of a zeroed structure. STATUS_DEVICE_NOT_CONNECTED: the registers are gone. */
static inline NTSTATUS ProsewareInfo(PUCHAR base, PROBOT_INFO info)
{
    ULONG version = ProsewareRead(base, REG(VERSION)), caps = ProsewareRead(base, REG(CAPS)), serial, i;

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
    serial = ProsewareRead(base, REG(SERIAL));
    for (i = 0; i < 8; i++) info->Serial[i] = "0123456789abcdef"[serial >> (28 - 4 * i) & 0xf];
    return STATUS_SUCCESS;
}

static inline LONG ProsewareRange(PUCHAR base, ULONG n)
{
    ULONG value = ProsewareRead(base, REG(RANGE)(n));

    if ((value & REG(RANGE_VALID_MASK)) == 0) return ROBOT_NO_SENSOR;
    return (value & REG(RANGE_NOECHO_MASK)) != 0 ? ROBOT_NO_ECHO : (LONG)FIELD(value, RANGE_MM);
}

/* All but Waiting, of a zeroed structure; Flags as the robot codes them. Likewise. */
static inline NTSTATUS ProsewareState(PUCHAR base, PROBOT_STATE state)
{
    ULONG i;

    state->Flags = ProsewareRead(base, REG(STATUS));
    if (state->Flags == MAXULONG) return STATUS_DEVICE_NOT_CONNECTED;
    state->Left = (LONG)ProsewareRead(base, REG(ODO_L));
    state->Right = (LONG)ProsewareRead(base, REG(ODO_R));
    state->Heading = (LONG)(ProsewareRead(base, REG(HEADING)) & REG(HEADING_TENTHS_MASK));
    for (i = 0; i < REG(RANGE_COUNT); i++) state->Range[i] = ProsewareRange(base, i);
    state->Range[3] = ROBOT_NO_SENSOR;
    state->Bumpers = ProsewareRead(base, REG(BUMPERS)) & REG(BUMPERS_PRESSED_MASK);
    state->Battery = FIELD(ProsewareRead(base, REG(BATTERY)), BATTERY_PERCENT);
    return STATUS_SUCCESS;
}

/* Milliseconds, at most PROSEWARE_MOST_WATCHDOG; 0 off. */
#define PROSEWARE_MOST_WATCHDOG REG(WDT_PERIOD_MS_MASK)

static inline void ProsewareSetWatchdog(PUCHAR base, ULONG period)
{
    ProsewareWrite(base, REG(WDT_PERIOD), period);
}

static inline void ProsewareFeedWatchdog(PUCHAR base)
{
    ProsewareWrite(base, REG(WDT_FEED), 0x600d);
}

#endif
