/* What drivers ask of the system as a whole. Test 17 is all of it; 18 calls what no NT has, and other tests nothing of either. */
#include "services.h"

__declspec(dllimport) PEPROCESS NTAPI IoGetRequestorProcess(PIRP irp);
__declspec(dllimport) ULONG NTAPI ExNobodyHasThis(ULONG value);
__declspec(dllimport) extern ULONG ExNobodyHasThatVariable;

static int System(PDEVICE_OBJECT device, PIRP irp)
{
    RTL_OSVERSIONINFOEXW version;
    UUID first, second;
    PULONG entry;
    KAFFINITY processors = 0;

    memset(&version, 0xFF, sizeof version);
    version.dwOSVersionInfoSize = sizeof version;
    CHECK(RtlGetVersion((PRTL_OSVERSIONINFOW)&version) == STATUS_SUCCESS);
#ifdef _AMD64_
    CHECK(version.dwMajorVersion == 6 && version.dwMinorVersion == 1 && version.dwBuildNumber == 7601);
#else
    CHECK(version.dwMajorVersion == 5 && version.dwMinorVersion == 2 && version.dwBuildNumber == 3790);
#endif
    CHECK(version.dwPlatformId == VER_PLATFORM_WIN32_NT && version.szCSDVersion[0] == 0 && version.wServicePackMajor == 0);
    CHECK(ExUuidCreate(&first) == STATUS_SUCCESS && ExUuidCreate(&second) == STATUS_SUCCESS);
    CHECK((first.Data3 >> 12) == 4 && (first.Data4[0] & 0xC0) == 0x80);
    CHECK(RtlCompareMemory(&first, &second, sizeof first) != sizeof first);
    CHECK(KeQueryActiveProcessors() == 1 && KeQueryActiveProcessorCount(&processors) == 1 && processors == 1);
    CHECK(IoAllocateErrorLogEntry(device, 241) == NULL);
    entry = IoAllocateErrorLogEntry(device, sizeof(IO_ERROR_LOG_PACKET));
    CHECK(entry != NULL);
    ((PIO_ERROR_LOG_PACKET)entry)->ErrorCode = (NTSTATUS)0xC0040007;
    ((PIO_ERROR_LOG_PACKET)entry)->UniqueErrorValue = 5;
    ((PIO_ERROR_LOG_PACKET)entry)->FinalStatus = STATUS_UNSUCCESSFUL;
    IoWriteErrorLogEntry(entry);
    CHECK(IoGetRequestorProcess(irp) == PsGetCurrentProcess());
    return 0;
}

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int what)
{
    UNREFERENCED_PARAMETER(extension);
    switch (what) {
    case 17: return Answer(irp, System(device, irp));
    case 18: return Answer(irp, (int)ExNobodyHasThis(7));
    case 19: return Answer(irp, (int)ExNobodyHasThatVariable);
    }
    return Answer(irp, 0);
}
