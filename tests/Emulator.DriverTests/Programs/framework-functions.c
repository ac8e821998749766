/* The framework's functions that framework.c has no other use for, each asked for something it must answer. */
#include "framework.h"

enum {
    WdfWdmDeviceGetWdfDeviceHandle = 30, WdfDeviceWdmGetDeviceObject = 31, WdfDeviceWdmGetAttachedDevice = 32, WdfDeviceWdmGetPhysicalDevice = 33,
    WdfDeviceGetDriver = 39, WdfDeviceGetDevicePnpState = 43, WdfDeviceSetStaticStopRemove = 76, WdfDeviceGetDefaultQueue = 92,
    WdfDriverWdmGetDriverObject = 118, WdfWdmDriverGetWdfDriverHandle = 120, WdfInterruptAcquireLock = 144, WdfInterruptReleaseLock = 145,
    WdfInterruptWdmGetInterrupt = 148, WdfInterruptGetInfo = 149, WdfIoQueueStart = 154, WdfIoQueueStop = 155, WdfIoQueueStopSynchronously = 156,
    WdfIoQueueDrain = 163, WdfIoQueueReadyNotify = 166,
    WdfMemoryCreate = 192, WdfMemoryGetBuffer = 194, WdfObjectAllocateContext = 203, WdfObjectContextGetObject = 204, WdfObjectDelete = 208,
    WdfRequestIsCanceled = 257, WdfRequestGetParameters = 266, WdfRequestSetInformation = 275, WdfRequestGetInformation = 276, WdfRequestRequeue = 283,
    WdfRequestWdmGetIrp = 285
};

typedef struct { ULONG Value; } SMALL;
static const WDF_OBJECT_CONTEXT_TYPE_INFO SmallType = { sizeof SmallType, "SMALL", sizeof(SMALL), &SmallType, NULL };

typedef struct {
    ULONG Size;
    ULONG64 Reserved1;
    KAFFINITY TargetProcessorSet;
    ULONG Reserved2, MessageNumber, Vector;
    KIRQL Irql;
    ULONG Mode, Polarity;
    BOOLEAN MessageSignaled;
    UCHAR ShareDisposition;
    DECLSPEC_ALIGN(8) USHORT Group;
} INTERRUPT_INFO;

typedef struct {
    USHORT Size;
    UCHAR MinorFunction;
    ULONG Type;
    struct { SIZE_T Out, In; ULONG_PTR Code; PVOID Type3; } Control;
} PARAMETERS;

static NTSTATUS Allocate(SIZE_T size, WDFOBJECT *memory, PVOID *buffer)
{
    return WDF(WdfMemoryCreate, NTSTATUS, PVOID, ULONG, ULONG, SIZE_T, WDFOBJECT *, PVOID *)(WdfDriverGlobals, NULL, 0, 0, size, memory, buffer);
}

static NTSTATUS AddContext(WDFOBJECT object, PVOID *context)
{
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1, .ContextTypeInfo = &SmallType };

    return WDF(WdfObjectAllocateContext, NTSTATUS, WDFOBJECT, WDF_OBJECT_ATTRIBUTES *, PVOID *)(WdfDriverGlobals, object, &attributes, context);
}

static ULONG CheckMemory(void)
{
    PVOID buffer = NULL, context = NULL, again = NULL;
    WDFOBJECT memory = NULL;
    SIZE_T size = 0;

    EXPECT(Allocate(0, &memory, &buffer) == STATUS_INVALID_PARAMETER);
    EXPECT(Allocate(0x7fffffff, &memory, &buffer) == STATUS_INSUFFICIENT_RESOURCES);
    EXPECT(Allocate(100, &memory, &buffer) == STATUS_SUCCESS);
    EXPECT(WDF(WdfMemoryGetBuffer, PVOID, WDFOBJECT, SIZE_T *)(WdfDriverGlobals, memory, &size) == buffer && size == 100);
    RtlZeroMemory(buffer, size);
    EXPECT(AddContext(memory, &context) == STATUS_SUCCESS);
    EXPECT(AddContext(memory, &again) == (NTSTATUS)0x40000000 /* STATUS_OBJECT_NAME_EXISTS */ && again == context);
    EXPECT(WDF_FAST(WdfObjectContextGetObject, WDFOBJECT, PVOID)(WdfDriverGlobals, context) == memory);
    WDF(WdfObjectDelete, void, WDFOBJECT)(WdfDriverGlobals, memory);
    return 0;
}

