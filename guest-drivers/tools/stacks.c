/*
 * stacks.exe: prints the device stacks of the devices that are there, from the top down, as Windows itself tells them.
 * DEVPKEY_Device_Stack is the whole stack (NT 6.1 and later); before, the service and its filters from the registry stand in for it.
 * stacks [TEXT]: only devices with TEXT in their instance id, in either case.
 */
#include <windows.h>
#include <setupapi.h>
#include <stdio.h>
#include <string.h>

typedef struct { GUID Category; ULONG Id; } PROPERTY_KEY;
typedef BOOL WINAPI GET_PROPERTY(HDEVINFO, PSP_DEVINFO_DATA, const PROPERTY_KEY *, ULONG *, PBYTE, DWORD, PDWORD, DWORD);

/* DEVPKEY_Device_Stack: a list of strings. */
static const PROPERTY_KEY stack = { { 0x540b947e, 0x8b40, 0x45bc, { 0xa8, 0xa2, 0x6a, 0x0b, 0x89, 0x4c, 0xbd, 0xa2 } }, 14 };

#define STRING_LIST 0x2012

static WCHAR room[8192];

/* Strings up to an empty one, whatever the registry left out at the end. */
static void PrintList(const char *kind)
{
    const WCHAR *at;

    for (at = room; *at != 0; at += wcslen(at) + 1) printf("    %s%ls\n", kind, at);
}

static BOOL FromRegistry(HDEVINFO set, PSP_DEVINFO_DATA device, DWORD property, const char *kind)
{
    memset(room, 0, sizeof room);
    if (!SetupDiGetDeviceRegistryPropertyW(set, device, property, NULL, (PBYTE)room, sizeof room - 2 * sizeof(WCHAR), NULL)) return FALSE;
    PrintList(kind);
    return TRUE;
}

static BOOL Contains(const char *text, const char *part)
{
    size_t length = strlen(part);

    for (; *text != 0; text++) {
        if (_strnicmp(text, part, length) == 0) return TRUE;
    }
    return length == 0;
}

int main(int argc, char **argv)
{
    GET_PROPERTY *getProperty = (GET_PROPERTY *)(void *)GetProcAddress(GetModuleHandleA("setupapi.dll"), "SetupDiGetDevicePropertyW");
    HDEVINFO set = SetupDiGetClassDevsA(NULL, NULL, NULL, DIGCF_PRESENT | DIGCF_ALLCLASSES);
    SP_DEVINFO_DATA device;
    char id[1024];
    ULONG type;
    DWORD n;
    BOOL stoodIn = FALSE;

    if (argc > 2) { fputs("usage: stacks [TEXT]\n", stderr); return 2; }
    if (set == INVALID_HANDLE_VALUE) { fprintf(stderr, "stacks: no list of devices, error %lu\n", GetLastError()); return 1; }
    device.cbSize = sizeof device;
    for (n = 0; SetupDiEnumDeviceInfo(set, n, &device); n++) {
        if (!SetupDiGetDeviceInstanceIdA(set, &device, id, sizeof id, NULL) || (argc == 2 && !Contains(id, argv[1]))) continue;
        printf("%s\n", id);
        memset(room, 0, sizeof room);
        if (getProperty != NULL && getProperty(set, &device, &stack, &type, (PBYTE)room, sizeof room - 2 * sizeof(WCHAR), NULL, 0) && type == STRING_LIST) {
            PrintList("");
            continue;
        }
        stoodIn = TRUE;
        FromRegistry(set, &device, SPDRP_UPPERFILTERS, "upper filter ");
        if (!FromRegistry(set, &device, SPDRP_SERVICE, "function ")) puts("    no function driver");
        FromRegistry(set, &device, SPDRP_LOWERFILTERS, "lower filter ");
        FromRegistry(set, &device, SPDRP_PHYSICAL_DEVICE_OBJECT_NAME, "physical device object ");
    }
    SetupDiDestroyDeviceInfoList(set);
    if (stoodIn) fputs("stacks: this system tells no device stacks; these are the services and filters of the registry\n", stderr);
    return 0;
}
