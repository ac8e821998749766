/*
 * The part of KMDF 1.15 that KmdfRobot uses, written from the documented interface: structures as the framework reads them, and the
 * places of its functions in the table WdfVersionBind gives. The places are append-only: equal in every 1.x.
 */
#ifndef WDFSUBSET_H
#define WDFSUBSET_H

#include <ntddk.h>

#define WDF_MAJOR 1
#define WDF_MINOR 15
#define WDF_BUILD 0
#define WDF_FUNCTIONS 444 /* of 1.15: the framework stores one pointer to its table */

typedef void *WDFOBJECT, *WDFDRIVER, *WDFDEVICE, *WDFQUEUE, *WDFREQUEST, *WDFINTERRUPT, *WDFCMRESLIST, *WDFSPINLOCK;
typedef void *WDFDMAENABLER, *WDFCOMMONBUFFER;
typedef struct _WDFDEVICE_INIT *PWDFDEVICE_INIT;

typedef void (NTAPI *WDF_FUNCTION)(void);

typedef struct _WDF_BIND_INFO {
    ULONG Size;
    PCWSTR Component;
    struct { ULONG Major, Minor, Build; } Version;
    ULONG FuncCount;
    WDF_FUNCTION **FuncTable;
    PVOID Module;
} WDF_BIND_INFO, *PWDF_BIND_INFO;

typedef struct _WDF_DRIVER_GLOBALS {
    WDFDRIVER Driver;
    ULONG Flags;
    ULONG Tag;
    CHAR Name[32];
    BOOLEAN DisplaceDriverUnload;
} WDF_DRIVER_GLOBALS, *PWDF_DRIVER_GLOBALS;

DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionBind(PDRIVER_OBJECT Driver, PUNICODE_STRING Registry, PWDF_BIND_INFO Info, PWDF_DRIVER_GLOBALS *Globals);
DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionUnbind(PUNICODE_STRING Registry, PWDF_BIND_INFO Info, PWDF_DRIVER_GLOBALS Globals);

extern WDF_FUNCTION *WdfFunctions;
extern PWDF_DRIVER_GLOBALS WdfDriverGlobals;

enum {
    WdfCommonBufferGetAlignedVirtualAddress = 22,
    WdfCommonBufferGetAlignedLogicalAddress = 23,
    WdfDeviceInitSetPnpPowerEventCallbacks = 55,
    WdfDeviceInitRegisterPnpStateChangeCallback = 58,
    WdfDeviceInitSetIoType = 61,
    WdfDeviceCreate = 75,
    WdfDeviceCreateDeviceInterface = 77,
    WdfDeviceConfigureRequestDispatching = 93,
    WdfDmaEnablerCreate = 94,
    WdfDriverCreate = 116,
    WdfInterruptCreate = 141,
    WdfInterruptQueueDpcForIsr = 142,
    WdfInterruptGetDevice = 151,
    WdfIoQueueCreate = 152,
    WdfIoQueueGetState = 153,
    WdfIoQueueGetDevice = 157,
    WdfIoQueueRetrieveNextRequest = 158,
    WdfIoQueuePurge = 165,
    WdfObjectGetTypedContextWorker = 202,
    WdfRequestUnmarkCancelable = 256,
    WdfRequestComplete = 263,
    WdfRequestCompleteWithInformation = 265,
    WdfRequestRetrieveInputBuffer = 269,
    WdfRequestRetrieveOutputBuffer = 270,
    WdfRequestForwardToIoQueue = 281,
    WdfRequestGetIoQueue = 282,
    WdfCmResourceListGetCount = 304,
    WdfCmResourceListGetDescriptor = 305,
    WdfCommonBufferCreateWithConfig = 383,
    WdfRequestMarkCancelableEx = 393
};

/* WDF(function, result, parameter types)(arguments): the framework wants the driver's globals first. */
#define WDF(function, result, ...) ((result (NTAPI *)(PWDF_DRIVER_GLOBALS, __VA_ARGS__))WdfFunctions[function])
/* The same for WdfObjectGetTypedContextWorker and WdfObjectContextGetObject, which are __fastcall: on x86 that is another convention. */
#define WDF_FAST(function, result, ...) ((result (FASTCALL *)(PWDF_DRIVER_GLOBALS, __VA_ARGS__))WdfFunctions[function])

typedef struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
    ULONG Size;
    PCSTR ContextName;
    SIZE_T ContextSize;
    const struct _WDF_OBJECT_CONTEXT_TYPE_INFO *UniqueType;
    PVOID EvtDriverGetUniqueContextType;
} WDF_OBJECT_CONTEXT_TYPE_INFO;

