/* A driver that does wrong in the one way that the number in its IOCTL says; 0 is right. */
#include <ntddk.h>

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path);

typedef struct { PDEVICE_OBJECT Lower; KSPIN_LOCK Lock; IO_REMOVE_LOCK RemoveLock; PVOID Pool; } EXTENSION;

static NTSTATUS Finish(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT device, PIRP irp)
{
    EXTENSION *extension = device->DeviceExtension;
    volatile char *pool;
    KEVENT event;
    KIRQL irql;
    int fault = *(int *)irp->AssociatedIrp.SystemBuffer;

    switch (fault) {
    case 0: return Finish(irp, STATUS_SUCCESS);
    case 1: Finish(irp, STATUS_SUCCESS); IoCompleteRequest(irp, IO_NO_INCREMENT); return STATUS_SUCCESS; /* completed twice */
    case 2: return STATUS_SUCCESS; /* not completed */
    case 3: return STATUS_PENDING; /* not marked */
    case 4: KeAcquireSpinLock(&extension->Lock, &irql); return Finish(irp, STATUS_SUCCESS); /* kept */
    case 5: /* taken twice */
        KeAcquireSpinLock(&extension->Lock, &irql);
        KeAcquireSpinLock(&extension->Lock, &irql);
        break;
    case 6: KeReleaseSpinLock(&extension->Lock, PASSIVE_LEVEL); return Finish(irp, STATUS_SUCCESS); /* not held */
    case 7: /* paged pool at DISPATCH_LEVEL */
        KeAcquireSpinLock(&extension->Lock, &irql);
        pool = ExAllocatePoolWithTag(PagedPool, 16, 'tseT');
        KeReleaseSpinLock(&extension->Lock, irql);
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 8: /* freed twice */
        pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 9: /* written past its end, inside the alignment */
        pool = ExAllocatePoolWithTag(NonPagedPool, 13, 'tseT');
        pool[13] = 1;
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 10: /* written past its page */
        pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT');
        pool[16] = 1;
        break;
    case 11: /* used after it was freed */
        pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        pool[0] = 1;
        break;
    case 12: extension->Pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT'); return Finish(irp, STATUS_SUCCESS); /* never freed */
    case 13: IoReleaseRemoveLock(&extension->RemoveLock, irp); return Finish(irp, STATUS_SUCCESS); /* not acquired */
    case 14: IoAcquireRemoveLock(&extension->RemoveLock, irp); return Finish(irp, STATUS_SUCCESS); /* never released */
    case 15: /* a wait that nothing ends */
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        break;
    case 16: Finish(irp, STATUS_SUCCESS); return irp->IoStatus.Status; /* touched after its completion */
    default: break;
    }
    return Finish(irp, STATUS_INVALID_PARAMETER);
}

static NTSTATUS NTAPI Pass(PDEVICE_OBJECT device, PIRP irp)
{
    EXTENSION *extension = device->DeviceExtension;
    PDEVICE_OBJECT lower = extension->Lower;
    UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
    NTSTATUS status;

    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    status = IoCallDriver(lower, irp);
    if (minor == IRP_MN_REMOVE_DEVICE) {
        IoDetachDevice(lower);
        IoDeleteDevice(device);
    }
    return status;
}

static NTSTATUS NTAPI Open(PDEVICE_OBJECT device, PIRP irp)
{
    UNREFERENCED_PARAMETER(device);
    return Finish(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI AddDevice(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo)
{
    PDEVICE_OBJECT device;
    EXTENSION *extension;
    NTSTATUS status = IoCreateDevice(driver, sizeof(EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);

    if (!NT_SUCCESS(status)) return status;
    extension = device->DeviceExtension;
    KeInitializeSpinLock(&extension->Lock);
    IoInitializeRemoveLock(&extension->RemoveLock, 'tseT', 0, 0);
    extension->Lower = IoAttachDeviceToDeviceStack(device, pdo);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void NTAPI Unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver);
}

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    UNREFERENCED_PARAMETER(path);
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLEANUP] = driver->MajorFunction[IRP_MJ_CLOSE] = Open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    driver->MajorFunction[IRP_MJ_PNP] = Pass;
    driver->DriverExtension->AddDevice = AddDevice;
    driver->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
