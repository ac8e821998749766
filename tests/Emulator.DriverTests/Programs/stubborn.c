/* A driver that, once asked to, lets its device neither be stopped nor removed. */
#include "skeleton.h"

static NTSTATUS NTAPI Refuse(PDEVICE_OBJECT device, PIRP irp)
{
    UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;

    if (minor == IRP_MN_QUERY_STOP_DEVICE || minor == IRP_MN_QUERY_REMOVE_DEVICE) return Finish(irp, STATUS_UNSUCCESSFUL);
    return Pass(device, irp);
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what)
{
    UNREFERENCED_PARAMETER(extension);
    UNREFERENCED_PARAMETER(what);
    device->DriverObject->MajorFunction[IRP_MJ_PNP] = Refuse;
    return Finish(irp, STATUS_SUCCESS);
}
