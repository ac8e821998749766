/* GeneralRobot.sys inside. */
#ifndef GENERAL_H
#define GENERAL_H

#define ROBOT_GENERAL
#include <robotpair.h>

#define ROBOT_POOL_TAG 'tboR'

typedef enum _ROBOT_PNP_STATE {
    RobotNotStarted,
    RobotStopped,
    RobotStarted, /* from here to before RobotGone the device has its resources */
    RobotStopPending,
    RobotRemovePending,
    RobotGone, /* surprise removal */
    RobotRemoved
} ROBOT_PNP_STATE;

/* One specific driver and its callbacks. */
typedef struct _ROBOT_PAIR {
    PDRIVER_OBJECT DriverObject; /* NULL: free */
    PROBOT_CALLBACK Callbacks[RobotCallbacks];
} ROBOT_PAIR, *PROBOT_PAIR;

/* The FDO's extension. */
typedef struct _ROBOT_EXTENSION {
    PDEVICE_OBJECT Self;
    PDEVICE_OBJECT Pdo;
    PDEVICE_OBJECT Lower;
    PROBOT_PAIR Pair;
    IO_REMOVE_LOCK RemoveLock;
    UNICODE_STRING InterfaceName;
    ROBOT_DESCRIPTION Description;
    DEVICE_POWER_STATE DeviceStates[PowerSystemMaximum]; /* for each system state */

    PDMA_ADAPTER Adapter;
    PKINTERRUPT Line; /* IoConnectInterrupt, or the line of IoConnectInterruptEx */
    PVOID Connection; /* IoConnectInterruptEx */
    ULONG ConnectionVersion; /* 0: not connected through it */
    ULONG Messages;
    KDPC Dpc;
    volatile LONG Listening; /* the ISR may look at the robot, which is neither down nor gone */
    volatile LONG Causes; /* from the ISR to the DPC */

    KSPIN_LOCK Lock; /* guards everything below, and the registers but for the ISR's */
    ROBOT_PNP_STATE State; /* written under Lock, by PnP requests, which come one at a time */
    BOOLEAN Ready; /* powered and mapped: registers may be accessed */
    BOOLEAN Hold; /* start no program */
    BOOLEAN Failed; /* did not come back from D3 */
    LIST_ENTRY Programs; /* IRPs that wait */
    LIST_ENTRY Readers;
    PIRP Active;
    PROBOT_COMMAND Commands; /* of Active */
    ULONG Count, Next, Done; /* of Active: commands in all, submitted, ended well */
    ROBOT_EVENT_LOG Events;
    ROBOT_STATISTICS Statistics; /* Interrupts and Foreign: by the ISR, interlocked; Events: when asked for */

    ROBOT_DEVICE Device;
} ROBOT_EXTENSION, *PROBOT_EXTENSION;

/* init.c */
DRIVER_ADD_DEVICE RobotAddDevice;
DRIVER_UNLOAD RobotUnload;
NTSTATUS RobotCall(PROBOT_EXTENSION Extension, ULONG Callback, ROBOT_OPERATION Operation, PVOID Data);
NTSTATUS RobotComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);

/* requests.c */
DRIVER_DISPATCH RobotDispatchCreate, RobotDispatchClose, RobotDispatchCleanup, RobotDispatchRead, RobotDispatchWrite;
DRIVER_DISPATCH RobotDispatchDeviceControl, RobotDispatchInternalDeviceControl, RobotDispatchSystemControl;

/* engine.c: "Ended" collects IRPs under the lock, for RobotEndRequests without it. */
NTSTATUS RobotQueueRequest(PROBOT_EXTENSION Extension, PIRP Irp, PLIST_ENTRY Queue);
void RobotAdvance(PROBOT_EXTENSION Extension, PLIST_ENTRY Ended);
void RobotFinish(PROBOT_EXTENSION Extension, ULONG Result, PROBOT_COMPLETION Completion, NTSTATUS Override, PLIST_ENTRY Ended);
void RobotFlush(PROBOT_EXTENSION Extension, PFILE_OBJECT File, NTSTATUS Status, PLIST_ENTRY Ended);
void RobotEndRequests(PROBOT_EXTENSION Extension, PLIST_ENTRY Ended);
KDEFERRED_ROUTINE RobotDpc;

/* interrupt.c */
NTSTATUS RobotConnect(PROBOT_EXTENSION Extension, PCM_PARTIAL_RESOURCE_DESCRIPTOR Interrupt);
void RobotDisconnect(PROBOT_EXTENSION Extension);

/* pnp.c, power.c */
DRIVER_DISPATCH RobotDispatchPnp, RobotDispatchPower;
void RobotEnable(PROBOT_EXTENSION Extension);
void RobotResume(PROBOT_EXTENSION Extension);
void RobotQuiesce(PROBOT_EXTENSION Extension);

#endif
