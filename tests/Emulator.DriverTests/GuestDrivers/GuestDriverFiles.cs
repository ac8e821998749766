using System.Diagnostics;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Pe;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.GuestDrivers;

/// <summary>The drivers of guest-drivers, built once for all tests that want them, in a folder of the tests' own.</summary>
internal static class GuestDriverFiles
{
    private static readonly Lazy<(string? Folder, string? WhyNot)> Built = new(Build);

    /// <summary>The folder with x64/ and x86/. Needs mingw and what signs: see <see cref="Requirement"/>. When the build fails, the test fails.</summary>
    public static string Folder
    {
        get
        {
            if (Built.Value.WhyNot is { } reason) Requirement.Lack(reason);
            return Built.Value.Folder!;
        }
    }

    /// <summary>The emulator that writes the register headers; null when none is built.</summary>
    public static string? Emulator => new[] { "release", "debug" }
        .Select(kind => Path.Combine(Repository(), "artifacts", "bin", "Emulator.Cli", kind, "emulator")).FirstOrDefault(File.Exists);

    /// <summary>A driver, read and checked for its form.</summary>
    /// <param name="name">"GeneralRobot.sys".</param>
    public static PeImage Open(Machine machine, string name) => PeImage.Open(PathOf(machine, name));

    /// <summary>The names in a driver, by address relative to its base.</summary>
    public static LinkerMap Map(Machine machine, string name)
        => LinkerMap.Parse(File.ReadAllText(Path.ChangeExtension(PathOf(machine, name), ".map")), Open(machine, name));

    public static string PathOf(Machine machine, string name) => Path.Combine(Folder, machine == Machine.Amd64 ? "x64" : "x86", name);

    /// <summary>The repository's own folder. Found from where the tests run: a deterministic build does not know where its sources were.</summary>
    public static string Repository()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Emulator.sln"))) return folder;
        }
        throw new InvalidOperationException("The tests run from a checkout.");
    }

    private static (string? Folder, string? WhyNot) Build()
    {
        foreach (string tool in (string[])["x86_64-w64-mingw32-gcc", "i686-w64-mingw32-gcc", "osslsigncode", "genisoimage", "openssl"])
        {
            if (!Requirement.IsInPath(tool)) return (null, $"no {tool}; make drivers says which package has it, and as root installs it");
        }
        if (Emulator is not { } emulator) return (null, "the emulator is not built, which writes the drivers' register headers; run make build");
        string folder = Path.Combine(Repository(), "artifacts", "driver-tests");
        (int code, string output) = Build(folder, emulator);
        Assert.That(code, Is.Zero, $"guest-drivers/build.sh failed:\n{output}");
        return (folder, null);
    }

    /// <summary>Runs build.sh.</summary>
    public static (int Code, string Output) Build(string folder, string emulator)
        => Run(Path.Combine(Repository(), "guest-drivers", "build.sh"), "--out", folder, emulator);

    /// <summary>Runs a program to its end.</summary>
    /// <returns>Its exit code, and all that it wrote.</returns>
    public static (int Code, string Output) Run(string program, params string[] arguments)
    {
        using Process run = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        Task<string> output = run.StandardOutput.ReadToEndAsync();
        string errors = run.StandardError.ReadToEnd();
        run.WaitForExit();
        return (run.ExitCode, errors + output.Result);
    }
}
