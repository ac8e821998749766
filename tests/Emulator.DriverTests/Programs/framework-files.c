/* File objects: who has the device open, and what is known of them. */
#include "framework.h"

typedef void *WDFFILEOBJECT;

enum {
    WdfDeviceInitSetFileObjectConfig = 71, WdfFileObjectGetFileName = 137, WdfFileObjectGetFlags = 138, WdfFileObjectGetDevice = 139,
    WdfFileObjectWdmGetFileObject = 140, WdfRequestGetFileObject = 277, WdfRequestWdmGetIrp = 285
};

typedef struct {
    ULONG Size;
    PVOID EvtDeviceFileCreate, EvtFileClose, EvtFileCleanup;
    ULONG AutoForwardCleanupClose; /* 2: the default */
    ULONG FileObjectClass;
} FILEOBJECT_CONFIG;

typedef struct { ULONG Number; } OPENED;

static const WDF_OBJECT_CONTEXT_TYPE_INFO OpenedType = { sizeof OpenedType, "OPENED", sizeof(OPENED), &OpenedType, NULL };

static ULONG Opened; /* files in all */
static BOOLEAN Refuse; /* the next */

static OPENED *Of(WDFFILEOBJECT file)
{
    return WDF_FAST(WdfObjectGetTypedContextWorker, PVOID, WDFOBJECT, const WDF_OBJECT_CONTEXT_TYPE_INFO *)(WdfDriverGlobals, file, &OpenedType);
}

static void NTAPI EvtDeviceFileCreate(WDFDEVICE device, WDFREQUEST request, WDFFILEOBJECT file)
{
    NTSTATUS status = Refuse ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;

    UNREFERENCED_PARAMETER(device);
    Of(file)->Number = ++Opened;
    Refuse = FALSE;
    WDF(WdfRequestComplete, void, WDFREQUEST, NTSTATUS)(WdfDriverGlobals, request, status);
}

/* The file's context lives until its object is destroyed. */
static void NTAPI EvtFile(WDFFILEOBJECT file)
{
    if (Of(file)->Number == 0) KeBugCheck(0xdead);
}

void WantFiles(PWDFDEVICE_INIT init)
{
    WDF_OBJECT_ATTRIBUTES attributes = {
        .Size = sizeof attributes, .EvtCleanupCallback = EvtFile, .EvtDestroyCallback = EvtFile, .ExecutionLevel = 1, .SynchronizationScope = 1,
        .ContextTypeInfo = &OpenedType,
    };
    FILEOBJECT_CONFIG config = {
        .Size = sizeof config, .EvtDeviceFileCreate = EvtDeviceFileCreate, .EvtFileClose = EvtFile, .EvtFileCleanup = EvtFile,
        .AutoForwardCleanupClose = 2, .FileObjectClass = 3 /* in FsContext2 */,
    };

    if (VARIANT != FILES) {
        /* A filter that only looks. */
        config.EvtDeviceFileCreate = config.EvtFileClose = config.EvtFileCleanup = NULL;
        attributes.EvtCleanupCallback = attributes.EvtDestroyCallback = NULL;
        config.FileObjectClass = 4 /* in no context */;
    }
    WDF(WdfDeviceInitSetFileObjectConfig, void, PWDFDEVICE_INIT, FILEOBJECT_CONFIG *, WDF_OBJECT_ATTRIBUTES *)(WdfDriverGlobals, init, &config, &attributes);
}

static ULONG CheckFile(WDFDEVICE device, WDFREQUEST request, PULONG number)
{
    PIRP irp = WDF(WdfRequestWdmGetIrp, PIRP, WDFREQUEST)(WdfDriverGlobals, request);
    PFILE_OBJECT wdm = IoGetCurrentIrpStackLocation(irp)->FileObject;
    WDFFILEOBJECT file = WDF(WdfRequestGetFileObject, WDFFILEOBJECT, WDFREQUEST)(WdfDriverGlobals, request);

    if (VARIANT != FILES) {
        EXPECT(file == NULL); /* it wants none */
        return 0;
    }
    EXPECT(WDF(WdfFileObjectGetDevice, WDFDEVICE, WDFFILEOBJECT)(WdfDriverGlobals, file) == device);
    EXPECT(WDF(WdfFileObjectWdmGetFileObject, PFILE_OBJECT, WDFFILEOBJECT)(WdfDriverGlobals, file) == wdm);
    EXPECT(WDF(WdfFileObjectGetFlags, ULONG, WDFFILEOBJECT)(WdfDriverGlobals, file) == wdm->Flags);
    EXPECT(WDF(WdfFileObjectGetFileName, PUNICODE_STRING, WDFFILEOBJECT)(WdfDriverGlobals, file) == &wdm->FileName);
    EXPECT(wdm->FsContext == NULL && wdm->FsContext2 != NULL);
    *number = Of(file)->Number;
    return 0;
}

/* 40: the line that does not hold, and the number of the file; 41: the next is refused. */
NTSTATUS Files(ULONG number, WDFDEVICE device, WDFREQUEST request, PULONG out)
{
    out[0] = out[1] = 0;
    if (number == 40) out[0] = CheckFile(device, request, &out[1]);
    else Refuse = TRUE;
    return STATUS_SUCCESS;
}
