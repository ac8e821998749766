/* Waits, timers, threads, lists, strings, the registry. */
#include "services.h"

static LARGE_INTEGER Relative(LONG milliseconds)
{
    LARGE_INTEGER time;

    time.QuadPart = -10000 * (LONGLONG)milliseconds;
    return time;
}

/* ---- waits ---- */

static int Waits(void)
{
    LARGE_INTEGER none = Relative(0), little = Relative(5), before, after;
    KWAIT_BLOCK blocks[3];
    PVOID objects[3];
    KSEMAPHORE semaphore;
    KMUTEX mutex;
    KEVENT once, always;

    KeInitializeEvent(&once, SynchronizationEvent, TRUE);
    KeInitializeEvent(&always, NotificationEvent, FALSE);
    CHECK(KeWaitForSingleObject(&once, Executive, KernelMode, FALSE, &none) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&once, Executive, KernelMode, FALSE, &none) == STATUS_TIMEOUT);
    CHECK(KeSetEvent(&always, 0, FALSE) == 0 && KeSetEvent(&always, 0, FALSE) != 0);
    CHECK(KeReadStateEvent(&always) != 0 && KeResetEvent(&always) != 0 && KeReadStateEvent(&always) == 0);
    KeInitializeSemaphore(&semaphore, 1, 3);
    CHECK(KeWaitForSingleObject(&semaphore, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&semaphore, Executive, KernelMode, FALSE, &little) == STATUS_TIMEOUT);
    CHECK(KeReleaseSemaphore(&semaphore, 0, 2, FALSE) == 0 && KeReadStateSemaphore(&semaphore) == 2);
    KeInitializeMutex(&mutex, 0);
    CHECK(KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeReleaseMutex(&mutex, FALSE) == -1 && KeReleaseMutex(&mutex, FALSE) == 0 && KeReadStateMutex(&mutex) == 1);

    objects[0] = &once;
    objects[1] = &always;
    objects[2] = &semaphore;
    CHECK(KeWaitForMultipleObjects(3, objects, WaitAny, Executive, KernelMode, FALSE, &none, blocks) == STATUS_WAIT_0 + 2);
    CHECK(KeReadStateSemaphore(&semaphore) == 1);
    CHECK(KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, &little, blocks) == STATUS_TIMEOUT);
    CHECK(KeReadStateSemaphore(&semaphore) == 1);
    KeSetEvent(&once, 0, FALSE);
    KeSetEvent(&always, 0, FALSE);
    CHECK(KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, NULL, blocks) == STATUS_SUCCESS);
    CHECK(KeReadStateSemaphore(&semaphore) == 0 && KeReadStateEvent(&once) == 0 && KeReadStateEvent(&always) != 0);

    before = KeQueryPerformanceCounter(NULL);
    KeDelayExecutionThread(KernelMode, FALSE, &little);
    after = KeQueryPerformanceCounter(NULL);
    CHECK(after.QuadPart - before.QuadPart == 50000);
    KeStallExecutionProcessor(50);
    CHECK(KeQueryPerformanceCounter(&before).QuadPart - after.QuadPart == 500 && before.QuadPart == 10000000);
    return 0;
}

/* ---- timers ---- */

static volatile LONG Ticks;

static void NTAPI Tick(PKDPC dpc, PVOID context, PVOID low, PVOID high)
{
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(low);
    UNREFERENCED_PARAMETER(high);
    if (KeGetCurrentIrql() == DISPATCH_LEVEL) InterlockedIncrement((LONG *)context);
}

static void NTAPI DeviceTick(PDEVICE_OBJECT device, PVOID context)
{
    UNREFERENCED_PARAMETER(device);
    InterlockedIncrement((LONG *)context);
}

static int Timers(PDEVICE_OBJECT device)
{
    LARGE_INTEGER soon = Relative(10), later = Relative(35), now;
    KTIMER timer;
    KDPC dpc;

    Ticks = 0;
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    KeInitializeDpc(&dpc, Tick, (PVOID)&Ticks);
    CHECK(!KeSetTimer(&timer, soon, &dpc) && KeSetTimer(&timer, soon, &dpc));
    CHECK(KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(!KeReadStateTimer(&timer) && !KeCancelTimer(&timer));
    KeSetTimerEx(&timer, soon, 10, &dpc);
    KeDelayExecutionThread(KernelMode, FALSE, &later);
    CHECK(Ticks == 4 && KeCancelTimer(&timer));
    KeQuerySystemTime(&now);
    now.QuadPart += 100000;
    KeSetTimer(&timer, now, NULL);
    CHECK(KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, &later) == STATUS_SUCCESS);

    Ticks = 0;
    CHECK(IoInitializeTimer(device, DeviceTick, (PVOID)&Ticks) == STATUS_SUCCESS);
    IoStartTimer(device);
    later = Relative(2500);
    KeDelayExecutionThread(KernelMode, FALSE, &later);
    IoStopTimer(device);
    KeDelayExecutionThread(KernelMode, FALSE, &later);
    CHECK(Ticks == 2);
    return 0;
}