typedef struct _WDF_OBJECT_ATTRIBUTES {
    ULONG Size;
    PVOID EvtCleanupCallback;
    PVOID EvtDestroyCallback;
    ULONG ExecutionLevel; /* 1: of the parent */
    ULONG SynchronizationScope; /* 1: of the parent */
    WDFOBJECT ParentObject;
    SIZE_T ContextSizeOverride;
    const WDF_OBJECT_CONTEXT_TYPE_INFO *ContextTypeInfo;
} WDF_OBJECT_ATTRIBUTES;

typedef NTSTATUS NTAPI EVT_WDF_DRIVER_DEVICE_ADD(WDFDRIVER Driver, PWDFDEVICE_INIT Init);

typedef struct _WDF_DRIVER_CONFIG {
    ULONG Size;
    EVT_WDF_DRIVER_DEVICE_ADD *EvtDriverDeviceAdd;
    PVOID EvtDriverUnload;
    ULONG DriverInitFlags;
    ULONG DriverPoolTag;
} WDF_DRIVER_CONFIG;

typedef NTSTATUS NTAPI EVT_WDF_DEVICE_D0(WDFDEVICE Device, ULONG Other);
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_PREPARE_HARDWARE(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated);
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_RELEASE_HARDWARE(WDFDEVICE Device, WDFCMRESLIST Translated);
typedef void NTAPI EVT_WDF_DEVICE_SURPRISE_REMOVAL(WDFDEVICE Device);

/* 17 callbacks; those this driver has not stay NULL. */
typedef struct _WDF_PNPPOWER_EVENT_CALLBACKS {
    ULONG Size;
    EVT_WDF_DEVICE_D0 *EvtDeviceD0Entry;
    PVOID EvtDeviceD0EntryPostInterruptsEnabled;
    EVT_WDF_DEVICE_D0 *EvtDeviceD0Exit;
    PVOID EvtDeviceD0ExitPreInterruptsDisabled;
    EVT_WDF_DEVICE_PREPARE_HARDWARE *EvtDevicePrepareHardware;
    EVT_WDF_DEVICE_RELEASE_HARDWARE *EvtDeviceReleaseHardware;
    PVOID SelfManagedIo[5];
    EVT_WDF_DEVICE_SURPRISE_REMOVAL *EvtDeviceSurpriseRemoval;
    PVOID Others[5];
} WDF_PNPPOWER_EVENT_CALLBACKS;

typedef struct _WDF_DEVICE_PNP_NOTIFICATION_DATA {
    ULONG Type; /* 1 entering, 2 after processing, 4 leaving */
    ULONG CurrentState;
    ULONG NewStateOrEvent;
} WDF_DEVICE_PNP_NOTIFICATION_DATA;

typedef void NTAPI EVT_WDF_DEVICE_PNP_STATE_CHANGE_NOTIFICATION(WDFDEVICE Device, const WDF_DEVICE_PNP_NOTIFICATION_DATA *Data);

typedef void NTAPI EVT_WDF_IO_QUEUE_IO_READ(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Length);
typedef void NTAPI EVT_WDF_IO_QUEUE_IO_WRITE(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Length);
typedef void NTAPI EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL(WDFQUEUE Queue, WDFREQUEST Request, SIZE_T Out, SIZE_T In, ULONG Code);

typedef void NTAPI EVT_WDF_REQUEST_CANCEL(WDFREQUEST Request);

typedef void NTAPI EVT_WDF_IO_QUEUE_IO_STOP(WDFQUEUE Queue, WDFREQUEST Request, ULONG Flags);

typedef struct _WDF_IO_QUEUE_CONFIG {
    ULONG Size;
    ULONG DispatchType; /* 1 sequential, 2 parallel, 3 manual */
    ULONG PowerManaged; /* 2: the default */
    BOOLEAN AllowZeroLengthRequests;
    BOOLEAN DefaultQueue;
    PVOID EvtIoDefault;
    EVT_WDF_IO_QUEUE_IO_READ *EvtIoRead;
    EVT_WDF_IO_QUEUE_IO_WRITE *EvtIoWrite;
    EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL *EvtIoDeviceControl;
    PVOID EvtIoInternalDeviceControl;
    EVT_WDF_IO_QUEUE_IO_STOP *EvtIoStop;
    PVOID EvtIoResume;
    PVOID EvtIoCanceledOnQueue;
    union { ULONG NumberOfPresentedRequests; PVOID Whole; } Settings;
    WDFDRIVER Driver;
} WDF_IO_QUEUE_CONFIG;

