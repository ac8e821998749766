/*
 * A KMDF driver that uses what KmdfRobot does not, and does wrong in the one way that the number in its IOCTL says. Reads wait in a
 * manual queue, writes go one by one through a sequential one and are kept until IOCTL 2.
 */
#include "framework.h"

#define BUFFERED(n) CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + (n), METHOD_BUFFERED, FILE_ANY_ACCESS)

enum {
    WdfDeviceInitSetRequestAttributes = 72, WdfFdoInitSetFilter = 129, WdfDmaTransactionCreate = 98, WdfInterruptSynchronize = 143,
    WdfObjectReferenceActual = 205, WdfObjectCreate = 207, WdfObjectDelete = 208, WdfRequestMarkCancelable = 255,
    WdfRequestStopAcknowledge = 284, WdfWaitLockCreate = 312, WdfWaitLockAcquire = 313, WdfWaitLockRelease = 314, WdfSpinLockCreate = 315,
    WdfSpinLockAcquire = 316, WdfSpinLockRelease = 317
};

typedef struct { CHAR Name; } LETTER;
typedef struct {
    WDFQUEUE Manual, Sequential;
    WDFINTERRUPT Interrupt;
    WDFSPINLOCK Lock;
    WDFREQUEST Kept;
    ULONG Fault; /* for a callback */
} STATE;

static const WDF_OBJECT_CONTEXT_TYPE_INFO ContextType = { sizeof ContextType, "STATE", sizeof(STATE), &ContextType, NULL };
static const WDF_OBJECT_CONTEXT_TYPE_INFO LetterType = { sizeof LetterType, "LETTER", sizeof(LETTER), &LetterType, NULL };

static LONG Depth, Deepest; /* of callbacks inside each other */
static CHAR Log[32];
static ULONG Logged;

static PVOID Get(WDFOBJECT object, const WDF_OBJECT_CONTEXT_TYPE_INFO *type)
{
    return WDF_FAST(WdfObjectGetTypedContextWorker, PVOID, WDFOBJECT, const WDF_OBJECT_CONTEXT_TYPE_INFO *)(WdfDriverGlobals, object, type);
}

static STATE *Context(WDFQUEUE queue)
{
    return Get(WDF(WdfIoQueueGetDevice, WDFDEVICE, WDFQUEUE)(WdfDriverGlobals, queue), &ContextType);
}

static void Complete(WDFREQUEST request, NTSTATUS status, ULONG_PTR information)
{
    WDF(WdfRequestCompleteWithInformation, void, WDFREQUEST, NTSTATUS, ULONG_PTR)(WdfDriverGlobals, request, status, information);
}

static PVOID Output(WDFREQUEST request)
{
    PVOID buffer = NULL;

    WDF(WdfRequestRetrieveOutputBuffer, NTSTATUS, WDFREQUEST, SIZE_T, PVOID *, SIZE_T *)(WdfDriverGlobals, request, 1, &buffer, NULL);
    return buffer;
}

/* ---- objects ---- */

static void NTAPI EvtCleanup(WDFOBJECT object)
{
    Log[Logged++] = ((LETTER *)Get(object, &LetterType))->Name;
}

static void NTAPI EvtDestroy(WDFOBJECT object)
{
    Log[Logged++] = (CHAR)(((LETTER *)Get(object, &LetterType))->Name - 'a' + 'A');
}

static WDF_OBJECT_ATTRIBUTES Logging(WDFOBJECT parent)
{
    return (WDF_OBJECT_ATTRIBUTES){ sizeof(WDF_OBJECT_ATTRIBUTES), EvtCleanup, EvtDestroy, 1, 1, parent, 0, &LetterType };
}

static WDFOBJECT Create(CHAR name, WDFOBJECT parent)
{
    WDF_OBJECT_ATTRIBUTES attributes = Logging(parent);
    WDFOBJECT object = NULL;

    if (NT_SUCCESS(WDF(WdfObjectCreate, NTSTATUS, WDF_OBJECT_ATTRIBUTES *, WDFOBJECT *)(WdfDriverGlobals, &attributes, &object))) {
        ((LETTER *)Get(object, &LetterType))->Name = name;
    }
    return object;
}

static void Delete(WDFOBJECT object)
{
    WDF(WdfObjectDelete, void, WDFOBJECT)(WdfDriverGlobals, object);
}

static void Lock(STATE *context)
{
    WDF(WdfSpinLockAcquire, void, WDFSPINLOCK)(WdfDriverGlobals, context->Lock);
}

