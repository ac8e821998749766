/* A driver of NT 4's kind: no AddDevice, a device of its own with a symbolic link, and everything taken back when it is unloaded. */
#include <ntddk.h>

#define ECHO CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path);

static UNICODE_STRING Name, Link;

static NTSTATUS NTAPI Serve(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = STATUS_SUCCESS;

    irp->IoStatus.Information = 0;
    if (device->Flags & DO_DEVICE_INITIALIZING) status = STATUS_DEVICE_NOT_READY;
    else if (stack->MajorFunction == IRP_MJ_READ) status = STATUS_END_OF_FILE;
    else if (stack->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        if (stack->Parameters.DeviceIoControl.IoControlCode != ECHO) status = STATUS_INVALID_DEVICE_REQUEST;
        else irp->IoStatus.Information = min(stack->Parameters.DeviceIoControl.InputBufferLength, stack->Parameters.DeviceIoControl.OutputBufferLength);
    }
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static void NTAPI Unload(PDRIVER_OBJECT driver)
{
#ifndef FORGETFUL
    IoDeleteSymbolicLink(&Link);
#endif
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    PDEVICE_OBJECT device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(path);
    RtlInitUnicodeString(&Name, L"\\Device\\Legacy");
    RtlInitUnicodeString(&Link, L"\\DosDevices\\Legacy");
    status = IoCreateDevice(driver, 0, &Name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) return status;
    device->Flags |= DO_BUFFERED_IO;
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLEANUP] = driver->MajorFunction[IRP_MJ_CLOSE] = Serve;
    driver->MajorFunction[IRP_MJ_READ] = driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Serve;
    driver->DriverUnload = Unload;
    status = IoCreateSymbolicLink(&Link, &Name);
    if (!NT_SUCCESS(status)) IoDeleteDevice(device);
    return status;
}
