/* A driver with an import, an export, a pointer that needs relocation, static functions and code in INIT. */
typedef unsigned int u32;
__declspec(dllimport) u32 DbgPrint(const char *format, ...);

u32 counter = 5;
static __attribute__((noinline)) u32 hidden(u32 x) { DbgPrint("x is %d", x); return x * 3 + counter; }
u32 (*volatile through)(u32) = hidden;

__declspec(dllexport) u32 Offered(u32 x) { return through(x) + 1; }

__attribute__((section("INIT"))) u32 entry(void *driver, void *path)
{
    counter++;
    return Offered((u32)(__SIZE_TYPE__)driver) + (path != 0);
}