static void Unlock(STATE *context)
{
    WDF(WdfSpinLockRelease, void, WDFSPINLOCK)(WdfDriverGlobals, context->Lock);
}

static BOOLEAN NTAPI EvtInterruptSynchronize(WDFINTERRUPT interrupt, PVOID context)
{
    UNREFERENCED_PARAMETER(interrupt);
    *(KIRQL *)context = KeGetCurrentIrql();
    return TRUE;
}

/* ---- requests ---- */

static void NTAPI EvtRequestCancel(WDFREQUEST request)
{
    Complete(request, STATUS_CANCELLED, 0);
}

static void Enter(void)
{
    if (++Depth > Deepest) Deepest = Depth;
}

static void NTAPI EvtIoWrite(WDFQUEUE queue, WDFREQUEST request, SIZE_T length)
{
    UNREFERENCED_PARAMETER(length);
    Enter();
    Context(queue)->Kept = request;
    WDF(WdfRequestMarkCancelable, void, WDFREQUEST, PVOID)(WdfDriverGlobals, request, EvtRequestCancel);
    Depth--;
}

static void NTAPI EvtIoStop(WDFQUEUE queue, WDFREQUEST request, ULONG flags)
{
    UNREFERENCED_PARAMETER(queue);
    if ((flags & 1) != 0) { /* suspend; the other is purge */
        WDF(WdfRequestStopAcknowledge, void, WDFREQUEST, BOOLEAN)(WdfDriverGlobals, request, FALSE);
        return;
    }
    if (WDF(WdfRequestUnmarkCancelable, NTSTATUS, WDFREQUEST)(WdfDriverGlobals, request) != STATUS_CANCELLED) Complete(request, STATUS_CANCELLED, 0);
}

static void NTAPI EvtIoResume(WDFQUEUE queue, WDFREQUEST request)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(request);
}

