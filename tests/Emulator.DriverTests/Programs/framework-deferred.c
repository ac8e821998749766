/* Timers and work items, each asked for something it must answer, or used as it must not be. */
#include "framework.h"

typedef void *WDFTIMER, *WDFWORKITEM;

enum {
    WdfObjectDelete = 208, WdfTimerCreate = 318, WdfTimerStart = 319, WdfTimerStop = 320, WdfTimerGetParentObject = 321, WdfWorkItemCreate = 379,
    WdfWorkItemEnqueue = 380, WdfWorkItemGetParentObject = 381, WdfWorkItemFlush = 382
};

typedef struct {
    ULONG Size;
    PVOID EvtTimerFunc;
    ULONG Period;
    BOOLEAN AutomaticSerialization;
    ULONG TolerableDelay;
    DECLSPEC_ALIGN(8) BOOLEAN UseHighResolutionTimer;
} TIMER_CONFIG;

typedef struct {
    ULONG Size;
    PVOID EvtWorkItemFunc;
    BOOLEAN AutomaticSerialization;
} WORKITEM_CONFIG;

static struct {
    ULONG Timers, TimerIrql, Items, ItemIrql; /* callbacks, and the IRQL of the last */
} Seen;
static WDFTIMER Timer;
static WDFWORKITEM Item;
static ULONG Fault; /* for a callback */

static BOOLEAN Start(WDFTIMER timer, LONGLONG due)
{
    return WDF(WdfTimerStart, BOOLEAN, WDFTIMER, LONGLONG)(WdfDriverGlobals, timer, due);
}

static BOOLEAN Stop(WDFTIMER timer, BOOLEAN wait)
{
    return WDF(WdfTimerStop, BOOLEAN, WDFTIMER, BOOLEAN)(WdfDriverGlobals, timer, wait);
}

static void Enqueue(WDFWORKITEM item)
{
    WDF(WdfWorkItemEnqueue, void, WDFWORKITEM)(WdfDriverGlobals, item);
}

static void Flush(WDFWORKITEM item)
{
    WDF(WdfWorkItemFlush, void, WDFWORKITEM)(WdfDriverGlobals, item);
}

static void Delete(WDFOBJECT object)
{
    WDF(WdfObjectDelete, void, WDFOBJECT)(WdfDriverGlobals, object);
}

static void NTAPI EvtTimerFunc(WDFTIMER timer)
{
    Seen.Timers++;
    Seen.TimerIrql = KeGetCurrentIrql();
    if (Fault == 30) Stop(timer, TRUE);
}

static void NTAPI EvtWorkItem(WDFWORKITEM item)
{
    Seen.Items++;
    Seen.ItemIrql = KeGetCurrentIrql();
    if (Fault == 31) Flush(item);
    if (Fault == 32) Delete(item); /* which is allowed */
}

static void NTAPI EvtCleanup(WDFOBJECT timer)
{
    if (Fault == 33) Start(timer, -10000);
}

static NTSTATUS MakeTimer(WDFOBJECT parent, ULONG level, ULONG period, BOOLEAN serialized, WDFTIMER *timer)
{
    TIMER_CONFIG config = { .Size = sizeof config, .EvtTimerFunc = EvtTimerFunc, .Period = period, .AutomaticSerialization = serialized };
    WDF_OBJECT_ATTRIBUTES attributes = {
        .Size = sizeof attributes, .EvtCleanupCallback = EvtCleanup, .ExecutionLevel = level, .SynchronizationScope = 1, .ParentObject = parent,
    };

    return WDF(WdfTimerCreate, NTSTATUS, TIMER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFTIMER *)(WdfDriverGlobals, &config, &attributes, timer);
}

static NTSTATUS MakeItem(WDFOBJECT parent, PVOID routine, BOOLEAN serialized, WDFWORKITEM *item)
{
    WORKITEM_CONFIG config = { .Size = sizeof config, .EvtWorkItemFunc = routine, .AutomaticSerialization = serialized };
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1, .ParentObject = parent };

    return WDF(WdfWorkItemCreate, NTSTATUS, WORKITEM_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFWORKITEM *)(WdfDriverGlobals, &config, &attributes, item);
}