static ULONG CheckObjects(WDFDEVICE device, WDFQUEUE manual)
{
    PDEVICE_OBJECT object = WDF(WdfDeviceWdmGetDeviceObject, PDEVICE_OBJECT, WDFDEVICE)(WdfDriverGlobals, device);
    WDFDRIVER driver = WDF(WdfDeviceGetDriver, WDFDRIVER, WDFDEVICE)(WdfDriverGlobals, device);

    EXPECT(driver == WdfDriverGlobals->Driver);
    EXPECT(WDF(WdfDriverWdmGetDriverObject, PDRIVER_OBJECT, WDFDRIVER)(WdfDriverGlobals, driver) == object->DriverObject);
    EXPECT(WDF(WdfWdmDriverGetWdfDriverHandle, WDFDRIVER, PDRIVER_OBJECT)(WdfDriverGlobals, object->DriverObject) == driver);
    EXPECT(WDF(WdfWdmDeviceGetWdfDeviceHandle, WDFDEVICE, PDEVICE_OBJECT)(WdfDriverGlobals, object) == device);
    EXPECT(WDF(WdfDeviceWdmGetAttachedDevice, PDEVICE_OBJECT, WDFDEVICE)(WdfDriverGlobals, device)->AttachedDevice == object);
    EXPECT(WDF(WdfDeviceWdmGetPhysicalDevice, PDEVICE_OBJECT, WDFDEVICE)(WdfDriverGlobals, device)->AttachedDevice == object);
    EXPECT(WDF(WdfDeviceGetDevicePnpState, ULONG, WDFDEVICE)(WdfDriverGlobals, device) == 0x119 /* started */);
    EXPECT(WDF(WdfDeviceGetDefaultQueue, WDFQUEUE, WDFDEVICE)(WdfDriverGlobals, device) != manual);
    return 0;
}

static ULONG CheckInterrupt(WDFINTERRUPT interrupt)
{
    INTERRUPT_INFO info = { .Size = sizeof info };
    KIRQL irql;

    WDF(WdfInterruptGetInfo, void, WDFINTERRUPT, INTERRUPT_INFO *)(WdfDriverGlobals, interrupt, &info);
    EXPECT(info.MessageNumber == 0 && info.Vector != 0 && info.TargetProcessorSet == 1);
    EXPECT(!info.MessageSignaled && info.ShareDisposition == 3 /* shared */ && info.Mode == 0 /* level */);
    EXPECT(WDF(WdfInterruptWdmGetInterrupt, PVOID, WDFINTERRUPT)(WdfDriverGlobals, interrupt) != NULL);
    WDF(WdfInterruptAcquireLock, void, WDFINTERRUPT)(WdfDriverGlobals, interrupt);
    irql = KeGetCurrentIrql();
    WDF(WdfInterruptReleaseLock, void, WDFINTERRUPT)(WdfDriverGlobals, interrupt);
    EXPECT(irql == info.Irql && irql > DISPATCH_LEVEL && KeGetCurrentIrql() == PASSIVE_LEVEL);
    return 0;
}

