using System.Diagnostics;
using System.Text;

namespace Emulator.Guests;

/// <summary>The shell scripts of the repository's qemu-config folder, which find or provision QEMU and the guest image.</summary>
internal static class QemuConfigScripts
{
    /// <summary>The full path of a script, or null outside a checkout. Looks upwards from the program, then from the working directory.</summary>
    public static string? Find(string name)
    {
        foreach (string start in new[] { AppContext.BaseDirectory, Directory.GetCurrentDirectory() })
        {
            for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
            {
                string script = Path.Combine(folder.FullName, "qemu-config", name);
                if (File.Exists(script))
                {
                    return script;
                }
            }
        }

        return null;
    }

    /// <summary>Runs a script and returns the one path it prints. Each line of its standard error goes to <paramref name="progress"/> as it comes.</summary>
    /// <exception cref="GuestException">The script failed; the message is its own last words.</exception>
    public static async Task<string> RunAsync(string script, string[] arguments, Action<string>? progress, CancellationToken cancel)
    {
        var start = new ProcessStartInfo("bash") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(script);
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        var lines = new List<string>();
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancel);
            while (await process.StandardError.ReadLineAsync(cancel) is string line)
            {
                lines.Add(line);
                progress?.Invoke(line);
            }

            string path = (await output).Trim();
            await process.WaitForExitAsync(cancel);
            if (process.ExitCode == 0 && path.Length > 0)
            {
                return path;
            }
        }
        catch (OperationCanceledException)
        {
            // The script removes its unfinished work when it is terminated, so it gets SIGTERM, not SIGKILL.
            using Process? kill = Process.Start("kill", ["-TERM", process.Id.ToString()]);
            kill?.WaitForExit();
            throw;
        }

        var message = new StringBuilder();
        message.AppendJoin('\n', lines.TakeLast(6));
        throw new GuestException(message.Length > 0 ? message.ToString() : $"{script} failed with exit code {process.ExitCode}");
    }
}
