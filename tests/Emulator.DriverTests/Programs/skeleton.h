/*
 * A driver that does what the number in its IOCTL says; 0 is nothing. Whoever includes this has Serve, which ends the request or not, and
 * may have more to do when the driver is unloaded.
 */
#include <ntddk.h>
#include <initguid.h>

DEFINE_GUID(FAULTY_INTERFACE, 0x2d1f5c1e, 0x52a7, 0x4f0b, 0x9a, 0x3e, 0x6c, 0x41, 0x0d, 0x77, 0x21, 0x90);

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path);

typedef struct {
    PDEVICE_OBJECT Lower, Pdo;
    KSPIN_LOCK Lock;
    IO_REMOVE_LOCK RemoveLock;
    PVOID Pool;
    KDPC Dpc;
    PKINTERRUPT Interrupt;
    UNICODE_STRING Interface;
    PHYSICAL_ADDRESS Bar;
    ULONG BarLength, Vector;
    volatile ULONG *Registers;
} EXTENSION;

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what);
static void (*AtUnload)(void);

static NTSTATUS Finish(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT device, PIRP irp)
{
    return Serve(device, device->DeviceExtension, irp, *(int *)irp->AssociatedIrp.SystemBuffer);
}

static void KeepResources(EXTENSION *extension, PIRP irp)
{
    PCM_PARTIAL_RESOURCE_LIST list = &IoGetCurrentIrpStackLocation(irp)->Parameters.StartDevice.AllocatedResourcesTranslated->List[0].PartialResourceList;
    ULONG i;

    for (i = 0; i < list->Count; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR at = &list->PartialDescriptors[i];

        if (at->Type == CmResourceTypeMemory) {
            extension->Bar = at->u.Memory.Start;
            extension->BarLength = at->u.Memory.Length;
        } else if (at->Type == CmResourceTypeInterrupt) {
            extension->Vector = at->u.Interrupt.Vector;
        }
    }
}

static NTSTATUS NTAPI Pass(PDEVICE_OBJECT device, PIRP irp)
{
    EXTENSION *extension = device->DeviceExtension;
    PDEVICE_OBJECT lower = extension->Lower;
    BOOLEAN pnp = IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_PNP;
    UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
    NTSTATUS status;

    if (pnp && minor == IRP_MN_START_DEVICE) KeepResources(extension, irp);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    status = IoCallDriver(lower, irp);
    if (pnp && minor == IRP_MN_REMOVE_DEVICE) {
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
    extension->Pdo = pdo;
    extension->Lower = IoAttachDeviceToDeviceStack(device, pdo);
    device->Flags |= DO_BUFFERED_IO;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void NTAPI Unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver);
    if (AtUnload != NULL) AtUnload();
}

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    UNREFERENCED_PARAMETER(path);
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLEANUP] = driver->MajorFunction[IRP_MJ_CLOSE] = Open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    driver->MajorFunction[IRP_MJ_PNP] = driver->MajorFunction[IRP_MJ_POWER] = Pass;
    driver->DriverExtension->AddDevice = AddDevice;
    driver->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
