using System.Diagnostics;
using System.Globalization;

namespace Emulator.Tests.Cli;

/// <summary>
/// Programs that answer Ctrl-C and a hangup as they do in front of a person. What a script starts in the background ignores Ctrl-C, what nohup
/// starts a hangup; their children inherit that, the tests among them.
/// </summary>
internal static class ForegroundProcess
{
    /// <summary>How to start one, with its input, output and errors redirected. Its id is the program's own.</summary>
    public static ProcessStartInfo Of(string program, params string[] arguments)
        => new("env", ["--default-signal=INT,HUP", program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

    /// <summary>Sends a signal.</summary>
    /// <param name="signal">"INT".</param>
    public static void Signal(Process process, string signal)
    {
        using Process kill = Process.Start("kill", [$"-{signal}", process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }
}
