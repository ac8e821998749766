/* DMA enablers and common buffers, each asked for something it must answer. */
#include "framework.h"

enum {
    WdfCommonBufferCreate = 21, WdfCommonBufferGetLength = 24, WdfDmaEnablerGetMaximumLength = 95, WdfDmaEnablerGetMaximumScatterGatherElements = 96,
    WdfDmaEnablerSetMaximumScatterGatherElements = 97, WdfObjectCreate = 207,
    WdfObjectDelete = 208, WdfDmaEnablerGetFragmentLength = 384, WdfDmaEnablerWdmGetDmaAdapter = 385
};

NTSTATUS CreateDma(WDFDEVICE device, WDF_DMA_ENABLER_CONFIG *config, WDF_OBJECT_ATTRIBUTES *attributes, WDFDMAENABLER *enabler)
{
    if (VARIANT == OLD) config->Size = FIELD_OFFSET(WDF_DMA_ENABLER_CONFIG, AddressWidthOverride);
    return WDF(WdfDmaEnablerCreate, NTSTATUS, WDFDEVICE, WDF_DMA_ENABLER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFDMAENABLER *)(
        WdfDriverGlobals, device, config, attributes, enabler);
}

static void Delete(WDFOBJECT object)
{
    WDF(WdfObjectDelete, void, WDFOBJECT)(WdfDriverGlobals, object);
}

static PDMA_ADAPTER AdapterOf(WDFDMAENABLER enabler, ULONG direction)
{
    return WDF(WdfDmaEnablerWdmGetDmaAdapter, PDMA_ADAPTER, WDFDMAENABLER, ULONG)(WdfDriverGlobals, enabler, direction);
}

static ULONG CheckEnabler(WDFDEVICE device)
{
    WDF_DMA_ENABLER_CONFIG config = { .Size = sizeof config, .Profile = 1, .MaximumLength = 0x100000 };
    WDF_OBJECT_ATTRIBUTES attributes = { .Size = sizeof attributes, .ExecutionLevel = 1, .SynchronizationScope = 1 };
    WDFDMAENABLER enabler = NULL;
    WDFOBJECT parent = NULL;
    SIZE_T length;

    config.Profile = 0;
    EXPECT(CreateDma(device, &config, NULL, &enabler) == STATUS_INVALID_PARAMETER);
    config.Profile = 6; /* both directions at once */
    config.MaximumLength = 0;
    EXPECT(CreateDma(device, &config, NULL, &enabler) == STATUS_INVALID_PARAMETER);
    config.MaximumLength = 0x100000;
    attributes.ParentObject = WdfDriverGlobals->Driver;
    /* 1.9 does not look at it. */
    EXPECT(CreateDma(device, &config, &attributes, &enabler)
        == (VARIANT == OLD ? STATUS_SUCCESS : (NTSTATUS)0xc0200209 /* STATUS_WDF_OBJECT_ATTRIBUTES_INVALID */));
    EXPECT((VARIANT == OLD) == (enabler != NULL));
    attributes.ParentObject = device;
    EXPECT(WDF(WdfObjectCreate, NTSTATUS, WDF_OBJECT_ATTRIBUTES *, WDFOBJECT *)(WdfDriverGlobals, &attributes, &parent) == STATUS_SUCCESS);
    attributes.ParentObject = parent;
    EXPECT(CreateDma(device, &config, &attributes, &enabler) == STATUS_SUCCESS);
    EXPECT(AdapterOf(enabler, 0) != NULL && AdapterOf(enabler, 1) != NULL && AdapterOf(enabler, 0) != AdapterOf(enabler, 1));
    EXPECT(WDF(WdfDmaEnablerGetMaximumLength, SIZE_T, WDFDMAENABLER)(WdfDriverGlobals, enabler) == 0x100000);
    length = WDF(WdfDmaEnablerGetFragmentLength, SIZE_T, WDFDMAENABLER, ULONG)(WdfDriverGlobals, enabler, 1);
    EXPECT(length == 63 * 4096); /* of 64 map registers all but one */
    EXPECT(WDF(WdfDmaEnablerGetMaximumScatterGatherElements, SIZE_T, WDFDMAENABLER)(WdfDriverGlobals, enabler) == 0xffffffff);
    WDF(WdfDmaEnablerSetMaximumScatterGatherElements, void, WDFDMAENABLER, SIZE_T)(WdfDriverGlobals, enabler, 3);
    EXPECT(WDF(WdfDmaEnablerGetMaximumScatterGatherElements, SIZE_T, WDFDMAENABLER)(WdfDriverGlobals, enabler) == 3);
    Delete(parent);
    config.Profile = 4;
    EXPECT(CreateDma(device, &config, NULL, &enabler) == STATUS_SUCCESS && AdapterOf(enabler, 0) == AdapterOf(enabler, 1));
    Delete(enabler);
    return 0;
}

