namespace Emulator.DriverTests.Native;

/// <summary>
/// What tests need of the machine. A person without it sees the tests ignored. Continuous integration, which says so in the environment
/// variable CI, sees them fail: a green run has tested something.
/// </summary>
internal static class Requirement
{
    /// <summary>Ends the test when a program is not in PATH.</summary>
    public static void Need(string program)
    {
        if (!IsInPath(program)) Lack($"no {program} in PATH; as root, `make test` installs the package that has it");
    }

    /// <summary>Ends the test for want of something.</summary>
    /// <param name="what">What is not there, and how to get it.</param>
    public static void Lack(string what) => Lack(what, Environment.GetEnvironmentVariable("CI"));

    /// <inheritdoc cref="Lack(string)"/>
    /// <param name="integration">The value of CI; null or empty for a person's own run.</param>
    public static void Lack(string what, string? integration)
    {
        if (string.IsNullOrEmpty(integration)) Assert.Ignore(what);
        Assert.Fail(what);
    }

    /// <summary>Whether a program is in PATH.</summary>
    public static bool IsInPath(string program)
        => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, program)));
}
