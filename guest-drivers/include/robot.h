/*
 * What programs and the robots' drivers say to each other: the device interface, IOCTLs, commands and events.
 * Include <windows.h> and <winioctl.h>, or <ntddk.h>, first. Lengths are millimetres, angles tenths of a degree (counter-clockwise
 * positive), speeds mm/s of a wheel, times milliseconds.
 *
 * WriteFile takes a program, an array of ROBOT_COMMAND, and ends when the last command has; it returns the bytes of those that went
 * well, or fails with ERROR_IO_DEVICE when the first did not. Programs of several writers wait for each other.
 * ReadFile returns as many ROBOT_EVENT as there are and fit; it waits for the first. Both can be cancelled.
 */
#ifndef ROBOT_H
#define ROBOT_H

/* {5a1e6f0c-3b7d-4c52-9d1e-0f7a52b0b075} */
#define ROBOT_INTERFACE_GUID { 0x5a1e6f0c, 0x3b7d, 0x4c52, { 0x9d, 0x1e, 0x0f, 0x7a, 0x52, 0xb0, 0xb0, 0x75 } }

#define ROBOT_IOCTL(n, access) CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + (n), METHOD_BUFFERED, access)
/* Out: ROBOT_INFO. */
#define IOCTL_ROBOT_GET_INFO ROBOT_IOCTL(0, FILE_READ_ACCESS)
/* Out: ROBOT_STATE. */
#define IOCTL_ROBOT_GET_STATE ROBOT_IOCTL(1, FILE_READ_ACCESS)
/* In: one ROBOT_COMMAND. Out: ROBOT_COMPLETION. Waits for its turn and its end. */
#define IOCTL_ROBOT_EXECUTE ROBOT_IOCTL(2, FILE_READ_ACCESS | FILE_WRITE_ACCESS)
/* Stops the wheels and what runs now, at once; programs that wait go on afterwards. */
#define IOCTL_ROBOT_STOP ROBOT_IOCTL(3, FILE_WRITE_ACCESS)
/* In: ULONG, the period in ms, 0 off; off, too, after the robot was without power. */
#define IOCTL_ROBOT_SET_WATCHDOG ROBOT_IOCTL(4, FILE_WRITE_ACCESS)
#define IOCTL_ROBOT_FEED_WATCHDOG ROBOT_IOCTL(5, FILE_WRITE_ACCESS)
/* Out: ROBOT_STATISTICS. */
#define IOCTL_ROBOT_GET_STATISTICS ROBOT_IOCTL(6, FILE_READ_ACCESS)

typedef enum _ROBOT_OPCODE {
    RobotNop, /* 0, 0 */
    RobotDrive, /* distance, speed */
    RobotTurn, /* angle, wheel speed */
    RobotVelocity, /* left, right; ends at once, the wheels go on */
    RobotStop, /* 0, 0 */
    RobotTool, /* 1 pen down or gripper closed, 0 up or open; 0 */
    RobotLight, /* 0xRRGGBB, 0 */
    RobotWait, /* ms, 0 */
    RobotZero, /* odometers to 0; 0, 0 */
    RobotOpcodes
} ROBOT_OPCODE;

typedef enum _ROBOT_RESULT {
    RobotNone,
    RobotOk,
    RobotBlocked, /* a bumper touched something */
    RobotStalled, /* a wheel did not turn though driven */
    RobotAborted,
    RobotInvalid, /* not a command of this robot, or an argument out of its range */
    RobotDisabled, /* motors are off */
    RobotNoPower,
    RobotWatchdog,
    RobotFailed /* the program stopped for another reason, such as a DMA error */
} ROBOT_RESULT;

typedef struct _ROBOT_COMMAND {
    ULONG Opcode;
    LONG Argument0;
    LONG Argument1;
    ULONG Tag; /* the caller's own; comes back in the low 16 bits */
} ROBOT_COMMAND, *PROBOT_COMMAND;

