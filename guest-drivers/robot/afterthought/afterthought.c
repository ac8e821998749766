/*
 * AfterThought.sys: an upper filter that changes nothing. It passes every request to the driver below, and remembers the last ones in a
 * log that a control device hands out. The control device exists while the filter has a device.
 */
#include <ntddk.h>
#include <afterthought.h>

#define TAG 'thgT'
#define ENTRIES 256

/* What an extension starts with: it says whose it is. */
typedef enum _KIND { KindControl = 'C', KindFilter = 'F' } KIND;

/* The extension of a filter device; the control device's is a KIND alone. */
typedef struct _FILTER {
    KIND Kind;
    PDEVICE_OBJECT Self;
    PDEVICE_OBJECT Lower;
    ULONG Number;
    IO_REMOVE_LOCK RemoveLock;
} FILTER, *PFILTER;

static UNICODE_STRING ControlName, LinkName;
static PDEVICE_OBJECT Control;
static LONG Filters; /* devices, guarded by ControlLock, as Control is */
static KEVENT ControlLock; /* a synchronization event: whoever takes it owns the control device */
static LONG LastNumber;

static struct {
    KSPIN_LOCK Lock;
    AFTERTHOUGHT_ENTRY Entries[ENTRIES];
    ULONG First, Count, Number;
} Log;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_ADD_DEVICE AfterThoughtAddDevice;
static DRIVER_UNLOAD AfterThoughtUnload;
static DRIVER_DISPATCH AfterThoughtPass, AfterThoughtPower, AfterThoughtPnp;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG i;

    UNREFERENCED_PARAMETER(RegistryPath);
    RtlInitUnicodeString(&ControlName, L"\\Device\\AfterThought");
    RtlInitUnicodeString(&LinkName, L"\\DosDevices\\AfterThought");
    KeInitializeSpinLock(&Log.Lock);
    KeInitializeEvent(&ControlLock, SynchronizationEvent, TRUE);
    for (i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) DriverObject->MajorFunction[i] = AfterThoughtPass;
    DriverObject->MajorFunction[IRP_MJ_POWER] = AfterThoughtPower;
    DriverObject->MajorFunction[IRP_MJ_PNP] = AfterThoughtPnp;
    DriverObject->DriverExtension->AddDevice = AfterThoughtAddDevice;
    DriverObject->DriverUnload = AfterThoughtUnload;
    return STATUS_SUCCESS;
}

static void NTAPI AfterThoughtUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

/* ---- the log ---- */

/* Returns the entry's number, for Returned. */
static ULONG Remember(PFILTER filter, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    PAFTERTHOUGHT_ENTRY entry;
    ULONG detail = 0, number;
    KIRQL irql;

    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE: detail = stack->Parameters.Read.Length; break;
    case IRP_MJ_DEVICE_CONTROL:
    case IRP_MJ_INTERNAL_DEVICE_CONTROL: detail = stack->Parameters.DeviceIoControl.IoControlCode; break;
    case IRP_MJ_POWER:
        if (stack->MinorFunction == IRP_MN_SET_POWER || stack->MinorFunction == IRP_MN_QUERY_POWER) {
            detail = (ULONG)stack->Parameters.Power.Type << 16 | (ULONG)stack->Parameters.Power.State.DeviceState;
        }
        break;
    default: break;
    }
    KeAcquireSpinLock(&Log.Lock, &irql);
    if (Log.Count == ENTRIES) {
        Log.First = (Log.First + 1) % ENTRIES;
        Log.Count--;
    }
    entry = &Log.Entries[(Log.First + Log.Count++) % ENTRIES];
    number = ++Log.Number;
    entry->Number = number;
    entry->Device = filter->Number;
    entry->MajorFunction = stack->MajorFunction;
    entry->MinorFunction = stack->MinorFunction;
    entry->Irql = irql;
    entry->Reserved = 0;
    entry->Detail = detail;
    entry->Status = STATUS_PENDING;
    KeReleaseSpinLock(&Log.Lock, irql);
    return number;
}

static BOOLEAN IsControl(PDEVICE_OBJECT device)
{
    return *(KIND *)device->DeviceExtension == KindControl;
}

/* The request itself may be gone by now: only its number is used. */
static NTSTATUS Returned(ULONG number, NTSTATUS status)
{
    ULONG age;
    KIRQL irql;

    KeAcquireSpinLock(&Log.Lock, &irql);
    age = Log.Number - number;
    if (age < Log.Count) Log.Entries[(Log.First + Log.Count - 1 - age) % ENTRIES].Status = status;
    KeReleaseSpinLock(&Log.Lock, irql);
    return status;
}

