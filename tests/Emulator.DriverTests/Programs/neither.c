/* A driver that, once asked to, takes buffers where the program has them: METHOD_NEITHER, and a device of neither kind of I/O. */
#include "skeleton.h"

static ULONG Kept;

static NTSTATUS NTAPI Echo(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

    UNREFERENCED_PARAMETER(device);
    if (irp->AssociatedIrp.SystemBuffer != NULL || irp->MdlAddress != NULL || irp->UserBuffer == NULL) return Finish(irp, STATUS_UNSUCCESSFUL);
    if (stack->MajorFunction == IRP_MJ_WRITE) Kept = *(PULONG)irp->UserBuffer;
    else if (stack->MajorFunction == IRP_MJ_READ) *(PULONG)irp->UserBuffer = Kept + 1;
    else *(PULONG)irp->UserBuffer = *(PULONG)stack->Parameters.DeviceIoControl.Type3InputBuffer + 1;
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = sizeof Kept;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what)
{
    PDRIVER_DISPATCH *major = device->DriverObject->MajorFunction;

    UNREFERENCED_PARAMETER(extension);
    UNREFERENCED_PARAMETER(what);
    device->Flags &= ~DO_BUFFERED_IO;
    major[IRP_MJ_READ] = major[IRP_MJ_WRITE] = major[IRP_MJ_DEVICE_CONTROL] = Echo;
    return Finish(irp, STATUS_SUCCESS);
}