static PUCHAR AddressOf(WDFCOMMONBUFFER buffer)
{
    return WDF(WdfCommonBufferGetAlignedVirtualAddress, PVOID, WDFCOMMONBUFFER)(WdfDriverGlobals, buffer);
}

static ULONGLONG LogicalOf(WDFCOMMONBUFFER buffer)
{
    return (ULONGLONG)WDF(WdfCommonBufferGetAlignedLogicalAddress, PHYSICAL_ADDRESS, WDFCOMMONBUFFER)(WdfDriverGlobals, buffer).QuadPart;
}

/* Names the object, for its callbacks. */
static void Name(WDFOBJECT object, const WDF_OBJECT_ATTRIBUTES *attributes, CHAR name)
{
    *(PCHAR)WDF_FAST(WdfObjectGetTypedContextWorker, PVOID, WDFOBJECT, const WDF_OBJECT_CONTEXT_TYPE_INFO *)(
        WdfDriverGlobals, object, attributes->ContextTypeInfo) = name;
}

static ULONG CheckBuffers(WDFDEVICE device, WDF_OBJECT_ATTRIBUTES ofEnabler, WDF_OBJECT_ATTRIBUTES ofBuffer)
{
    WDF_DMA_ENABLER_CONFIG config = { .Size = sizeof config, .Profile = 4, .MaximumLength = 4096 };
    WDF_COMMON_BUFFER_CONFIG aligned = { .Size = sizeof aligned, .AlignmentRequirement = 0x3fff };
    WDFCOMMONBUFFER buffer = NULL, other = NULL;
    WDFDMAENABLER enabler = NULL;

    EXPECT(CreateDma(device, &config, &ofEnabler, &enabler) == STATUS_SUCCESS);
    Name(enabler, &ofEnabler, 'e');
    EXPECT(WDF(WdfCommonBufferCreate, NTSTATUS, WDFDMAENABLER, SIZE_T, WDF_OBJECT_ATTRIBUTES *, WDFCOMMONBUFFER *)(
        WdfDriverGlobals, enabler, 0, NULL, &buffer) == STATUS_INVALID_PARAMETER);
    EXPECT(WDF(WdfCommonBufferCreate, NTSTATUS, WDFDMAENABLER, SIZE_T, WDF_OBJECT_ATTRIBUTES *, WDFCOMMONBUFFER *)(
        WdfDriverGlobals, enabler, 100, &ofBuffer, &buffer) == STATUS_SUCCESS);
    Name(buffer, &ofBuffer, 'b');
    EXPECT(WDF(WdfCommonBufferGetLength, SIZE_T, WDFCOMMONBUFFER)(WdfDriverGlobals, buffer) == 100);
    RtlFillMemory(AddressOf(buffer), 100, 0x5a);
    EXPECT(WDF(WdfCommonBufferCreateWithConfig, NTSTATUS, WDFDMAENABLER, SIZE_T, WDF_COMMON_BUFFER_CONFIG *, WDF_OBJECT_ATTRIBUTES *, WDFCOMMONBUFFER *)(
        WdfDriverGlobals, enabler, 0x5000, &aligned, NULL, &other) == STATUS_SUCCESS);
    EXPECT((LogicalOf(other) & 0x3fff) == 0 && LogicalOf(other) != LogicalOf(buffer));
    /* What one says of the place of memory holds for the other, too. */
    EXPECT((MmGetPhysicalAddress(AddressOf(other)).QuadPart == (LONGLONG)LogicalOf(other)));
    RtlFillMemory(AddressOf(other), 0x5000, 0xa5);
    EXPECT(AddressOf(buffer)[99] == 0x5a);
    Delete(enabler);
    return 0;
}

/* The line of the first that does not hold; 0 when all do. The attributes log what happens to enabler and buffer. */
ULONG CheckDma(WDFDEVICE device, const WDF_OBJECT_ATTRIBUTES *first, const WDF_OBJECT_ATTRIBUTES *second)
{
    ULONG line = CheckEnabler(device);

    return line != 0 ? line : CheckBuffers(device, *first, *second);
}