typedef BOOLEAN NTAPI EVT_WDF_INTERRUPT_ISR(WDFINTERRUPT Interrupt, ULONG Message);
typedef void NTAPI EVT_WDF_INTERRUPT_DPC(WDFINTERRUPT Interrupt, WDFOBJECT Device);
typedef NTSTATUS NTAPI EVT_WDF_INTERRUPT_SWITCH(WDFINTERRUPT Interrupt, WDFDEVICE Device);

typedef struct _WDF_INTERRUPT_CONFIG {
    ULONG Size;
    WDFSPINLOCK SpinLock;
    ULONG ShareVector; /* 2: the default */
    BOOLEAN FloatingSave;
    BOOLEAN AutomaticSerialization;
    EVT_WDF_INTERRUPT_ISR *EvtInterruptIsr;
    EVT_WDF_INTERRUPT_DPC *EvtInterruptDpc;
    EVT_WDF_INTERRUPT_SWITCH *EvtInterruptEnable;
    EVT_WDF_INTERRUPT_SWITCH *EvtInterruptDisable;
    PVOID EvtInterruptWorkItem;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR InterruptRaw;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR InterruptTranslated;
    PVOID WaitLock;
    BOOLEAN PassiveHandling;
    ULONG ReportInactiveOnPowerDown;
    BOOLEAN CanWakeDevice;
} WDF_INTERRUPT_CONFIG;

typedef struct _WDF_DMA_ENABLER_CONFIG {
    ULONG Size;
    ULONG Profile; /* 4: scatter and gather, 64-bit addresses */
    SIZE_T MaximumLength; /* of a transfer */
    PVOID Callbacks[6]; /* fill, flush, disable, enable, self-managed I/O start and stop */
    ULONG AddressWidthOverride;
    ULONG WdmDmaVersionOverride;
    ULONG Flags;
} WDF_DMA_ENABLER_CONFIG;

typedef struct _WDF_COMMON_BUFFER_CONFIG {
    ULONG Size;
    ULONG AlignmentRequirement; /* a mask: 64 bytes are 0x3f */
} WDF_COMMON_BUFFER_CONFIG;

/* The framework rejects a structure of a size it does not know. */
#define AT(type, member, x64, x86) C_ASSERT(FIELD_OFFSET(type, member) == (sizeof(PVOID) == 8 ? x64 : x86))
C_ASSERT(sizeof(WDF_BIND_INFO) == (sizeof(PVOID) == 8 ? 0x30 : 0x20));
AT(WDF_BIND_INFO, FuncCount, 0x1c, 0x14);
AT(WDF_BIND_INFO, FuncTable, 0x20, 0x18);
AT(WDF_DRIVER_GLOBALS, DisplaceDriverUnload, 0x30, 0x2c);
C_ASSERT(sizeof(WDF_DRIVER_CONFIG) == (sizeof(PVOID) == 8 ? 0x20 : 0x14));
C_ASSERT(sizeof(WDF_OBJECT_ATTRIBUTES) == (sizeof(PVOID) == 8 ? 0x38 : 0x20));
C_ASSERT(sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO) == (sizeof(PVOID) == 8 ? 0x28 : 0x14));
C_ASSERT(sizeof(WDF_PNPPOWER_EVENT_CALLBACKS) == (sizeof(PVOID) == 8 ? 0x90 : 0x48));
C_ASSERT(sizeof(WDF_IO_QUEUE_CONFIG) == (sizeof(PVOID) == 8 ? 0x60 : 0x38));
AT(WDF_IO_QUEUE_CONFIG, EvtIoRead, 0x18, 0x14);
AT(WDF_IO_QUEUE_CONFIG, Settings, 0x50, 0x30);
C_ASSERT(sizeof(WDF_INTERRUPT_CONFIG) == (sizeof(PVOID) == 8 ? 0x68 : 0x3c));
AT(WDF_INTERRUPT_CONFIG, EvtInterruptIsr, 0x18, 0x10);
AT(WDF_INTERRUPT_CONFIG, PassiveHandling, 0x58, 0x30);
AT(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSurpriseRemoval, 0x60, 0x30);
C_ASSERT(sizeof(WDF_DMA_ENABLER_CONFIG) == (sizeof(PVOID) == 8 ? 0x50 : 0x30));
C_ASSERT(sizeof(WDF_COMMON_BUFFER_CONFIG) == 8);

#endif
