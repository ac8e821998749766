/* The export driver's one export, the pairs, and the life of a device object. */
#include "general.h"

#define PAIRS 16

static ROBOT_PAIR Pairs[PAIRS];

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
__declspec(dllexport) NTSTATUS NTAPI DllInitialize(PUNICODE_STRING RegistryPath);
__declspec(dllexport) NTSTATUS NTAPI DllUnload(void);

/* An export driver is not started as a driver; a service that does so anyway gets an object without devices. */
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    return STATUS_SUCCESS;
}

/* Their presence lets NT unload this image with the last driver that imports it. */
NTSTATUS NTAPI DllInitialize(PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI DllUnload(void)
{
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI GeneralRobotInit(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath, PVOID Callbacks[RobotCallbacks])
{
    PROBOT_PAIR pair = NULL;
    ULONG i;

    if (DriverObject == NULL || Callbacks == NULL) return STATUS_INVALID_PARAMETER;
    for (i = 0; i < RobotCallbacks; i++) {
        if (Callbacks[i] == NULL) return STATUS_INVALID_PARAMETER;
    }
    for (i = 0; i < PAIRS && pair == NULL; i++) {
        if (InterlockedCompareExchangePointer((PVOID *)&Pairs[i].DriverObject, DriverObject, NULL) == NULL) pair = &Pairs[i];
    }
    if (pair == NULL) return STATUS_INSUFFICIENT_RESOURCES;
    for (i = 0; i < RobotCallbacks; i++) pair->Callbacks[i] = (PROBOT_CALLBACK)Callbacks[i];

    DriverObject->MajorFunction[IRP_MJ_CREATE] = RobotDispatchCreate;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = RobotDispatchClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = RobotDispatchCleanup;
    DriverObject->MajorFunction[IRP_MJ_READ] = RobotDispatchRead;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = RobotDispatchWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = RobotDispatchDeviceControl;
    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = RobotDispatchInternalDeviceControl;
    DriverObject->MajorFunction[IRP_MJ_POWER] = RobotDispatchPower;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = RobotDispatchSystemControl;
    DriverObject->MajorFunction[IRP_MJ_PNP] = RobotDispatchPnp;
    DriverObject->DriverExtension->AddDevice = RobotAddDevice;
    DriverObject->DriverUnload = RobotUnload;
    DbgPrint("GeneralRobot: one half of %wZ\n", RegistryPath);
    return STATUS_SUCCESS;
}

void NTAPI RobotUnload(PDRIVER_OBJECT DriverObject)
{
    ULONG i;

    for (i = 0; i < PAIRS; i++) {
        InterlockedCompareExchangePointer((PVOID *)&Pairs[i].DriverObject, NULL, DriverObject);
    }
}

NTSTATUS RobotCall(PROBOT_EXTENSION Extension, ULONG Callback, ROBOT_OPERATION Operation, PVOID Data)
{
    return Extension->Pair->Callbacks[Callback](&Extension->Device, Operation, Data);
}

NTSTATUS RobotComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

NTSTATUS NTAPI RobotAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT Pdo)
{
    static const GUID robots = ROBOT_INTERFACE_GUID;
    ROBOT_DESCRIPTION description;
    PROBOT_EXTENSION extension;
    PDEVICE_OBJECT device;
    PROBOT_PAIR pair = NULL;
    NTSTATUS status;
    ULONG i;

    for (i = 0; i < PAIRS && pair == NULL; i++) {
        if (Pairs[i].DriverObject == DriverObject) pair = &Pairs[i];
    }
    if (pair == NULL) return STATUS_NO_SUCH_DEVICE;

    RtlZeroMemory(&description, sizeof description);
    status = pair->Callbacks[RobotPnpCallback](NULL, RobotPnpDescribe, &description);
    if (!NT_SUCCESS(status)) return status;

    /* The specific driver's part lies behind ours, so that both go with the device object. */
    status = IoCreateDevice(DriverObject, sizeof *extension + description.ContextSize, NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &device);
    if (!NT_SUCCESS(status)) return status;
    extension = device->DeviceExtension;
    RtlZeroMemory(extension, sizeof *extension + description.ContextSize);
    extension->Self = device;
    extension->Pdo = Pdo;
    extension->Pair = pair;
    extension->Description = description;
    extension->Device.Size = sizeof extension->Device;
    extension->Device.Specific = extension + 1;
    extension->State = RobotNotStarted;
    extension->Hold = TRUE;
    for (i = 0; i < PowerSystemMaximum; i++) extension->DeviceStates[i] = i == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
    IoInitializeRemoveLock(&extension->RemoveLock, ROBOT_POOL_TAG, 0, 0);
    KeInitializeSpinLock(&extension->Lock);
    KeInitializeDpc(&extension->Dpc, RobotDpc, extension);
    InitializeListHead(&extension->Programs);
    InitializeListHead(&extension->Readers);

    extension->Lower = IoAttachDeviceToDeviceStack(device, Pdo);
    if (extension->Lower == NULL) {
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    status = IoRegisterDeviceInterface(Pdo, &robots, NULL, &extension->InterfaceName);
    if (!NT_SUCCESS(status)) {
        IoDetachDevice(extension->Lower);
        IoDeleteDevice(device);
        return status;
    }
    device->Flags |= DO_BUFFERED_IO | DO_POWER_PAGABLE;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
