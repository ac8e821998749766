using System.Diagnostics;

namespace Emulator.DriverTests.Native;

/// <summary>C compilers of this machine, and a folder for what they make.</summary>
internal static class Compiler
{
    private static readonly string Folder = Directory.CreateTempSubdirectory("driver-tests-").FullName;
    private static readonly HashSet<string> Made = [];
    private static readonly Lock Making = new();

    /// <summary>Where a result lies.</summary>
    public static string PathOf(string output) => Path.Combine(Folder, output);

    /// <summary>
    /// Compiles one of Programs/ and answers the path of the result; the same call again answers the same file. Needs the compiler: see
    /// <see cref="Requirement"/>. Any thread may call.
    /// </summary>
    /// <param name="compiler">Found in PATH.</param>
    /// <param name="program">A file of Programs/.</param>
    /// <param name="output">A name for the result; each differs from the others.</param>
    /// <param name="arguments">All but the source and the output.</param>
    public static string Build(string compiler, string program, string output, params string[] arguments)
    {
        // The source before the libraries: ld resolves from left to right.
        string source = Path.Combine(TestContext.CurrentContext.TestDirectory, "Programs", program);
        return Make(compiler, output, path => [source, .. arguments, "-o", path]);
    }

    /// <summary>Makes an import library for functions of a module that is not there; the same call again answers the same file.</summary>
    /// <param name="dlltool">Found in PATH.</param>
    /// <param name="module">"WDFLDR.SYS".</param>
    /// <param name="output">A name for the result; each differs from the others.</param>
    /// <param name="functions">As the linker names them: on x86 with the bytes of their arguments.</param>
    /// <param name="arguments">For the machine.</param>
    public static string ImportLibrary(string dlltool, string module, string output, string[] functions, params string[] arguments)
    {
        return Make(dlltool, output, path =>
        {
            string definition = $"{path}.def";
            File.WriteAllText(definition, $"LIBRARY {module}\nEXPORTS\n{string.Concat(functions.Select(f => $"    {f}\n"))}");
            return [.. arguments, "-d", definition, "-l", path];
        });
    }

    /// <summary>What a compiler answers, without its line end.</summary>
    public static string Ask(string compiler, string argument)
    {
        Requirement.Need(compiler);
        return Run(compiler, [argument]).Output.Trim();
    }

    /// <summary>Removes what was made.</summary>
    public static void Clean() => Directory.Delete(Folder, recursive: true);

    // One at a time: what is half made is not there for others.
    private static string Make(string program, string output, Func<string, string[]> arguments)
    {
        string path = PathOf(output);
        lock (Making)
        {
            if (Made.Contains(output)) return path;
            Requirement.Need(program);
            (int code, _, string errors) = Run(program, arguments(path));
            Assert.That(code, Is.Zero, $"{program} failed: {errors}");
            Made.Add(output);
            return path;
        }
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
