/* For programs that call what NT offers as drivers call it. Each test gives back the line of the first wrong answer, or 0. */
#include "skeleton.h"

/* As ntoskrnl.exe exports them; the compiler's own headers would take others. */
__declspec(dllimport) int __cdecl sprintf(char *out, const char *format, ...);
__declspec(dllimport) int __cdecl swprintf(WCHAR *out, const WCHAR *format, ...);
__declspec(dllimport) int __cdecl _snprintf(char *out, size_t count, const char *format, ...);
__declspec(dllimport) int __cdecl _stricmp(const char *a, const char *b);
__declspec(dllimport) int __cdecl wcscmp(const WCHAR *a, const WCHAR *b);
__declspec(dllimport) int __cdecl wcsncmp(const WCHAR *a, const WCHAR *b, size_t count);
__declspec(dllimport) size_t __cdecl wcslen(const WCHAR *a);
__declspec(dllimport) int __cdecl strcmp(const char *a, const char *b);
__declspec(dllimport) int __cdecl strncmp(const char *a, const char *b, size_t count);
__declspec(dllimport) char *__cdecl strchr(const char *a, int character);
__declspec(dllimport) char *__cdecl strstr(const char *a, const char *b);
__declspec(dllimport) size_t __cdecl strlen(const char *a);

#define CHECK(right) do { if (!(right)) return __LINE__; } while (0)

static NTSTATUS Answer(PIRP irp, int line)
{
    *(int *)irp->AssociatedIrp.SystemBuffer = line;
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = sizeof line;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}
