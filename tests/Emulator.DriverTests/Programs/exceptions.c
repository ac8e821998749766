/* A driver whose exception handling is in handlers.c. Its IOCTL takes buffers where the program has them: the test's number, and 4 KiB for the answer. */
#include "services.h"

int __cdecl handle(int what, void *good, SIZE_T length, void *system);

static NTSTATUS NTAPI Handle(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    int what = *(int *)stack->Parameters.DeviceIoControl.Type3InputBuffer, line;
    KIRQL irql = PASSIVE_LEVEL;

    if (what == 23) KeRaiseIrql(DISPATCH_LEVEL, &irql);
    /* Behind the driver object's page nothing is mapped. */
    line = handle(what, irp->UserBuffer, stack->Parameters.DeviceIoControl.OutputBufferLength, (char *)device->DriverObject + 0x100000);
    if (what == 23) KeLowerIrql(irql);
    if (irp->RequestorMode != UserMode) line = __LINE__;
    *(int *)irp->UserBuffer = line;
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = sizeof line;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what)
{
    UNREFERENCED_PARAMETER(extension);
    UNREFERENCED_PARAMETER(what);
    device->DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Handle;
    return Answer(irp, 0);
}
