using System.Reflection.PortableExecutable;

namespace Emulator.DriverTests.Native;

/// <summary>How Programs/ become drivers: the flags of real drivers, as far as they matter here.</summary>
internal static class Targets
{
    private static readonly string[] Common =
    [
        "-std=gnu11", "-ffreestanding", "-fno-exceptions", "-fno-ident", "-ffunction-sections",
        "-nostdlib", "-nostartfiles", "-Wl,--subsystem,native:6.1", "-Wl,--file-alignment,0x200", "-Wl,--section-alignment,0x1000",
        "-Wl,--dynamicbase", "-Wl,--nxcompat", "-Wl,--wdmdriver", "-Wl,--no-insert-timestamp", "-Wl,--kill-at",
    ];

    public static string CompilerFor(Machine machine) => machine == Machine.Amd64 ? "x86_64-w64-mingw32-gcc" : "i686-w64-mingw32-gcc";

    /// <summary>
    /// Builds one of Programs/ that is written with the headers of NT; as <see cref="BuildDriver(string, Machine, string, string, string, string[])"/>.
    /// </summary>
    /// <param name="more">Other objects and libraries.</param>
    public static string BuildDriver(Machine machine, string program, params string[] more)
    {
        string target = machine == Machine.Amd64 ? "x86_64-w64-mingw32" : "i686-w64-mingw32";
        string[] flags = machine == Machine.Amd64 ? ["-D_AMD64_", "-DAMD64"] : ["-D_X86_", "-mno-sse", "-mno-mmx"];
        string[] common = ["-D_WIN32_WINNT=0x0601", "-DNTDDI_VERSION=0x06010000", "-Wno-multichar", "-isystem", $"/usr/{target}/include/ddk"];
        return BuildDriver(
            CompilerFor(machine), machine, $"{program}.c", $"{program}-{machine}", "-O2", [.. flags, .. common, .. more, "-lntoskrnl", "-lhal"]);
    }

    /// <summary>Compiles one of Programs/ as Visual C would, as far as clang does, into an object that mingw can link.</summary>
    public static string CompileAsVisualC(Machine machine, string program)
        => Compiler.Build("clang", $"{program}.c", $"{program}-{machine}.obj", "-c",
            $"--target={(machine == Machine.Amd64 ? "x86_64" : "i686")}-pc-windows-msvc", "-fms-extensions", "-ffreestanding", "-fno-builtin", "-O2",
            "-ffunction-sections",
            "-fasynchronous-unwind-tables");

    /// <summary>Builds a driver and answers its path; its linker map lies beside it as ".map".</summary>
    public static string BuildDriver(string compiler, Machine machine, string program, string name, string optimization, params string[] more)
    {
        // mingw's x86 linker wants the underscore that its C compiler puts before every name.
        string entry = machine == Machine.Amd64 ? "entry" : "_entry";
        string[] own = machine == Machine.Amd64
            ? ["-mno-red-zone", "-Wl,--image-base,0x140000000"]
            : ["-march=i686", "-mpreferred-stack-boundary=2", "-Wl,--image-base,0x10000"];
        if (compiler == "clang")
        {
            own = machine == Machine.Amd64 ? ["--target=x86_64-w64-mingw32", .. own] : ["--target=i686-w64-mingw32", "-march=i686", "-Wl,--image-base,0x10000"];
        }
        // Else memcpy's own loop becomes a call of memcpy.
        string noRecursion = compiler == "clang" ? "-fno-builtin" : "-fno-tree-loop-distribute-patterns";
        // clang looks for a libgcc of another version; mingw's own compiler knows where it is.
        string library = compiler == "clang" ? Compiler.Ask(CompilerFor(machine), "-print-libgcc-file-name") : "-lgcc";
        return Compiler.Build(compiler, program, $"{name}.sys", [.. Common, optimization, noRecursion, .. own, $"-Wl,--entry,{entry}",
            $"-Wl,-Map,{Compiler.PathOf($"{name}.map")}", .. more, library]);
    }
}
