/*
 * KmdfRobot.sys inside: the Proseware robot as a KMDF driver. The framework is the general half of this pair; what registers and ring
 * mean is in prosewarerobot.h.
 */
#ifndef KMDFROBOT_H
#define KMDFROBOT_H

#include <prosewarerobot.h>
#include "wdfsubset.h"

/* The device's context. */
typedef struct _ROBOT {
    PUCHAR Registers;
    ULONG Length;
    ULONG Messages; /* interrupts by message; 0 with the line */
    volatile LONG Causes; /* from the ISR to the DPC */
    WDFCOMMONBUFFER Common; /* what the robot reads and writes */
    WDFQUEUE Turns; /* sequential: requests with commands */
    WDFQUEUE Readers; /* manual: requests that wait for events */
    KSPIN_LOCK Lock; /* guards what follows */
    PROSEWARE_RING Ring; /* its Base is NULL while the device is not in D0 */
    BOOLEAN Gone; /* surprise removal */
    WDFREQUEST Running; /* whose turn it is; cancelable */
    const ROBOT_COMMAND *Commands; /* in its buffer */
    ULONG Count, Next, Done; /* of them: in all, submitted, ended well */
    BOOLEAN Program;
    ROBOT_EVENT_LOG Events;
    ROBOT_STATISTICS Statistics; /* Interrupts and Foreign: by the ISR, interlocked; Events: when asked for */
    ULONG PnpChanges;
} ROBOT, *PROBOT;

/* A request that has had its turn, and what came of it: completed by RobotComplete, when the lock is not held any more. */
typedef struct _ENDED {
    WDFREQUEST Request; /* NULL: none, or one that somebody else completes */
    NTSTATUS Status; /* not of success: instead of what came of it */
    BOOLEAN Program;
    ULONG Done; /* commands */
    ROBOT_COMPLETION Last; /* of the command that decided */
} ENDED, *PENDED;

extern const WDF_OBJECT_CONTEXT_TYPE_INFO RobotType;

static inline PROBOT RobotOf(WDFOBJECT device)
{
    return WDF_FAST(WdfObjectGetTypedContextWorker, PVOID, WDFOBJECT, const WDF_OBJECT_CONTEXT_TYPE_INFO *)(WdfDriverGlobals, device, &RobotType);
}

/* A queue's parent is its device. */
static inline PROBOT RobotOfQueue(WDFQUEUE queue)
{
    return RobotOf(WDF(WdfIoQueueGetDevice, WDFDEVICE, WDFQUEUE)(WdfDriverGlobals, queue));
}

static inline void Complete(WDFREQUEST request, NTSTATUS status, ULONG_PTR information)
{
    WDF(WdfRequestCompleteWithInformation, void, WDFREQUEST, NTSTATUS, ULONG_PTR)(WdfDriverGlobals, request, status, information);
}

/* NULL with the status when there is none of at least the size. */
static inline PVOID Output(WDFREQUEST request, SIZE_T size, PNTSTATUS status, SIZE_T *length)
{
    PVOID buffer = NULL;

    *status = WDF(WdfRequestRetrieveOutputBuffer, NTSTATUS, WDFREQUEST, SIZE_T, PVOID *, SIZE_T *)(WdfDriverGlobals, request, size, &buffer, length);
    return NT_SUCCESS(*status) ? buffer : NULL;
}

static inline PVOID Input(WDFREQUEST request, SIZE_T size, PNTSTATUS status)
{
    PVOID buffer = NULL;

    *status = WDF(WdfRequestRetrieveInputBuffer, NTSTATUS, WDFREQUEST, SIZE_T, PVOID *, SIZE_T *)(WdfDriverGlobals, request, size, &buffer, NULL);
    if (NT_SUCCESS(*status)) return buffer;
    /* What is too short is no command. */
    if (*status == STATUS_BUFFER_TOO_SMALL) *status = STATUS_INVALID_PARAMETER;
    return NULL;
}

/* driver.c */
DRIVER_INITIALIZE DriverEntry;

/* hardware.c */
EVT_WDF_DEVICE_PREPARE_HARDWARE EvtDevicePrepareHardware;
EVT_WDF_DEVICE_RELEASE_HARDWARE EvtDeviceReleaseHardware;
EVT_WDF_DEVICE_D0 EvtDeviceD0Entry, EvtDeviceD0Exit;
EVT_WDF_DEVICE_SURPRISE_REMOVAL EvtDeviceSurpriseRemoval;
EVT_WDF_DEVICE_PNP_STATE_CHANGE_NOTIFICATION EvtDevicePnpStateChange;

/* interrupt.c */
EVT_WDF_INTERRUPT_ISR EvtInterruptIsr;
EVT_WDF_INTERRUPT_DPC EvtInterruptDpc;
EVT_WDF_INTERRUPT_SWITCH EvtInterruptEnable, EvtInterruptDisable;

/* program.c; "Locked": under the robot's lock, with Ended zeroed before. */
EVT_WDF_IO_QUEUE_IO_WRITE EvtIoWrite;
EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoExecute;
EVT_WDF_IO_QUEUE_IO_STOP EvtIoStop;
void RobotReap(PROBOT Robot, PENDED Ended);
void RobotHalt(PROBOT Robot, NTSTATUS Status);
void RobotComplete(const ENDED *Ended);

/* requests.c */
EVT_WDF_IO_QUEUE_IO_READ EvtIoRead;
EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoDeviceControl;
void RobotServeReaders(PROBOT Robot);

#endif
