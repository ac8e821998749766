/*
 * FxDriverEntry, the image's entry: binds to the framework, whose function table it then has, before it calls DriverEntry. In drivers
 * built with Microsoft's tools a library brings this.
 */
#include "wdfsubset.h"

DRIVER_INITIALIZE DriverEntry, FxDriverEntry;
static DRIVER_UNLOAD FxDriverUnload;

WDF_FUNCTION *WdfFunctions;
PWDF_DRIVER_GLOBALS WdfDriverGlobals;

static WDF_BIND_INFO Bind = {
    .Size = sizeof(WDF_BIND_INFO),
    .Component = L"KmdfLibrary",
    .Version = { WDF_MAJOR, WDF_MINOR, WDF_BUILD },
    .FuncCount = WDF_FUNCTIONS,
    .FuncTable = &WdfFunctions,
};
static WCHAR RegistryRoom[260];
static UNICODE_STRING Registry = { 0, sizeof RegistryRoom, RegistryRoom };
static PDRIVER_UNLOAD DisplacedUnload;

NTSTATUS NTAPI FxDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    /* Unload needs it after the caller's is gone. */
    RtlCopyUnicodeString(&Registry, RegistryPath);
    status = WdfVersionBind(DriverObject, &Registry, &Bind, &WdfDriverGlobals);
    if (!NT_SUCCESS(status)) return status;
    status = DriverEntry(DriverObject, RegistryPath);
    if (!NT_SUCCESS(status)) {
        WdfVersionUnbind(&Registry, &Bind, WdfDriverGlobals);
        return status;
    }
    if (WdfDriverGlobals->DisplaceDriverUnload) {
        DisplacedUnload = DriverObject->DriverUnload;
        DriverObject->DriverUnload = FxDriverUnload;
    }
    return STATUS_SUCCESS;
}

static void NTAPI FxDriverUnload(PDRIVER_OBJECT DriverObject)
{
    if (DisplacedUnload != NULL) DisplacedUnload(DriverObject);
    WdfVersionUnbind(&Registry, &Bind, WdfDriverGlobals);
}