/* ---- work items and threads ---- */

typedef struct { KEVENT Go, Done; LONG Count; PVOID Thread; } SHARED;

static void NTAPI Work(PDEVICE_OBJECT device, PVOID context)
{
    SHARED *shared = context;

    if (device->Type == IO_TYPE_DEVICE && KeGetCurrentIrql() == PASSIVE_LEVEL && KeGetCurrentThread() != shared->Thread) shared->Count++;
    /* It waits for whoever waits for it. */
    KeSetEvent(&shared->Done, 0, FALSE);
    KeWaitForSingleObject(&shared->Go, Executive, KernelMode, FALSE, NULL);
    shared->Count++;
    KeSetEvent(&shared->Done, 0, FALSE);
}

static void NTAPI Loop(PVOID context)
{
    SHARED *shared = context;

    while (shared->Count < 3) {
        KeWaitForSingleObject(&shared->Go, Executive, KernelMode, FALSE, NULL);
        shared->Count++;
        KeSetEvent(&shared->Done, 0, FALSE);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static int Threads(PDEVICE_OBJECT device)
{
    LARGE_INTEGER little = Relative(5);
    PIO_WORKITEM item = IoAllocateWorkItem(device);
    SHARED shared;
    HANDLE handle;
    PVOID thread;
    int i;

    KeInitializeEvent(&shared.Go, SynchronizationEvent, FALSE);
    KeInitializeEvent(&shared.Done, SynchronizationEvent, FALSE);
    shared.Count = 0;
    shared.Thread = KeGetCurrentThread();
    IoQueueWorkItem(item, Work, DelayedWorkQueue, &shared);
    CHECK(shared.Count == 0);
    CHECK(KeWaitForSingleObject(&shared.Done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS && shared.Count == 1);
    KeSetEvent(&shared.Go, 0, FALSE);
    CHECK(KeWaitForSingleObject(&shared.Done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS && shared.Count == 2);
    IoFreeWorkItem(item);

    shared.Count = 0;
    CHECK(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Loop, &shared) == STATUS_SUCCESS);
    CHECK(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL) == STATUS_SUCCESS);
    CHECK(ZwClose(handle) == STATUS_SUCCESS && thread != shared.Thread);
    for (i = 1; i <= 3; i++) {
        CHECK(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, &little) == STATUS_TIMEOUT);
        KeSetEvent(&shared.Go, 0, FALSE);
        CHECK(KeWaitForSingleObject(&shared.Done, Executive, KernelMode, FALSE, &little) == STATUS_SUCCESS && shared.Count == i);
    }
    CHECK(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    ObDereferenceObject(thread);
    return 0;
}

/* ---- lists and locks ---- */

typedef struct { LIST_ENTRY Link; SINGLE_LIST_ENTRY Single; int Value; } ITEM;

static int Lists(void)
{
    NPAGED_LOOKASIDE_LIST lookaside;
    SINGLE_LIST_ENTRY single = { NULL };
    FAST_MUTEX mutex;
    ERESOURCE resource;
    LARGE_INTEGER sum;
    KSPIN_LOCK lock;
    LIST_ENTRY head;
    ITEM a, b, c;
    PVOID entry;

    KeInitializeSpinLock(&lock);
    InitializeListHead(&head);
    CHECK(ExInterlockedInsertTailList(&head, &a.Link, &lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&head, &b.Link, &lock) == &a.Link);
    CHECK(ExInterlockedInsertHeadList(&head, &c.Link, &lock) == &a.Link);
    CHECK(head.Flink == &c.Link && c.Link.Flink == &a.Link && a.Link.Flink == &b.Link && b.Link.Flink == &head && head.Blink == &b.Link);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &c.Link && ExInterlockedRemoveHeadList(&head, &lock) == &a.Link);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &b.Link && ExInterlockedRemoveHeadList(&head, &lock) == NULL && IsListEmpty(&head));
    CHECK(ExInterlockedPushEntryList(&single, &a.Single, &lock) == NULL && ExInterlockedPushEntryList(&single, &b.Single, &lock) == &a.Single);
    CHECK(ExInterlockedPopEntryList(&single, &lock) == &b.Single && ExInterlockedPopEntryList(&single, &lock) == &a.Single);
    CHECK(ExInterlockedPopEntryList(&single, &lock) == NULL);
    sum.QuadPart = 0xffffffffLL;
    CHECK(ExInterlockedAddLargeInteger(&sum, (LARGE_INTEGER){ .QuadPart = 1 }, &lock).QuadPart == 0xffffffffLL && sum.QuadPart == 0x100000000LL);

    ExInitializeNPagedLookasideList(&lookaside, NULL, NULL, 0, 24, 'tseT', 0);
    entry = ExAllocateFromNPagedLookasideList(&lookaside);
    CHECK(entry != NULL);
    RtlZeroMemory(entry, 24);
    ExFreeToNPagedLookasideList(&lookaside, entry);
    ExDeleteNPagedLookasideList(&lookaside);

    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    CHECK(KeGetCurrentIrql() == APC_LEVEL && !ExTryToAcquireFastMutex(&mutex));
    ExReleaseFastMutex(&mutex);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    CHECK(ExInitializeResourceLite(&resource) == STATUS_SUCCESS);
    KeEnterCriticalRegion();
    CHECK(ExAcquireResourceExclusiveLite(&resource, TRUE) && ExAcquireResourceSharedLite(&resource, FALSE));
    ExReleaseResourceLite(&resource);
    ExReleaseResourceLite(&resource);
    KeLeaveCriticalRegion();
    CHECK(ExDeleteResourceLite(&resource) == STATUS_SUCCESS);
    return 0;
}