static void Control(WDFQUEUE queue, WDFREQUEST request, ULONG code)
{
    STATE *context = Context(queue);
    WDF_IO_QUEUE_CONFIG small = { .Size = 4 };
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1 };
    WDF_DMA_ENABLER_CONFIG dma = { .Size = sizeof dma, .Profile = 1, .MaximumLength = 4096 };
    static const GUID guid = { 1, 2, 3, { 4 } };
    WDFDEVICE device = WDF(WdfIoQueueGetDevice, WDFDEVICE, WDFQUEUE)(WdfDriverGlobals, queue);
    WDFOBJECT object;
    WDFREQUEST next;
    NTSTATUS status = STATUS_SUCCESS;
    PVOID buffer = NULL;
    ULONG fault = 0;
    WDFOBJECT wait = NULL;

    switch (code) {
    case BUFFERED(1): /* answers the oldest read */
        status = WDF(WdfIoQueueRetrieveNextRequest, NTSTATUS, WDFQUEUE, WDFREQUEST *)(WdfDriverGlobals, context->Manual, &next);
        if (NT_SUCCESS(status)) {
            *(PUCHAR)Output(next) = 42;
            Complete(next, STATUS_SUCCESS, 1);
        }
        Complete(request, status, 0);
        return;
    case BUFFERED(2): /* ends the write that is kept */
        status = WDF(WdfRequestUnmarkCancelable, NTSTATUS, WDFREQUEST)(WdfDriverGlobals, context->Kept);
        if (NT_SUCCESS(status)) Complete(context->Kept, STATUS_SUCCESS, 1);
        Complete(request, status, 0);
        return;
    case BUFFERED(3): /* a tree of objects: a with b and c, and d below c; then what was called in which order */
        object = Create('a', NULL);
        Create('b', object);
        Create('d', Create('c', object));
        Delete(object);
        RtlCopyMemory(Output(request), Log, Logged);
        Complete(request, STATUS_SUCCESS, Logged);
        return;
    case BUFFERED(4): /* at which IRQL interrupt and spin lock run what they guard */
        buffer = Output(request);
        WDF(WdfInterruptSynchronize, BOOLEAN, WDFINTERRUPT, PVOID, PVOID)(WdfDriverGlobals, context->Interrupt, EvtInterruptSynchronize, buffer);
        Lock(context);
        ((KIRQL *)buffer)[1] = KeGetCurrentIrql();
        Unlock(context);
        WDF(WdfWaitLockCreate, NTSTATUS, WDF_OBJECT_ATTRIBUTES *, WDFOBJECT *)(WdfDriverGlobals, NULL, &wait);
        status = WDF(WdfWaitLockAcquire, NTSTATUS, WDFOBJECT, PLONGLONG)(WdfDriverGlobals, wait, NULL);
        WDF(WdfWaitLockRelease, void, WDFOBJECT)(WdfDriverGlobals, wait);
        Complete(request, status, 2);
        return;
    case BUFFERED(5): /* how deep callbacks came, and at which IRQL */
        buffer = Output(request);
        ((PUCHAR)buffer)[0] = (UCHAR)Deepest;
        ((PUCHAR)buffer)[1] = KeGetCurrentIrql();
        Complete(request, STATUS_SUCCESS, 2);
        return;
    case BUFFERED(6):
        *(PULONG)Output(request) = Check(device, context->Sequential, context->Manual, context->Interrupt, request);
        Complete(request, STATUS_SUCCESS, 4);
        return;
    case BUFFERED(7): /* the line that does not hold; then in which order the enabler and its buffer went */
        attributes = Logging(NULL);
        buffer = Output(request);
        *(PULONG)buffer = CheckDma(device, &attributes, &attributes);
        RtlCopyMemory((PUCHAR)buffer + 4, Log, Logged);
        Complete(request, STATUS_SUCCESS, 4 + Logged);
        return;
    case BUFFERED(0):
        break;
    default:
        if (code >= BUFFERED(40)) {
            status = Files((code >> 2 & 0xfff) - 0x800, device, request, Output(request));
            Complete(request, status, 8);
            return;
        }
        if (code >= BUFFERED(20)) {
            status = Deferred((code >> 2 & 0xfff) - 0x800, device, Output(request));
            Complete(request, status, 16);
            return;
        }
        Change((code >> 2 & 0xfff) - 0x800, device, context->Sequential, context->Manual);
        Complete(request, STATUS_SUCCESS, 0);
        return;
    }
    WDF(WdfRequestRetrieveInputBuffer, NTSTATUS, WDFREQUEST, SIZE_T, PVOID *, SIZE_T *)(WdfDriverGlobals, request, sizeof fault, &buffer, NULL);
    if (buffer != NULL) fault = *(PULONG)buffer;
    switch (fault) {
    case 1: Complete(request, STATUS_SUCCESS, 0); break; /* and once more below */
    case 2: return; /* never completed */
    case 3: Complete(queue, STATUS_SUCCESS, 0); break;
    case 4: Complete(NULL, STATUS_SUCCESS, 0); break;
    case 5: Complete((WDFREQUEST)(ULONG_PTR)0x12345678, STATUS_SUCCESS, 0); break;
    case 6: /* a structure of another size */
        status = WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
            WdfDriverGlobals, device, &small, NULL, &object);
        break;
    case 7: ((volatile CHAR *)context)[sizeof *context] = 1; break;
    case 8: /* a context of an object that is gone */
        object = Create('x', NULL);
        buffer = Get(object, &LetterType);
        Delete(object);
        *(volatile CHAR *)buffer = 1;
        break;
    case 9: Lock(context); Lock(context); break;
    case 10: Complete(request, STATUS_SUCCESS, 0); Lock(context); return; /* kept */
    case 11: Unlock(context); break;
    case 12: /* for PASSIVE_LEVEL alone */
        Lock(context);
        WDF(WdfDeviceCreateDeviceInterface, NTSTATUS, WDFDEVICE, const GUID *, PUNICODE_STRING)(WdfDriverGlobals, device, &guid, NULL);
        Unlock(context);
        break;
    case 13: WDF(WdfDmaTransactionCreate, NTSTATUS, PVOID, PVOID, PVOID)(WdfDriverGlobals, NULL, NULL, NULL); break;
    case 14: Delete(queue); break;
    case 15: Complete(request, STATUS_SUCCESS, 4096); return;
    case 16: *(volatile CHAR *)request = 1; break; /* a handle is no pointer */
    case 17: WDF(WdfObjectDelete, void, WDFOBJECT)((PWDF_DRIVER_GLOBALS)&small, queue); break;
    case 18: /* a reference too many */
        WDF(WdfObjectReferenceActual, void, WDFOBJECT, PVOID, LONG, PCSTR)(WdfDriverGlobals, Create('y', NULL), NULL, 0, NULL);
        break;
    case 19: WDF(WdfRequestMarkCancelable, void, WDFREQUEST, PVOID)(WdfDriverGlobals, request, EvtRequestCancel); break;
    case 20: /* given away, and completed none the less */
        WDF(WdfRequestForwardToIoQueue, NTSTATUS, WDFREQUEST, WDFQUEUE)(WdfDriverGlobals, request, context->Manual);
        break;
    case 21: Get(NULL, &ContextType); break;
    case 22: /* attributes of another size */
        attributes.Size = 4;
        status = WDF(WdfObjectCreate, NTSTATUS, WDF_OBJECT_ATTRIBUTES *, WDFOBJECT *)(WdfDriverGlobals, &attributes, &object);
        break;
    case 23: dma.Size = 4; status = CreateDma(device, &dma, NULL, &object); break;
    case 24: dma.AddressWidthOverride = 40; status = CreateDma(device, &dma, NULL, &object); break; /* wider than the profile */
    case 25: dma.Profile = 7; CreateDma(device, &dma, NULL, &object); break; /* the system's controller */
    default: context->Fault = fault; break; /* for a callback */
    }
    Complete(request, status, 0);
}

