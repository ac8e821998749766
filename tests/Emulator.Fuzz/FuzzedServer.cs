using System.Collections.Concurrent;
using System.Diagnostics;
using Emulator.Models;
using Emulator.Pci;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server;
using Emulator.VfioUser.Transport;

namespace Emulator.Fuzz;

/// <summary>A model served on a socket, clients that play sessions, and what must hold after each.</summary>
internal sealed class FuzzedServer : IDisposable
{
    // Far more than anything takes, even on a machine that has much else to do.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private const int MemorySize = 0x10000;

    private readonly string _folder = Directory.CreateTempSubdirectory("fuzz-").FullName;
    private readonly DeviceServer _server;
    private readonly ConcurrentQueue<string> _bugs = new();
    private readonly SharedMemory _memory = SharedMemory.Create("fuzz", MemorySize);
    private readonly EventFd _eventFd = EventFd.Create();
    private readonly FileStream _file;
    private readonly UnixStream _socketEnd;
    private readonly FileDescriptor _socket;
    private readonly byte[] _buffer = new byte[1 << 16];

    public FuzzedServer(DeviceModel model)
    {
        var options = new DeviceServerOptions { Name = model.Name, SocketPath = Path.Combine(_folder, "s"), Report = Note };
        _server = new DeviceServer(options, model.Create);
        _server.Start();
        _file = new FileStream(Path.Combine(_folder, "f"), FileMode.Create, FileAccess.ReadWrite);
        _file.SetLength(MemorySize);
        (_socketEnd, _socket) = UnixStream.CreatePair();
    }

    public PciFunction Function => _server.Function;

    /// <summary>Plays a session, and looks whether everything is as it should be.</summary>
    /// <returns>Null, or what is not.</returns>
    public string? Play(IReadOnlyList<FuzzStep> steps) => PlaySteps(steps) ?? FirstBug() ?? ServesAnother() ?? FirstBug();

    /// <summary>Descriptors of this process that are open when no client is connected, without the assemblies that the runtime keeps open.</summary>
    public int CountDescriptors()
    {
        SpinWait.SpinUntil(() => !_server.HasClient, Patience);
        return Directory.GetFileSystemEntries("/proc/self/fd")
            .Count(path => new FileInfo(path).LinkTarget is not { } target || !target.EndsWith(".dll", StringComparison.Ordinal));
    }

    /// <summary>Mappings of a client's memory that are left when no client is connected.</summary>
    public int CountMappings()
    {
        SpinWait.SpinUntil(() => !_server.HasClient, Patience);
        return File.ReadLines("/proc/self/maps").Count(line => line.Contains("memfd:fuzz", StringComparison.Ordinal));
    }

    public void Dispose()
    {
        _server.Dispose();
        _memory.Dispose();
        _eventFd.Dispose();
        _file.Dispose();
        _socketEnd.Dispose();
        _socket.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private void Note(string line)
    {
        if (line.Contains("bug in the model", StringComparison.Ordinal) || line.Contains("did not stop", StringComparison.Ordinal)) _bugs.Enqueue(line);
    }

    private string? FirstBug() => _bugs.TryDequeue(out string? bug) ? bug : null;

    private string? ServesAnother()
    {
        try
        {
            using VfioUserClient client = VfioUserClient.Connect(_server.SocketPath, Patience);
            uint identity = client.Read32(RegionIndex.Config, 0), expected = Function.Identity.Vendor | ((uint)Function.Identity.Device << 16);
            return identity == expected ? null : $"the next client reads the identity 0x{identity:x}, not 0x{expected:x}";
        }
        catch (Exception e) when (e is VfioUserException or TransportException)
        {
            return $"the next client is not served: {e.Message}";
        }
    }

    private string? PlaySteps(IReadOnlyList<FuzzStep> steps)
    {
        using var client = new FuzzClient(UnixStream.Connect(_server.SocketPath, Patience));
        foreach (FuzzStep step in steps)
        {
            byte[] bytes = step.Bytes;
            UnixStream stream = client.Main;
            if (step.Kind != FuzzStepKind.Send)
            {
                if (client.Take() is { } wrong) return wrong;
                if (!client.Commands.TryDequeue(out (UnixStream Stream, MessageHeader Header, DmaAccess Access) command)) continue;
                bytes = step.Kind == FuzzStepKind.AnswerCommand ? Answer(command.Header, command.Access) : Reply(command.Header, step.Bytes);
                stream = command.Stream;
            }
            int[] fds = [.. step.Descriptors.Select(Number)];
            for (int sent = 0; sent < bytes.Length;)
            {
                int now = stream.TrySend(bytes.AsSpan(sent), default, sent == 0 ? fds : []);
                if (now == UnixStream.WouldBlock && !WaitForRoom(stream)) return "the server takes no bytes";
                // What it sends is taken, so that it never waits for us.
                if (client.Take() is { } wrong) return wrong;
                if (now == UnixStream.Closed || client.HasEnded) return null;
                sent += Math.Max(0, now);
            }
        }
        return null;
    }

    private static bool WaitForRoom(UnixStream stream)
    {
        using var poller = new Poller(1);
        poller.Add(stream.Handle, PollEvents.Readable | PollEvents.Writable);
        return poller.Wait((long)Patience.TotalNanoseconds) > 0;
    }

    private byte[] Answer(MessageHeader command, DmaAccess access)
    {
        int data = command.Command == Command.DmaRead ? (int)Math.Min(access.Count, (ulong)_buffer.Length) : 0;
        byte[] payload = new byte[DmaAccess.Size + data];
        access.Write(payload);
        _buffer.AsSpan(0, data).CopyTo(payload.AsSpan(DmaAccess.Size));
        return Reply(command, payload);
    }

    private static byte[] Reply(MessageHeader command, byte[] payload)
    {
        byte[] message = new byte[MessageHeader.HeaderSize + payload.Length];
        command.ToReply(payload.Length).Write(message);
        payload.CopyTo(message, MessageHeader.HeaderSize);
        return message;
    }

    private int Number(FuzzDescriptor kind) => kind switch
    {
        FuzzDescriptor.Memory => _memory.Handle.Number,
        FuzzDescriptor.EventFd => _eventFd.Handle.Number,
        FuzzDescriptor.File => (int)_file.SafeFileHandle.DangerousGetHandle(),
        _ => _socket.Number,
    };
}