/* ---- strings ---- */

static int Strings(void)
{
    static const GUID guid = { 0x00112233, 0x4455, 0x6677, { 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } };
    UNICODE_STRING a, b, c;
    WCHAR room[32];
    ANSI_STRING ansi;
    ULONG value;
    GUID back;

    RtlInitUnicodeString(&a, L"Robot");
    RtlInitUnicodeString(&b, L"robot");
    CHECK(a.Length == 10 && a.MaximumLength == 12);
    CHECK(!RtlEqualUnicodeString(&a, &b, FALSE) && RtlEqualUnicodeString(&a, &b, TRUE));
    CHECK(RtlCompareUnicodeString(&a, &b, FALSE) < 0 && RtlCompareUnicodeString(&a, &b, TRUE) == 0);
    c.Buffer = room;
    c.Length = 0;
    c.MaximumLength = sizeof room;
    RtlCopyUnicodeString(&c, &a);
    CHECK(RtlAppendUnicodeToString(&c, L" and ") == STATUS_SUCCESS && RtlAppendUnicodeStringToString(&c, &b) == STATUS_SUCCESS);
    CHECK(c.Length == 30 && wcscmp(room, L"Robot and robot") == 0);
    CHECK(RtlAppendUnicodeToString(&c, L" and yet another of them") == STATUS_BUFFER_TOO_SMALL && c.Length == 30);
    CHECK(RtlIntegerToUnicodeString(0xbeef, 16, &c) == STATUS_SUCCESS && c.Length == 8 && room[0] == 'B');
    CHECK(RtlUnicodeStringToInteger(&c, 16, &value) == STATUS_SUCCESS && value == 0xbeef);
    RtlInitAnsiString(&ansi, "parport");
    CHECK(RtlAnsiStringToUnicodeString(&c, &ansi, TRUE) == STATUS_SUCCESS && c.Length == 14 && wcscmp(c.Buffer, L"parport") == 0);
    RtlFreeUnicodeString(&c);
    CHECK(RtlUnicodeStringToAnsiString(&ansi, &a, TRUE) == STATUS_SUCCESS && ansi.Length == 5 && strcmp(ansi.Buffer, "Robot") == 0);
    RtlFreeAnsiString(&ansi);
    CHECK(RtlStringFromGUID(&guid, &c) == STATUS_SUCCESS && wcscmp(c.Buffer, L"{00112233-4455-6677-8899-AABBCCDDEEFF}") == 0);
    CHECK(RtlGUIDFromString(&c, &back) == STATUS_SUCCESS && RtlCompareMemory(&back, &guid, sizeof guid) == sizeof guid);
    RtlFreeUnicodeString(&c);
    return 0;
}

