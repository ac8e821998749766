using System.Diagnostics;

namespace Emulator.Benchmarks;

/// <summary>A child process that is certain to end: by its input closing, or killed.</summary>
internal sealed class Child : IDisposable
{
    private readonly Process _process;

    private Child(Process process) => _process = process;

    public int Id => _process.Id;

    public static Child Start(string file, params string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        return new Child(Process.Start(start) ?? throw new BenchException($"{file} does not start"));
    }

    /// <summary>Runs to the end and returns the output.</summary>
    public static string Run(string file, params string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new BenchException($"there is no '{file}' here: install it (Debian: apt-get install gcc libc6-dev)");
        }
        using (process)
        {
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : throw new BenchException($"{file} failed: {errors.Result.Trim()}");
        }
    }

    /// <summary>Waits for a file to appear, such as a socket.</summary>
    public void WaitFor(string path)
    {
        for (var waited = Stopwatch.StartNew(); !File.Exists(path); Thread.Sleep(1))
        {
            if (_process.HasExited) throw new BenchException($"process {_process.ProcessName} ended: {_process.StandardError.ReadToEnd().Trim()}");
            if (waited.Elapsed > TimeSpan.FromSeconds(30)) throw new BenchException($"'{path}' did not appear in 30 s");
        }
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(200))
        {
            // What serves until it is told to stop removes its sockets then.
            Run("kill", "-TERM", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
            if (!_process.WaitForExit(5000)) _process.Kill(entireProcessTree: true);
        }
        _process.WaitForExit();
        _process.Dispose();
    }
}
