/*
 * What the compiler's stack protector asks for, and the entry point that prepares it: the same names and the same order of events as in
 * drivers built with Microsoft's compiler, so that a debugger shows GsDriverEntry as the driver's entry.
 */
#include <ntddk.h>

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI GsDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);

#define DEFAULT_COOKIE ((ULONG_PTR)0x00002b992ddfa232ULL)

ULONG_PTR __stack_chk_guard = DEFAULT_COOKIE;

__attribute__((noreturn)) void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
    KeBugCheckEx(0xf7 /* DRIVER_OVERRAN_STACK_BUFFER */, 0, __stack_chk_guard, ~__stack_chk_guard, 0);
    __builtin_unreachable();
}

/* No protector of its own: it changes the guard. */
__attribute__((optimize("no-stack-protector")))
NTSTATUS NTAPI GsDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    /* Unlike at each load: where the image and the driver object lie. The low byte stays 0, so that a string cannot carry it. */
    ULONG_PTR cookie = (DEFAULT_COOKIE ^ (ULONG_PTR)DriverObject ^ ((ULONG_PTR)&__stack_chk_guard << 7)) & ~(ULONG_PTR)0xff;
    __stack_chk_guard = cookie != 0 ? cookie : DEFAULT_COOKIE;
    return DriverEntry(DriverObject, RegistryPath);
}
