using DeviceModels.Robot.World;
using Emulator.Time;

namespace Emulator.Cli.Lab;

/// <summary>
/// Keeps a file's picture of a robot's arena up to date. The device thread takes a copy of the world, another thread draws and
/// writes it, and a reader sees a whole picture always: the file is replaced, never changed.
/// </summary>
/// <remarks>
/// A client that goes takes the robot's power along. The picture stays as it was until the robot does something again, so
/// that it can be looked at when the guest has ended.
/// </remarks>
internal sealed class RobotPicture : IDisposable
{
    private const long Interval = 500_000_000;

    private readonly string _path;
    private readonly SimulatedBody _world;
    private readonly Action<string> _report;
    private readonly IDeviceTimer _next;
    private Task _writing = Task.CompletedTask;
    private SimulatedBody? _unwritten;
    private string _written;
    private bool _failed;

    /// <summary>Makes the file, and its folder if need be.</summary>
    /// <param name="report">Is told once when the file cannot be written later.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be written.</exception>
    public RobotPicture(string path, SimulatedBody world, IDeviceClock clock, Action<string> report)
    {
        (_path, _world, _report, _written) = (path, world, report, PathSvg.Render(world));
        Write(path, _written);
        _world.PoweringOn = Take;
        _next = clock.CreateTimer(Look);
        _next.Arm(Interval);
    }

    /// <summary>Writes a file whole, and its folder if need be: a reader never sees half of it.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be written.</exception>
    public static void Write(string path, string svg)
    {
        if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
        string next = path + ".next";
        try
        {
            File.WriteAllText(next, svg);
            File.Move(next, path, overwrite: true);
        }
        catch
        {
            File.Delete(next);
            throw;
        }
    }

    /// <summary>Writes the last picture. The device thread has ended.</summary>
    public void Dispose()
    {
        Take();
        _writing.Wait();
        if (_unwritten is { } last) Write(last);
    }

    private void Look()
    {
        Take();
        if (_unwritten is { } world && _writing.IsCompleted)
        {
            _unwritten = null;
            _writing = Task.Run(() => Write(world));
        }
        _next.Arm(Interval);
    }

    private void Take()
    {
        if (!_world.IsUntouched) _unwritten = _world.Copy();
    }

    private void Write(SimulatedBody world)
    {
        string svg = PathSvg.Render(world);
        if (svg == _written) return;
        try
        {
            Write(_path, svg);
            _written = svg;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            if (!_failed) _report($"cannot write the picture: {problem.Message}");
            _failed = true;
        }
    }
}