/* With one read in the manual queue. */
static ULONG CheckQueues(WDFQUEUE queue, WDFQUEUE manual)
{
    ULONG waiting = 9, owned = 9, state;
    WDFREQUEST request = NULL, again = NULL;

    state = WDF(WdfIoQueueGetState, ULONG, WDFQUEUE, PULONG, PULONG)(WdfDriverGlobals, manual, &waiting, &owned);
    EXPECT(state == (1 | 2 | 8) && waiting == 1 && owned == 0); /* accepts, dispatches, the driver has none */
    EXPECT(WDF(WdfIoQueueRetrieveNextRequest, NTSTATUS, WDFQUEUE, WDFREQUEST *)(WdfDriverGlobals, manual, &request) == STATUS_SUCCESS);
    state = WDF(WdfIoQueueGetState, ULONG, WDFQUEUE, PULONG, PULONG)(WdfDriverGlobals, manual, &waiting, &owned);
    EXPECT(state == (1 | 2 | 4) && waiting == 0 && owned == 1);
    EXPECT(WDF(WdfRequestRequeue, NTSTATUS, WDFREQUEST)(WdfDriverGlobals, request) == STATUS_SUCCESS);
    EXPECT(WDF(WdfIoQueueRetrieveNextRequest, NTSTATUS, WDFQUEUE, WDFREQUEST *)(WdfDriverGlobals, manual, &again) == STATUS_SUCCESS && again == request);
    EXPECT(WDF(WdfRequestRequeue, NTSTATUS, WDFREQUEST)(WdfDriverGlobals, request) == STATUS_SUCCESS);
    WDF(WdfIoQueueStopSynchronously, void, WDFQUEUE)(WdfDriverGlobals, queue);
    EXPECT(WDF(WdfIoQueueGetState, ULONG, WDFQUEUE, PULONG, PULONG)(WdfDriverGlobals, queue, NULL, NULL) == (1 | 4 | 8));
    WDF(WdfIoQueueStart, void, WDFQUEUE)(WdfDriverGlobals, queue);
    return 0;
}

static ULONG CheckRequest(WDFREQUEST request)
{
    PIRP irp = WDF(WdfRequestWdmGetIrp, PIRP, WDFREQUEST)(WdfDriverGlobals, request);
    PARAMETERS parameters = { .Size = sizeof parameters };

    WDF(WdfRequestGetParameters, void, WDFREQUEST, PARAMETERS *)(WdfDriverGlobals, request, &parameters);
    EXPECT(parameters.Type == IRP_MJ_DEVICE_CONTROL && parameters.Control.Out == 4 && parameters.Control.In == 0);
    EXPECT((ULONG)parameters.Control.Code == IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode);
    EXPECT(!WDF(WdfRequestIsCanceled, BOOLEAN, WDFREQUEST)(WdfDriverGlobals, request));
    WDF(WdfRequestSetInformation, void, WDFREQUEST, ULONG_PTR)(WdfDriverGlobals, request, 4);
    EXPECT(WDF(WdfRequestGetInformation, ULONG_PTR, WDFREQUEST)(WdfDriverGlobals, request) == 4 && irp->IoStatus.Information == 4);
    return 0;
}

/* The line of the first that does not hold; 0 when all do. */
ULONG Check(WDFDEVICE device, WDFQUEUE queue, WDFQUEUE manual, WDFINTERRUPT interrupt, WDFREQUEST request)
{
    ULONG line = CheckMemory();

    if (line == 0) line = CheckObjects(device, manual);
    if (line == 0) line = CheckInterrupt(interrupt);
    if (line == 0) line = CheckQueues(queue, manual);
    return line != 0 ? line : CheckRequest(request);
}

static void NTAPI EvtIoQueueState(WDFQUEUE queue, PVOID context)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(context);
}

void Change(ULONG number, WDFDEVICE device, WDFQUEUE queue, WDFQUEUE manual)
{
    switch (number) {
    case 10: WDF(WdfIoQueueStop, void, WDFQUEUE, PVOID, PVOID)(WdfDriverGlobals, queue, EvtIoQueueState, NULL); break;
    case 11: WDF(WdfIoQueueStart, void, WDFQUEUE)(WdfDriverGlobals, queue); break;
    case 12: WDF(WdfIoQueueDrain, void, WDFQUEUE, PVOID, PVOID)(WdfDriverGlobals, queue, EvtIoQueueState, NULL); break;
    case 13: WDF(WdfIoQueuePurge, void, WDFQUEUE, PVOID, PVOID)(WdfDriverGlobals, queue, EvtIoQueueState, NULL); break;
    case 14: WDF(WdfIoQueueReadyNotify, NTSTATUS, WDFQUEUE, PVOID, PVOID)(WdfDriverGlobals, manual, EvtIoQueueState, NULL); break;
    default: WDF(WdfDeviceSetStaticStopRemove, void, WDFDEVICE, BOOLEAN)(WdfDriverGlobals, device, number == 16); break;
    }
}