static int Prints(void)
{
    char narrow[48];
    WCHAR wide[48];

    CHECK(sprintf(narrow, "%d %5u|%-4x|%04X|%s", -5, 42u, 0xabu, 0xcdu, "end") == 22 && strcmp(narrow, "-5    42|ab  |00CD|end") == 0);
    CHECK(sprintf(narrow, "%c%%%.2s %I64d", 'x', "abc", 0x123456789LL) == 15 && strcmp(narrow, "x%ab 4886718345") == 0);
    CHECK(swprintf(wide, L"%s-%hs-%03d", L"wide", "narrow", 7) == 15 && wcscmp(wide, L"wide-narrow-007") == 0);
    CHECK(_snprintf(narrow, 4, "%s", "too long") == -1 && strncmp(narrow, "too ", 4) == 0);
    CHECK(strlen("four") == 4 && strchr("abc", 'c') != NULL && strstr("abcd", "bc") != NULL && wcslen(L"ab") == 2 && _stricmp("A", "a") == 0);
    DbgPrint("printed %d %wZ\n", 3, NULL);
    return 0;
}

/* ---- registry ---- */

static NTSTATUS NTAPI SeeValue(PWSTR name, ULONG type, PVOID data, ULONG length, PVOID context, PVOID entry)
{
    if (type == REG_DWORD && length == 4 && wcscmp(name, L"Speed") == 0) *(ULONG *)context += *(ULONG *)data + *(ULONG *)entry;
    return STATUS_SUCCESS;
}

static int Registry(void)
{
    RTL_QUERY_REGISTRY_TABLE table[4];
    struct { KEY_VALUE_PARTIAL_INFORMATION Header; UCHAR Data[32]; } value;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING path, name, text;
    ULONG disposition, speed = 200, length, other = 0, sum = 0, one = 1, missing = 7;
    HANDLE key;

    RtlInitUnicodeString(&path, L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\Tested\\Parameters");
    RtlInitUnicodeString(&name, L"Speed");
    InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK(ZwOpenKey(&key, KEY_ALL_ACCESS, &attributes) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ZwCreateKey(&key, KEY_ALL_ACCESS, &attributes, 0, NULL, 0, &disposition) == STATUS_SUCCESS && disposition == REG_CREATED_NEW_KEY);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, sizeof value, &length) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ZwSetValueKey(key, &name, 0, REG_DWORD, &speed, 4) == STATUS_SUCCESS);
    RtlInitUnicodeString(&name, L"Name");
    CHECK(ZwSetValueKey(key, &name, 0, REG_SZ, L"Robby", 12) == STATUS_SUCCESS);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, 14, &length) == STATUS_BUFFER_OVERFLOW && length == 24);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, sizeof value, &length) == STATUS_SUCCESS);
    CHECK(value.Header.Type == REG_SZ && value.Header.DataLength == 12 && wcscmp((WCHAR *)value.Header.Data, L"Robby") == 0);
    CHECK(ZwClose(key) == STATUS_SUCCESS);

    RtlZeroMemory(table, sizeof table);
    RtlZeroMemory(&text, sizeof text);
    table[0].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED;
    table[0].Name = L"Name";
    table[0].EntryContext = &text;
    table[1].Flags = RTL_QUERY_REGISTRY_DIRECT;
    table[1].Name = L"Other";
    table[1].EntryContext = &other;
    table[1].DefaultType = REG_DWORD;
    table[1].DefaultData = &missing;
    table[1].DefaultLength = 4;
    table[2].QueryRoutine = SeeValue;
    table[2].Name = L"Speed";
    table[2].EntryContext = &one;
    CHECK(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"Tested\\Parameters", table, &sum, NULL) == STATUS_SUCCESS);
    CHECK(other == 7 && sum == 201 && text.Length == 10 && wcscmp(text.Buffer, L"Robby") == 0);
    RtlFreeUnicodeString(&text);
    CHECK(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"Nobody", table, &sum, NULL) == STATUS_OBJECT_NAME_NOT_FOUND);
    return 0;
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what)
{
    UNREFERENCED_PARAMETER(extension);
    switch (what) {
    case 1: return Answer(irp, Waits());
    case 2: return Answer(irp, Timers(device));
    case 3: return Answer(irp, Threads(device));
    case 4: return Answer(irp, Lists());
    case 5: return Answer(irp, Strings());
    case 6: return Answer(irp, Prints());
    case 7: return Answer(irp, Registry());
    default: return Finish(irp, STATUS_INVALID_PARAMETER);
    }
}