static NTSTATUS Complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS ControlDispatch(PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    PAFTERTHOUGHT_ENTRY out = irp->AssociatedIrp.SystemBuffer;
    ULONG room, n = 0;
    KIRQL irql;

    switch (stack->MajorFunction) {
    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE: return Complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_DEVICE_CONTROL: break;
    default: return Complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    if (stack->Parameters.DeviceIoControl.IoControlCode != IOCTL_AFTERTHOUGHT_READ_LOG) return Complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    room = stack->Parameters.DeviceIoControl.OutputBufferLength / sizeof *out;
    if (room == 0) return Complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    KeAcquireSpinLock(&Log.Lock, &irql);
    while (n < room && Log.Count > 0) {
        out[n++] = Log.Entries[Log.First];
        Log.First = (Log.First + 1) % ENTRIES;
        Log.Count--;
    }
    KeReleaseSpinLock(&Log.Lock, irql);
    return Complete(irp, STATUS_SUCCESS, n * sizeof *out);
}

/* ---- the stack ---- */

/* The first filter device brings the control device, the last one takes it along. Without it only the log cannot be read. */
static void CountFilter(PDRIVER_OBJECT driver, LONG change)
{
    KeWaitForSingleObject(&ControlLock, Executive, KernelMode, FALSE, NULL);
    Filters += change;
    if (Filters == 1 && change > 0) {
        if (!NT_SUCCESS(IoCreateDevice(driver, sizeof(KIND), &ControlName, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &Control))) {
            Control = NULL;
        } else if (!NT_SUCCESS(IoCreateSymbolicLink(&LinkName, &ControlName))) {
            IoDeleteDevice(Control);
            Control = NULL;
        } else {
            *(KIND *)Control->DeviceExtension = KindControl;
            Control->Flags |= DO_BUFFERED_IO;
            Control->Flags &= ~DO_DEVICE_INITIALIZING;
        }
    } else if (Filters == 0 && Control != NULL) {
        IoDeleteSymbolicLink(&LinkName);
        IoDeleteDevice(Control);
        Control = NULL;
    }
    KeSetEvent(&ControlLock, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS NTAPI AfterThoughtAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT Pdo)
{
    PDEVICE_OBJECT device;
    PFILTER filter;
    NTSTATUS status = IoCreateDevice(DriverObject, sizeof(FILTER), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &device);

    if (!NT_SUCCESS(status)) return status;
    filter = device->DeviceExtension;
    RtlZeroMemory(filter, sizeof *filter);
    filter->Kind = KindFilter;
    filter->Self = device;
    filter->Number = (ULONG)InterlockedIncrement(&LastNumber);
    IoInitializeRemoveLock(&filter->RemoveLock, TAG, 0, 0);
    filter->Lower = IoAttachDeviceToDeviceStack(device, Pdo);
    if (filter->Lower == NULL) {
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    /* As the device below does I/O and power, so does this one. */
    device->DeviceType = filter->Lower->DeviceType;
    device->Characteristics = filter->Lower->Characteristics;
    device->Flags |= filter->Lower->Flags & (DO_BUFFERED_IO | DO_DIRECT_IO | DO_POWER_PAGABLE | DO_POWER_INRUSH);
    CountFilter(DriverObject, 1);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI AfterThoughtPass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PFILTER filter = DeviceObject->DeviceExtension;
    NTSTATUS status;
    ULONG number;

    if (IsControl(DeviceObject)) return ControlDispatch(Irp);
    status = IoAcquireRemoveLock(&filter->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) return Complete(Irp, status, 0);
    number = Remember(filter, Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    status = Returned(number, IoCallDriver(filter->Lower, Irp));
    IoReleaseRemoveLock(&filter->RemoveLock, Irp);
    return status;
}

static NTSTATUS NTAPI AfterThoughtPower(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PFILTER filter = DeviceObject->DeviceExtension;
    NTSTATUS status;
    ULONG number;

    if (IsControl(DeviceObject)) {
        PoStartNextPowerIrp(Irp);
        return ControlDispatch(Irp);
    }
    status = IoAcquireRemoveLock(&filter->RemoveLock, Irp);
    PoStartNextPowerIrp(Irp);
    if (!NT_SUCCESS(status)) return Complete(Irp, status, 0);
    number = Remember(filter, Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    status = Returned(number, PoCallDriver(filter->Lower, Irp));
    IoReleaseRemoveLock(&filter->RemoveLock, Irp);
    return status;
}

/* What this request changed of the device below, it changes of this one. */
static NTSTATUS NTAPI Follow(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    PFILTER filter = Context;

    UNREFERENCED_PARAMETER(DeviceObject);
    if (Irp->PendingReturned) IoMarkIrpPending(Irp);
    filter->Self->Characteristics |= filter->Lower->Characteristics & FILE_REMOVABLE_MEDIA;
    if ((filter->Lower->Flags & DO_POWER_PAGABLE) == 0) filter->Self->Flags &= ~DO_POWER_PAGABLE;
    IoReleaseRemoveLock(&filter->RemoveLock, Irp);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS NTAPI AfterThoughtPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PFILTER filter = DeviceObject->DeviceExtension;
    UCHAR minor = IoGetCurrentIrpStackLocation(Irp)->MinorFunction;
    BOOLEAN removal = minor == IRP_MN_REMOVE_DEVICE, use = minor == IRP_MN_DEVICE_USAGE_NOTIFICATION;
    NTSTATUS status;
    ULONG number;

    if (IsControl(DeviceObject) || !(removal || use || minor == IRP_MN_START_DEVICE)) return AfterThoughtPass(DeviceObject, Irp);
    status = IoAcquireRemoveLock(&filter->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) return Complete(Irp, status, 0);
    number = Remember(filter, Irp);
    if (!removal) {
        /* A paging file below asks for power requests at DISPATCH_LEVEL: no device is pagable above one that is not. */
        if (use && (DeviceObject->AttachedDevice == NULL || (DeviceObject->AttachedDevice->Flags & DO_POWER_PAGABLE) != 0)) {
            DeviceObject->Flags |= DO_POWER_PAGABLE;
        }
        IoCopyCurrentIrpStackLocationToNext(Irp);
        IoSetCompletionRoutine(Irp, Follow, filter, TRUE, TRUE, TRUE);
        return Returned(number, IoCallDriver(filter->Lower, Irp));
    }
    IoReleaseRemoveLockAndWait(&filter->RemoveLock, Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    status = Returned(number, IoCallDriver(filter->Lower, Irp));
    IoDetachDevice(filter->Lower);
    CountFilter(DeviceObject->DriverObject, -1);
    IoDeleteDevice(filter->Self);
    return status;
}
