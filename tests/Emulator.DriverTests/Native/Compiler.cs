using System.Diagnostics;

namespace Emulator.DriverTests.Native;

/// <summary>C compilers of this machine, and a folder for what they make.</summary>
internal static class Compiler
{
    private static readonly string Folder = Directory.CreateTempSubdirectory("driver-tests-").FullName;
    private static readonly Dictionary<string, string> Made = [];

    /// <summary>
    /// Compiles one of Programs/ and answers the path of the result; the same call again answers the same file. Without the
    /// compiler the test is ignored.
    /// </summary>
    /// <param name="compiler">Found in PATH.</param>
    /// <param name="program">A file of Programs/.</param>
    /// <param name="output">A name for the result; each differs from the others.</param>
    /// <param name="arguments">All but the source and the output.</param>
    public static string Build(string compiler, string program, string output, params string[] arguments)
    {
        if (Made.TryGetValue(output, out string? made)) return made;
        Need(compiler);
        string path = Path.Combine(Folder, output);
        // The source before the libraries: ld resolves from left to right.
        string source = Path.Combine(TestContext.CurrentContext.TestDirectory, "Programs", program);
        (int code, _, string errors) = Run(compiler, [source, .. arguments, "-o", path]);
        Assert.That(code, Is.Zero, $"{compiler} failed: {errors}");
        Made.Add(output, path);
        return path;
    }

    /// <summary>Makes an import library for functions of a module that is not there; the same call again answers the same file.</summary>
    /// <param name="dlltool">Found in PATH.</param>
    /// <param name="module">"WDFLDR.SYS".</param>
    /// <param name="output">A name for the result; each differs from the others.</param>
    /// <param name="functions">As the linker names them: on x86 with the bytes of their arguments.</param>
    /// <param name="arguments">For the machine.</param>
    public static string ImportLibrary(string dlltool, string module, string output, string[] functions, params string[] arguments)
    {
        if (Made.TryGetValue(output, out string? made)) return made;
        Need(dlltool);
        string path = Path.Combine(Folder, output), definition = path + ".def";
        File.WriteAllText(definition, $"LIBRARY {module}\nEXPORTS\n{string.Concat(functions.Select(f => $"    {f}\n"))}");
        (int code, _, string errors) = Run(dlltool, [.. arguments, "-d", definition, "-l", path]);
        Assert.That(code, Is.Zero, $"{dlltool} failed: {errors}");
        Made.Add(output, path);
        return path;
    }

    /// <summary>What a compiler answers, without its line end. Ignores the test without the compiler.</summary>
    public static string Ask(string compiler, string argument)
    {
        Need(compiler);
        return Run(compiler, [argument]).Output.Trim();
    }

    /// <summary>Removes what was made.</summary>
    public static void Clean() => Directory.Delete(Folder, recursive: true);

    private static void Need(string program)
    {
        bool exists = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, program)));
        if (!exists) Assert.Ignore($"{program} is not in PATH");
    }

    private static (int Code, string Output, string Errors) Run(string program, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output.Result, errors);
    }
}
