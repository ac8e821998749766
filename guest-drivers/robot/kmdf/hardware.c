/* What the device has and when: registers from start to stop, the ring while it is in D0. */
#include "kmdfrobot.h"

NTSTATUS NTAPI EvtDevicePrepareHardware(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
    ULONG count = WDF(WdfCmResourceListGetCount, ULONG, WDFCMRESLIST)(WdfDriverGlobals, Translated), i;
    PROBOT robot = RobotOf(Device);

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
        } else if (at->Type == CmResourceTypeInterrupt && (at->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0) {
            /* MSI-X has a descriptor for each message granted. */
            robot->Messages++;
        }
    }
    if (robot->Registers == NULL) return STATUS_DEVICE_CONFIGURATION_ERROR;
    return ProsewareIdentify(robot->Registers);
}

/* Also after a failed EvtDevicePrepareHardware. */
NTSTATUS NTAPI EvtDeviceReleaseHardware(WDFDEVICE Device, WDFCMRESLIST Translated)
{
    PROBOT robot = RobotOf(Device);

    UNREFERENCED_PARAMETER(Translated);
    if (robot->Registers != NULL) MmUnmapIoSpace(robot->Registers, robot->Length);
    robot->Registers = NULL;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI EvtDeviceD0Entry(WDFDEVICE Device, ULONG Previous)
{
    PROBOT robot = RobotOf(Device);
    NTSTATUS status = ProsewareReset(robot->Registers);
    KIRQL irql;

    UNREFERENCED_PARAMETER(Previous);
    if (!NT_SUCCESS(status)) return status;
    KeAcquireSpinLock(&robot->Lock, &irql);
    robot->Ring.Base = robot->Registers;
    robot->Ring.Shared = WDF(WdfCommonBufferGetAlignedVirtualAddress, PVOID, WDFCOMMONBUFFER)(WdfDriverGlobals, robot->Common);
    robot->Ring.Logical = (ULONGLONG)WDF(WdfCommonBufferGetAlignedLogicalAddress, PHYSICAL_ADDRESS, WDFCOMMONBUFFER)(WdfDriverGlobals, robot->Common).QuadPart;
    ProsewareStartRing(&robot->Ring);
    KeReleaseSpinLock(&robot->Lock, irql);
    ProsewareEnableMotors(robot->Registers);
    return STATUS_SUCCESS;
}

/* Interrupts are disabled, and no request has its turn. A robot that is gone takes no harm from writes. */
NTSTATUS NTAPI EvtDeviceD0Exit(WDFDEVICE Device, ULONG Target)
{
    PROBOT robot = RobotOf(Device);
    KIRQL irql;

    UNREFERENCED_PARAMETER(Target);
    /* EvtDeviceSurpriseRemoval may come at the same time. */
    KeAcquireSpinLock(&robot->Lock, &irql);
    ProsewarePowerDown(robot->Registers);
    robot->Ring.Base = NULL;
    KeReleaseSpinLock(&robot->Lock, irql);
    return STATUS_SUCCESS;
}

/* What runs and what comes from now on ends as of a device that is not there; readers the queue lets go. */
void NTAPI EvtDeviceSurpriseRemoval(WDFDEVICE Device)
{
    PROBOT robot = RobotOf(Device);

    RobotHalt(robot, STATUS_NO_SUCH_DEVICE);
    WDF(WdfIoQueuePurge, void, WDFQUEUE, PVOID, PVOID)(WdfDriverGlobals, robot->Readers, NULL, NULL);
}

/* The framework tells; what it tells is kept for whoever asks with a debugger. */
void NTAPI EvtDevicePnpStateChange(WDFDEVICE Device, const WDF_DEVICE_PNP_NOTIFICATION_DATA *Data)
{
    UNREFERENCED_PARAMETER(Data);
    RobotOf(Device)->PnpChanges++;
}