static ULONG CheckTimers(WDFDEVICE device)
{
    TIMER_CONFIG config = { .Size = sizeof config, .EvtTimerFunc = EvtTimerFunc, .TolerableDelay = 1, .UseHighResolutionTimer = TRUE };
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1, .ParentObject = device };
    WDFTIMER timer = NULL;

    EXPECT(WDF(WdfTimerCreate, NTSTATUS, TIMER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFTIMER *)(WdfDriverGlobals, &config, NULL, &timer)
        == (NTSTATUS)0xc0200212 /* STATUS_WDF_PARENT_NOT_SPECIFIED */);
    EXPECT(WDF(WdfTimerCreate, NTSTATUS, TIMER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFTIMER *)(WdfDriverGlobals, &config, &attributes, &timer)
        == STATUS_INVALID_PARAMETER);
    EXPECT(MakeTimer(NULL, 1, 0, FALSE, &timer) == (NTSTATUS)0xc0200212);
    EXPECT(MakeTimer(WdfDriverGlobals->Driver, 1, 0, FALSE, &timer) == STATUS_INVALID_DEVICE_REQUEST);
    EXPECT(MakeTimer(device, 1, 0x80000000, FALSE, &timer) == STATUS_INVALID_PARAMETER);
    EXPECT(MakeTimer(device, 2, 10, FALSE, &timer) == STATUS_NOT_SUPPORTED); /* passive and periodic */
    config.Size = FIELD_OFFSET(TIMER_CONFIG, TolerableDelay); /* 1.7 */
    EXPECT(WDF(WdfTimerCreate, NTSTATUS, TIMER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFTIMER *)(WdfDriverGlobals, &config, &attributes, &timer) == 0);
    EXPECT(WDF(WdfTimerGetParentObject, WDFOBJECT, WDFTIMER)(WdfDriverGlobals, timer) == device);
    EXPECT(!Start(timer, -10000000) && Start(timer, -20000000) && Stop(timer, TRUE) && !Stop(timer, FALSE));
    Delete(timer);
    return 0;
}

static ULONG CheckItems(WDFDEVICE device)
{
    ULONG before = Seen.Items;
    WDFWORKITEM item = NULL;

    EXPECT(MakeItem(NULL, EvtWorkItem, FALSE, &item) == (NTSTATUS)0xc0200212);
    EXPECT(MakeItem(device, NULL, FALSE, &item) == STATUS_INVALID_PARAMETER);
    EXPECT(MakeItem(device, EvtWorkItem, FALSE, &item) == STATUS_SUCCESS);
    EXPECT(WDF(WdfWorkItemGetParentObject, WDFOBJECT, WDFWORKITEM)(WdfDriverGlobals, item) == device);
    Enqueue(item);
    Enqueue(item); /* it is in the queue already */
    EXPECT(Seen.Items == before);
    Flush(item);
    EXPECT(Seen.Items == before + 1 && Seen.ItemIrql == PASSIVE_LEVEL);
    Flush(item);
    Enqueue(item);
    Delete(item); /* after it has run once more */
    EXPECT(Seen.Items == before + 2);
    return 0;
}

/* 20: the line that does not hold; 21: what was seen; the others are what the tests say. */
NTSTATUS Deferred(ULONG number, WDFDEVICE device, PULONG out)
{
    NTSTATUS status = STATUS_SUCCESS;
    KIRQL irql;

    Fault = number;
    switch (number) {
    case 20:
        *out = CheckTimers(device);
        if (*out == 0) *out = CheckItems(device);
        break;
    case 21: RtlCopyMemory(out, &Seen, sizeof Seen); break;
    case 22: /* once, after 20 ms */
        status = MakeTimer(device, 1, 0, VARIANT == SERIALIZED, &Timer);
        if (NT_SUCCESS(status)) Start(Timer, -200000);
        break;
    case 23: /* at PASSIVE_LEVEL */
        status = MakeTimer(device, 2, 0, VARIANT == PASSIVE, &Timer);
        if (NT_SUCCESS(status)) Start(Timer, -200000);
        break;
    case 24: /* every 10 ms from the start on */
        status = MakeTimer(device, 1, 10, FALSE, &Timer);
        if (NT_SUCCESS(status)) Start(Timer, 0);
        break;
    case 25: Stop(Timer, TRUE); break;
    case 26: status = MakeItem(device, EvtWorkItem, TRUE, &Item); break; /* one callback at a time */
    case 27: status = MakeTimer(device, 1, 0, TRUE, &Timer); break;
    case 28: Enqueue(Item); break;
    case 30: status = MakeTimer(device, 2, 0, FALSE, &Timer); Start(Timer, 0); break;
    case 31:
    case 32: status = MakeItem(device, EvtWorkItem, FALSE, &Item); Enqueue(Item); break;
    case 33: status = MakeTimer(device, 1, 0, FALSE, &Timer); Delete(Timer); break;
    default: /* 34 */
        status = MakeTimer(device, 1, 0, FALSE, &Timer);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        Stop(Timer, TRUE);
        KeLowerIrql(irql);
        break;
    }
    return status;
}