typedef struct _ROBOT_COMPLETION {
    ULONG Tag;
    ULONG Opcode;
    ULONG Result; /* ROBOT_RESULT */
    LONG Value; /* how far the motion went */
    ULONG Time; /* of the robot's clock */
} ROBOT_COMPLETION, *PROBOT_COMPLETION;

#define ROBOT_HAS_PEN 0x1u
#define ROBOT_HAS_GRIPPER 0x2u

typedef struct _ROBOT_INFO {
    ULONG Size; /* of this structure */
    ULONG Capabilities;
    ULONG VersionMajor;
    ULONG VersionMinor;
    ULONG Ranges; /* range finders */
    LONG MostDistance; /* of one RobotDrive */
    LONG MostAngle; /* of one RobotTurn */
    LONG MostSpeed;
    ULONG Messages; /* message interrupts connected, 0 with the line */
    CHAR Name[16];
    CHAR Serial[20];
} ROBOT_INFO, *PROBOT_INFO;

#define ROBOT_STATE_READY 0x001u
#define ROBOT_STATE_BUSY 0x002u
#define ROBOT_STATE_MOVING 0x004u
#define ROBOT_STATE_TOOL 0x008u /* pen down, gripper closed */
#define ROBOT_STATE_HOLDING 0x010u /* the gripper has something */
#define ROBOT_STATE_LOW 0x020u
#define ROBOT_STATE_CRITICAL 0x040u
#define ROBOT_STATE_FAULT 0x080u
#define ROBOT_STATE_BUMPED 0x100u

#define ROBOT_RANGES 4
#define ROBOT_NO_ECHO 0x7ffffffe /* nothing in sight */
#define ROBOT_NO_SENSOR 0x7fffffff

typedef struct _ROBOT_STATE {
    ULONG Flags;
    LONG Left; /* odometers */
    LONG Right;
    LONG Heading; /* 0 to 3599 */
    LONG Range[ROBOT_RANGES]; /* front, left, right, rear */
    ULONG Bumpers; /* 1 front left, 2 front right, 4 rear */
    ULONG Battery; /* percent */
    ULONG Waiting; /* programs queued behind the running one */
} ROBOT_STATE, *PROBOT_STATE;

typedef enum _ROBOT_EVENT_TYPE {
    RobotEventBump = 1, /* Value: bumpers that were pressed */
    RobotEventNear, /* something in front */
    RobotEventFault, /* Value: ROBOT_FAULT_ bits */
    RobotEventBattery, /* Value: percent */
    RobotEventProgram /* a program stopped early; Value: ROBOT_RESULT */
} ROBOT_EVENT_TYPE;

#define ROBOT_FAULT_LEFT_MOTOR 0x01u
#define ROBOT_FAULT_RIGHT_MOTOR 0x02u
#define ROBOT_FAULT_WATCHDOG 0x04u
#define ROBOT_FAULT_DMA 0x08u
#define ROBOT_FAULT_PROGRAM 0x10u
#define ROBOT_FAULT_SENSOR 0x20u
#define ROBOT_FAULT_COMMAND 0x40u
#define ROBOT_FAULT_POWER 0x80u

typedef struct _ROBOT_EVENT {
    ULONG Type; /* ROBOT_EVENT_TYPE */
    ULONG Value;
    ULONG Number; /* counts from 1; a gap tells how many were lost for want of a reader */
    ULONG Tag; /* RobotEventProgram: of the command */
} ROBOT_EVENT, *PROBOT_EVENT;

typedef struct _ROBOT_STATISTICS {
    ULONG Interrupts; /* that were ours */
    ULONG Foreign; /* that were not */
    ULONG Dpcs;
    ULONG Commands; /* that ended */
    ULONG Events;
    ULONG Cancelled; /* requests */
} ROBOT_STATISTICS, *PROBOT_STATISTICS;

#endif