static void NTAPI EvtIoDeviceControl(WDFQUEUE queue, WDFREQUEST request, SIZE_T out, SIZE_T in, ULONG code)
{
    UNREFERENCED_PARAMETER(out);
    UNREFERENCED_PARAMETER(in);
    Enter();
    Control(queue, request, code);
    Depth--;
}

/* ---- the device ---- */

static STATE *Of(WDFDEVICE device)
{
    return Get(device, &ContextType);
}

static NTSTATUS NTAPI Event(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
    return STATUS_SUCCESS;
}

static void NTAPI VoidEvent(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
}

static NTSTATUS NTAPI QueryStop(WDFDEVICE device)
{
    return Of(device)->Fault == 100 ? STATUS_DEVICE_BUSY : STATUS_SUCCESS;
}

static NTSTATUS NTAPI D0(WDFDEVICE device, ULONG other)
{
    UNREFERENCED_PARAMETER(other);
    return Of(device)->Fault == 101 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

static NTSTATUS NTAPI D0Exit(WDFDEVICE device, ULONG other)
{
    UNREFERENCED_PARAMETER(other);
    return Of(device)->Fault == 102 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

static STATE *OfEnabler; /* the one device's */

static NTSTATUS NTAPI DmaEvent(WDFDMAENABLER enabler)
{
    UNREFERENCED_PARAMETER(enabler);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI DmaFill(WDFDMAENABLER enabler)
{
    UNREFERENCED_PARAMETER(enabler);
    return OfEnabler->Fault == 104 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

static NTSTATUS NTAPI DmaEnable(WDFDMAENABLER enabler)
{
    UNREFERENCED_PARAMETER(enabler);
    return OfEnabler->Fault == 105 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

static NTSTATUS NTAPI PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI ReleaseHardware(WDFDEVICE device, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(translated);
    return Of(device)->Fault == 103 ? STATUS_PENDING : STATUS_SUCCESS;
}

static void NTAPI StateChange(WDFDEVICE device, const WDF_DEVICE_PNP_NOTIFICATION_DATA *data)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(data);
}

static BOOLEAN NTAPI Isr(WDFINTERRUPT interrupt, ULONG message)
{
    UNREFERENCED_PARAMETER(interrupt);
    UNREFERENCED_PARAMETER(message);
    return FALSE;
}

NTSTATUS NTAPI DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    WDF_PNPPOWER_EVENT_CALLBACKS power = {
        .Size = sizeof power, .EvtDeviceD0Entry = D0, .EvtDeviceD0EntryPostInterruptsEnabled = D0, .EvtDeviceD0Exit = D0Exit,
        .EvtDeviceD0ExitPreInterruptsDisabled = D0Exit, .EvtDevicePrepareHardware = PrepareHardware, .EvtDeviceReleaseHardware = ReleaseHardware,
        /* cleanup, flush, init, suspend, restart; query remove, query stop */
        .SelfManagedIo = { VoidEvent, VoidEvent, Event, Event, Event },
        .EvtDeviceSurpriseRemoval = VoidEvent,
        .Others = { Event, QueryStop },
    };
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1, .ContextTypeInfo = &ContextType };
    WDF_OBJECT_ATTRIBUTES requests = { .Size = sizeof requests, .ExecutionLevel = 1, .SynchronizationScope = 1 };
    WDF_IO_QUEUE_CONFIG queue = {
        .Size = sizeof queue, .DispatchType = 2, .PowerManaged = 2, .DefaultQueue = TRUE, .EvtIoDeviceControl = EvtIoDeviceControl,
        .Settings.NumberOfPresentedRequests = MAXULONG,
    };
    WDF_IO_QUEUE_CONFIG sequential = {
        .Size = sizeof sequential, .DispatchType = 1, .PowerManaged = 2, .EvtIoWrite = EvtIoWrite, .EvtIoStop = EvtIoStop, .EvtIoResume = EvtIoResume,
    };
    WDF_IO_QUEUE_CONFIG manual = { .Size = sizeof manual, .DispatchType = 3, .PowerManaged = 0 };
    WDF_DMA_ENABLER_CONFIG dma = {
        .Size = sizeof dma, .Profile = 3, .MaximumLength = 4096, .Callbacks = { DmaFill, DmaEvent, DmaEvent, DmaEnable, DmaEvent, DmaEvent },
    };
    WDFDMAENABLER enabler;
    WDF_INTERRUPT_CONFIG interrupt = { .Size = sizeof interrupt, .ShareVector = 2, .EvtInterruptIsr = Isr };
    WDFDEVICE device;
    STATE *context;
    NTSTATUS status;
    ULONG state;

    UNREFERENCED_PARAMETER(driver);
    WDF(WdfDeviceInitSetPnpPowerEventCallbacks, void, PWDFDEVICE_INIT, WDF_PNPPOWER_EVENT_CALLBACKS *)(WdfDriverGlobals, init, &power);
    for (state = 0x100; state < 0x13a; state++) {
        WDF(WdfDeviceInitRegisterPnpStateChangeCallback, NTSTATUS, PWDFDEVICE_INIT, ULONG, PVOID, ULONG)(WdfDriverGlobals, init, state, StateChange, 1);
    }
    WDF(WdfDeviceInitSetIoType, void, PWDFDEVICE_INIT, ULONG)(WdfDriverGlobals, init, 2);
    WDF(WdfDeviceInitSetRequestAttributes, void, PWDFDEVICE_INIT, WDF_OBJECT_ATTRIBUTES *)(WdfDriverGlobals, init, &requests);
    if (VARIANT == SERIALIZED || VARIANT == PASSIVE) attributes.SynchronizationScope = 2;
    if (VARIANT == PASSIVE) attributes.ExecutionLevel = 2;
    if (VARIANT == FILES || VARIANT == FILTER_FILES) WantFiles(init);
    if (VARIANT == FILTER || VARIANT == FILTER_FILES) WDF(WdfFdoInitSetFilter, void, PWDFDEVICE_INIT)(WdfDriverGlobals, init);
    status = WDF(WdfDeviceCreate, NTSTATUS, PWDFDEVICE_INIT *, WDF_OBJECT_ATTRIBUTES *, WDFDEVICE *)(WdfDriverGlobals, &init, &attributes, &device);
    if (!NT_SUCCESS(status) || VARIANT == FILTER || VARIANT == FILTER_FILES) return status;
    context = Of(device);
    if (VARIANT == DMA) {
        OfEnabler = context;
        status = CreateDma(device, &dma, NULL, &enabler);
        if (!NT_SUCCESS(status)) return status;
    }
    status = WDF(WdfSpinLockCreate, NTSTATUS, WDF_OBJECT_ATTRIBUTES *, WDFSPINLOCK *)(WdfDriverGlobals, NULL, &context->Lock);
    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfInterruptCreate, NTSTATUS, WDFDEVICE, WDF_INTERRUPT_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFINTERRUPT *)(
        WdfDriverGlobals, device, &interrupt, NULL, &context->Interrupt);
    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
        WdfDriverGlobals, device, &queue, NULL, NULL);
    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
        WdfDriverGlobals, device, &sequential, NULL, &context->Sequential);
    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfIoQueueCreate, NTSTATUS, WDFDEVICE, WDF_IO_QUEUE_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFQUEUE *)(
        WdfDriverGlobals, device, &manual, NULL, &context->Manual);
    if (!NT_SUCCESS(status)) return status;
    status = WDF(WdfDeviceConfigureRequestDispatching, NTSTATUS, WDFDEVICE, WDFQUEUE, ULONG)(WdfDriverGlobals, device, context->Sequential, IRP_MJ_WRITE);
    if (!NT_SUCCESS(status)) return status;
    return WDF(WdfDeviceConfigureRequestDispatching, NTSTATUS, WDFDEVICE, WDFQUEUE, ULONG)(WdfDriverGlobals, device, context->Manual, IRP_MJ_READ);
}
