/*
 * The contract inside a pair: GeneralRobot.sys, and the small driver that knows one company's robot.
 *
 * The specific driver's DriverEntry hands its DRIVER_OBJECT to GeneralRobotInit with three callbacks, each of the type
 * ROBOT_CALLBACK: [0] device control, [1] PnP, [2] power. GeneralRobot owns the driver object's dispatch table, AddDevice and Unload,
 * all requests and all locks; it calls back only where robots differ. An operation a driver does not know it answers with
 * STATUS_NOT_SUPPORTED.
 */
#ifndef ROBOTPAIR_H
#define ROBOTPAIR_H

#include <robotcommon.h>

#define ROBOT_BARS 6

/* One robot, as its specific driver sees it. GeneralRobot fills it; only *Specific is the specific driver's to write. */
typedef struct _ROBOT_DEVICE {
    ULONG Size;
    PVOID Specific; /* ContextSize bytes, zeroed when the device is added */
    struct {
        PUCHAR Base; /* mapped; NULL when the robot has no such memory BAR */
        ULONG Length;
    } Bars[ROBOT_BARS]; /* in the order of the resource list */
    PVOID Common; /* DMA memory, page-aligned, zeroed at each start */
    PHYSICAL_ADDRESS CommonLogical; /* as the robot addresses it */
} ROBOT_DEVICE, *PROBOT_DEVICE;

/*
 * Operations. "Locked": at DISPATCH_LEVEL under the device's lock, between a RobotPowerUp that succeeded and RobotPowerDown.
 */
typedef enum _ROBOT_OPERATION {
    /* PnP callback */
    RobotPnpDescribe = 0x100, /* PROBOT_DESCRIPTION, out. PASSIVE_LEVEL, from AddDevice; Device is NULL. */
    RobotPnpIdentify, /* NULL. PASSIVE_LEVEL: BARs and DMA memory are there; STATUS_SUCCESS when it is the robot that the driver knows. */

    /* Power callback */
    RobotPowerUp = 0x200, /* NULL. <= DISPATCH_LEVEL: reset, set up DMA, clear causes; interrupts stay off. */
    RobotPowerEnable, /* NULL. Locked: interrupts and motors on. */
    RobotPowerDown, /* NULL. Locked: interrupts off, wheels stopped, DMA stopped. The robot may be gone: writes are lost, reads give all ones. */

    /* Device control callback */
    RobotControlInterrupt = 0x300, /* PULONG, out: causes. DIRQL: STATUS_SUCCESS when ours, then acknowledged; else STATUS_NO_MORE_ENTRIES. */
    RobotControlCollect, /* ROBOT_COLLECTION. Locked: what the causes mean; it is acknowledged. */
    RobotControlSubmit, /* PROBOT_COMMAND, in. Locked: give it to the engine, which has room. STATUS_INVALID_PARAMETER: not for this robot. */
    RobotControlReap, /* PROBOT_COMPLETION, out: Result as the robot codes it, Value, Time. Locked: the next that ended, or STATUS_NO_MORE_ENTRIES. */
    RobotControlHalted, /* NULL. Locked: STATUS_SUCCESS when the engine has halted, else STATUS_NO_MORE_ENTRIES. */
    RobotControlAbort, /* NULL. Locked: stop the wheels, forget what was submitted; the engine is empty and ready on return. The robot may be
                          gone. */
    RobotControlInfo, /* PROBOT_INFO, out: all but Size and Messages. Locked. STATUS_DEVICE_NOT_CONNECTED: its registers are gone. */
    RobotControlState, /* PROBOT_STATE, out: all but Waiting; Flags as the robot codes them. Locked. Likewise. */
    RobotControlWatchdog, /* PULONG, in: ms, at most MostWatchdog. Locked. */
    RobotControlFeed /* NULL. Locked. */
} ROBOT_OPERATION;

typedef struct _ROBOT_DESCRIPTION {
    ULONG ContextSize; /* bytes */
    ULONG RegisterLength; /* bytes that Bars[0] has at least */
    ULONG CommonLength; /* bytes of DMA memory, 0 none */
    ULONG AddressBits; /* 32 or 64: what the robot can address */
    ULONG Capacity; /* commands that the engine takes before the first of them has ended */
    ULONG MostWatchdog; /* ms */
    const ROBOT_TRANSLATION *Results; /* result codes to ROBOT_RESULT; a code that is not there is RobotFailed */
    const ROBOT_TRANSLATION *Flags; /* masks to ROBOT_STATE_ */
} ROBOT_DESCRIPTION, *PROBOT_DESCRIPTION;

typedef NTSTATUS NTAPI ROBOT_CALLBACK(PROBOT_DEVICE Device, ROBOT_OPERATION Operation, PVOID Data);
typedef ROBOT_CALLBACK *PROBOT_CALLBACK;

enum { RobotDeviceControlCallback, RobotPnpCallback, RobotPowerCallback, RobotCallbacks };

#ifdef ROBOT_GENERAL
#define ROBOT_API __declspec(dllexport)
#else
#define ROBOT_API __declspec(dllimport)
#endif

/*
 * Makes DriverObject the pair's: called once, from the specific driver's DriverEntry, whose status it gives.
 * Callbacks: RobotCallbacks function pointers, copied. Errors: STATUS_INVALID_PARAMETER (a callback is NULL),
 * STATUS_INSUFFICIENT_RESOURCES (more pairs than GeneralRobot keeps at a time).
 */
ROBOT_API NTSTATUS NTAPI GeneralRobotInit(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath, PVOID Callbacks[RobotCallbacks]);

#endif
