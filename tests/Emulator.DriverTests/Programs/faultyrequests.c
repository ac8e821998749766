/* Requests and device objects. */
#include "skeleton.h"

static NTSTATUS NTAPI Completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
    UNREFERENCED_PARAMETER(context);
    return STATUS_SUCCESS;
}

static void NTAPI Cancel(PDEVICE_OBJECT device, PIRP irp)
{
    UNREFERENCED_PARAMETER(device);
    IoReleaseCancelSpinLock(DISPATCH_LEVEL);
    Finish(irp, STATUS_CANCELLED);
}

/* Another device object of the driver's. */
static PDEVICE_OBJECT Another(PDEVICE_OBJECT device)
{
    PDEVICE_OBJECT another = NULL;

    IoCreateDevice(device->DriverObject, sizeof(EXTENSION), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &another);
    KeInitializeSpinLock(&((EXTENSION *)another->DeviceExtension)->Lock);
    return another;
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int fault)
{
    PIO_STACK_LOCATION own = IoGetCurrentIrpStackLocation(irp), next = IoGetNextIrpStackLocation(irp);
    PDEVICE_OBJECT another;
    PIRP own_irp;
    EXTENSION *other;
    KIRQL irql;

    switch (fault) {
    case 0: return Finish(irp, STATUS_SUCCESS);
    case 1: Finish(irp, STATUS_SUCCESS); IoCompleteRequest(irp, IO_NO_INCREMENT); return STATUS_SUCCESS; /* completed twice */
    case 2: return STATUS_SUCCESS; /* not completed */
    case 3: return STATUS_PENDING; /* not marked */
    case 4: IoMarkIrpPending(irp); Finish(irp, STATUS_SUCCESS); return STATUS_SUCCESS; /* marked for nothing */
    case 5: Finish(irp, STATUS_UNSUCCESSFUL); return STATUS_SUCCESS; /* says another thing than the request */
    case 6: IoMarkIrpPending(irp); return Finish(irp, STATUS_PENDING); /* completed as pending */
    case 7: IoSetCancelRoutine(irp, Cancel); return Finish(irp, STATUS_SUCCESS); /* completed while it can be cancelled */
    case 8: Finish(irp, STATUS_SUCCESS); return irp->IoStatus.Status; /* touched after its completion */
    case 9: return IoCallDriver(extension->Lower, irp); /* nothing said to the next */
    case 10: /* told more than its own to the next; the upper of the two devices of this driver does it right */
        if (extension->Lower->DriverObject == device->DriverObject) {
            IoCopyCurrentIrpStackLocationToNext(irp);
            IoSetCompletionRoutine(irp, Completed, extension, TRUE, TRUE, TRUE);
        } else {
            *next = *own;
        }
        return IoCallDriver(extension->Lower, irp);
    case 11: /* further down than the stack reaches */
        IoCopyCurrentIrpStackLocationToNext(irp);
        return IoCallDriver(device, irp);
    case 12: IoMarkIrpPending(irp); return STATUS_PENDING; /* never ended */
    case 13: IoMarkIrpPending(irp); IoSetCancelRoutine(irp, Cancel); return STATUS_PENDING; /* a cancel routine that keeps the IRQL */
    case 14: IoCallDriver(extension->Lower, (PIRP)extension); break; /* no IRP */
    case 15: /* an unknown function */
        IoCopyCurrentIrpStackLocationToNext(irp);
        next->MajorFunction = 0x1c;
        return IoCallDriver(extension->Lower, irp);
    case 16: IoAllocateIrp(2, FALSE); return Finish(irp, STATUS_SUCCESS); /* left */
    case 17: /* an own request that nobody keeps */
        own_irp = IoAllocateIrp(extension->Lower->StackSize, FALSE);
        IoGetNextIrpStackLocation(own_irp)->MajorFunction = IRP_MJ_POWER;
        IoGetNextIrpStackLocation(own_irp)->MinorFunction = IRP_MN_QUERY_POWER;
        IoCallDriver(extension->Lower, own_irp);
        return Finish(irp, STATUS_SUCCESS);
    case 20: /* a device object made under a lock */
        KeAcquireSpinLock(&extension->Lock, &irql);
        another = Another(device);
        KeReleaseSpinLock(&extension->Lock, irql);
        IoDeleteDevice(another);
        return Finish(irp, STATUS_SUCCESS);
    case 21: another = Another(device); IoDeleteDevice(another); IoDeleteDevice(another); break; /* deleted twice */
    case 22: IoDeleteDevice((PDEVICE_OBJECT)extension); break; /* no device object */
    case 23: /* deleted in its stack */
        another = Another(device);
        IoAttachDeviceToDeviceStack(another, device);
        IoDeleteDevice(another);
        return Finish(irp, STATUS_SUCCESS);
    case 24: IoDetachDevice(device); break; /* nothing attached */
    case 25: /* gone with its DPC queued: nothing runs while interrupts are off */
        another = Another(device);
        other = another->DeviceExtension;
        KeInitializeDpc(&other->Dpc, (PKDEFERRED_ROUTINE)Completed, NULL);
        __asm__ volatile ("cli");
        KeInsertQueueDpc(&other->Dpc, NULL, NULL);
        IoDeleteDevice(another);
        __asm__ volatile ("sti");
        return Finish(irp, STATUS_SUCCESS);
    case 26: /* gone with its lock held */
        another = Another(device);
        KeAcquireSpinLock(&((EXTENSION *)another->DeviceExtension)->Lock, &irql);
        IoDeleteDevice(another);
        break;
    default: break;
    }
    return Finish(irp, STATUS_INVALID_PARAMETER);
}
