/* The driver and its device: what the framework makes of them, and which events it calls for. */
#include "kmdfrobot.h"

#define MESSAGES 4
#define PNP_STARTED 0x119 /* WdfDevStatePnpStarted */
#define NOTIFY_ALL 0x7 /* entering, after processing, leaving */

const WDF_OBJECT_CONTEXT_TYPE_INFO RobotType = { sizeof RobotType, "ROBOT", sizeof(ROBOT), &RobotType, NULL };

static EVT_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    WDF_DRIVER_CONFIG config = { .Size = sizeof config, .EvtDriverDeviceAdd = EvtDriverDeviceAdd };

    return WDF(WdfDriverCreate, NTSTATUS, PDRIVER_OBJECT, PUNICODE_STRING, WDF_OBJECT_ATTRIBUTES *, WDF_DRIVER_CONFIG *, WDFDRIVER *)(
        WdfDriverGlobals, DriverObject, RegistryPath, NULL, &config, NULL);
}

/* Memory that the robot reads and writes: the device's for as long as there is one, across stop and start. */
static NTSTATUS CreateCommonBuffer(WDFDEVICE device)
{
    WDF_DMA_ENABLER_CONFIG dma = { .Size = sizeof dma, .Profile = 4, .MaximumLength = PROSEWARE_SHARED_LENGTH };
    WDF_COMMON_BUFFER_CONFIG buffer = { .Size = sizeof buffer, .AlignmentRequirement = PROSEWARE_SHARED_ALIGNMENT - 1 };
    WDFDMAENABLER enabler;
    NTSTATUS status = WDF(WdfDmaEnablerCreate, NTSTATUS, WDFDEVICE, WDF_DMA_ENABLER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFDMAENABLER *)(
        WdfDriverGlobals, device, &dma, NULL, &enabler);

    if (!NT_SUCCESS(status)) return status;
    return WDF(WdfCommonBufferCreateWithConfig, NTSTATUS, WDFDMAENABLER, SIZE_T, WDF_COMMON_BUFFER_CONFIG *, WDF_OBJECT_ATTRIBUTES *,
        WDFCOMMONBUFFER *)(WdfDriverGlobals, enabler, PROSEWARE_SHARED_LENGTH, &buffer, NULL, &RobotOf(device)->Common);
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

static NTSTATUS CreateQueue(WDFDEVICE device, WDF_IO_QUEUE_CONFIG *config, WDFQUEUE *queue)
{
    config->Size = sizeof *config;
    return WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
        WdfDriverGlobals, device, config, NULL, queue);
}

static NTSTATUS CreateQueues(WDFDEVICE device)
{
    WDF_IO_QUEUE_CONFIG first = {
        .DispatchType = 2, /* parallel */
        .PowerManaged = 2,
        .DefaultQueue = TRUE,
        .EvtIoRead = EvtIoRead,
        .EvtIoDeviceControl = EvtIoDeviceControl,
        .Settings.NumberOfPresentedRequests = MAXULONG,
    };
    WDF_IO_QUEUE_CONFIG turns = {
        .DispatchType = 1, /* sequential */
        .PowerManaged = 2,
        .EvtIoWrite = EvtIoWrite,
        .EvtIoDeviceControl = EvtIoExecute,
        .EvtIoStop = EvtIoStop,
    };
    /* Who waits for events learns, too, of those that come while the device goes down. */
    WDF_IO_QUEUE_CONFIG readers = { .DispatchType = 3 /* manual */, .PowerManaged = 0 };
    PROBOT robot = RobotOf(device);
    NTSTATUS status = CreateQueue(device, &first, NULL);

    if (NT_SUCCESS(status)) status = CreateQueue(device, &turns, &robot->Turns);
    if (NT_SUCCESS(status)) status = CreateQueue(device, &readers, &robot->Readers);
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
        .EvtDeviceSurpriseRemoval = EvtDeviceSurpriseRemoval,
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
    KeInitializeSpinLock(&RobotOf(device)->Lock);
    status = CreateCommonBuffer(device);
    if (NT_SUCCESS(status)) status = CreateInterrupts(device);
    if (NT_SUCCESS(status)) status = CreateQueues(device);
    if (!NT_SUCCESS(status)) return status;
    return WDF(WdfDeviceCreateDeviceInterface, NTSTATUS, WDFDEVICE, const GUID *, PUNICODE_STRING)(WdfDriverGlobals, device, &robots, NULL);
}
