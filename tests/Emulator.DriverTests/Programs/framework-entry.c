/* Binds framework.c to the framework, or fails to. */
#include "framework.h"

DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionBindClass(PWDF_BIND_INFO Info, PWDF_DRIVER_GLOBALS Globals, PVOID ClassInfo);

static void NTAPI DriverUnload(WDFDRIVER driver)
{
    UNREFERENCED_PARAMETER(driver);
}

static WDF_BIND_INFO Bind = { sizeof Bind, L"KmdfLibrary", { 1, 15, 0 }, WDF_FUNCTIONS, &WdfFunctions, NULL };
static WDF_FUNCTION Copy[396];
static PDRIVER_UNLOAD Displaced;
WDF_FUNCTION *WdfFunctions;
PWDF_DRIVER_GLOBALS WdfDriverGlobals;

static void NTAPI Unload(PDRIVER_OBJECT driver)
{
    Displaced(driver);
#if VARIANT != NOT_UNBOUND
    WdfVersionUnbind(NULL, &Bind, WdfDriverGlobals);
#endif
}

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path);

NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    WDF_DRIVER_CONFIG config = { .Size = sizeof config, .EvtDriverDeviceAdd = DeviceAdd, .EvtDriverUnload = (PVOID)DriverUnload };
    NTSTATUS status;

    if (VARIANT == TOO_NEW) Bind.Version.Minor = 99;
    if (VARIANT == WRONG_SIZE) Bind.Size++;
    if (VARIANT == WRONG_COUNT) Bind.FuncCount++;
    if (VARIANT == WRONG_LIBRARY) Bind.Component = L"UmdfLibrary";
    if (VARIANT == WRONG_CONFIG) config.Size++;
    if (VARIANT == OLD) {
        /* Gets a copy of the table. */
        WdfFunctions = Copy;
        Bind.Version.Minor = 9;
        Bind.FuncCount = RTL_NUMBER_OF(Copy);
        Bind.FuncTable = (WDF_FUNCTION **)Copy;
    }
    status = WdfVersionBind(driver, path, &Bind, &WdfDriverGlobals);
    if (!NT_SUCCESS(status)) return status;
#if VARIANT == CLASS_EXTENSION
    status = WdfVersionBindClass(&Bind, WdfDriverGlobals, NULL);
    if (!NT_SUCCESS(status)) {
        WdfVersionUnbind(NULL, &Bind, WdfDriverGlobals);
        return status;
    }
#endif
    status = WDF(WdfDriverCreate, NTSTATUS, PDRIVER_OBJECT, PUNICODE_STRING, WDF_OBJECT_ATTRIBUTES *, WDF_DRIVER_CONFIG *, WDFDRIVER *)(
        WdfDriverGlobals, driver, path, NULL, &config, NULL);
    if (!NT_SUCCESS(status)) {
        WdfVersionUnbind(NULL, &Bind, WdfDriverGlobals);
        return status;
    }
    Displaced = driver->DriverUnload;
    driver->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
