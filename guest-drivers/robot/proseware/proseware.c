/*
 * ProsewareRobot.sys: hands GeneralRobot what is Proseware's own of a robot. What registers and ring mean is in prosewarerobot.h.
 */
#include <robotpair.h>
#include <prosewarerobot.h>

DRIVER_INITIALIZE DriverEntry;
static ROBOT_CALLBACK DeviceControlCallback, PnpCallback, PowerCallback;

static PVOID g_ProsewareRobotCallbacks[RobotCallbacks] = { DeviceControlCallback, PnpCallback, PowerCallback };

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    return GeneralRobotInit(DriverObject, RegistryPath, g_ProsewareRobotCallbacks);
}

static NTSTATUS NTAPI DeviceControlCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    PUCHAR base = device->Bars[0].Base;
    PPROSEWARE_RING ring = device->Specific;
    ULONG causes;

    switch (operation) {
    case RobotControlInterrupt:
        causes = ProsewareAcknowledge(base);
        *(PULONG)data = causes;
        return causes != 0 ? STATUS_SUCCESS : STATUS_NO_MORE_ENTRIES;
    case RobotControlCollect: ProsewareCollect(base, data); return STATUS_SUCCESS;
    case RobotControlSubmit: return ProsewareSubmit(ring, data);
    case RobotControlReap: return ProsewareReap(ring, data);
    case RobotControlHalted: return ProsewareHasHalted(base) ? STATUS_SUCCESS : STATUS_NO_MORE_ENTRIES;
    case RobotControlAbort: ProsewareAbort(ring); return STATUS_SUCCESS;
    case RobotControlInfo: return ProsewareInfo(base, data);
    case RobotControlState: return ProsewareState(base, data);
    case RobotControlWatchdog: ProsewareSetWatchdog(base, *(PULONG)data); return STATUS_SUCCESS;
    case RobotControlFeed: ProsewareFeedWatchdog(base); return STATUS_SUCCESS;
    default: return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI PnpCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    static const ROBOT_DESCRIPTION description = {
        .ContextSize = sizeof(PROSEWARE_RING), .RegisterLength = PROSEWARE_ROBOT_BAR0_SIZE, .CommonLength = PROSEWARE_SHARED_LENGTH, .AddressBits = 64,
        .Capacity = PROSEWARE_CAPACITY, .MostWatchdog = PROSEWARE_MOST_WATCHDOG, .Results = ProsewareResults, .Flags = ProsewareFlags,
    };

    switch (operation) {
    case RobotPnpDescribe: *(PROBOT_DESCRIPTION)data = description; return STATUS_SUCCESS;
    case RobotPnpIdentify: return ProsewareIdentify(device->Bars[0].Base);
    default: return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI PowerCallback(PROBOT_DEVICE device, ROBOT_OPERATION operation, PVOID data)
{
    PUCHAR base = device->Bars[0].Base;
    PPROSEWARE_RING ring = device->Specific;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(data);
    switch (operation) {
    case RobotPowerUp:
        status = ProsewareReset(base);
        if (!NT_SUCCESS(status)) return status;
        ring->Base = base;
        ring->Shared = device->Common;
        ring->Logical = (ULONGLONG)device->CommonLogical.QuadPart;
        ProsewareStartRing(ring);
        return STATUS_SUCCESS;
    case RobotPowerEnable:
        ProsewareEnableMotors(base);
        ProsewareEnableInterrupts(base, TRUE);
        return STATUS_SUCCESS;
    case RobotPowerDown:
        ProsewareEnableInterrupts(base, FALSE);
        ProsewarePowerDown(base);
        return STATUS_SUCCESS;
    default: return STATUS_NOT_SUPPORTED;
    }
}
