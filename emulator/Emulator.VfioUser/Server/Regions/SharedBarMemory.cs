using Emulator.Memory;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Regions;

/// <summary>RAM of a BAR that a client can map: the same bytes on both sides, until they are replaced.</summary>
internal sealed class SharedBarMemory : BarMemory, IDisposable
{
    private readonly Func<SharedMemory> _createMemory;
    private SharedMemory _memory;
    private MappedMemory _mapping;
    private bool _isGivenAway;

    public SharedBarMemory(Func<SharedMemory> createMemory)
    {
        _createMemory = createMemory;
        (_memory, _mapping) = Create();
    }

    public override Span<byte> Span => _mapping.Span;

    /// <summary>The descriptor, for a client; it keeps what it maps.</summary>
    public FileDescriptor GiveAway()
    {
        _isGivenAway = true;
        return _memory.Handle;
    }

    /// <summary>See <see cref="ServerSlot.ReplaceSharedMemory"/>.</summary>
    public bool Replace()
    {
        if (!_isGivenAway) return false;
        (SharedMemory memory, MappedMemory mapping) = Create();
        Dispose();
        (_memory, _mapping, _isGivenAway) = (memory, mapping, false);
        return true;
    }

    public void Dispose()
    {
        _mapping.Dispose();
        _memory.Dispose();
    }

    private (SharedMemory Memory, MappedMemory Mapping) Create()
    {
        SharedMemory memory = _createMemory();
        try
        {
            return (memory, memory.Map());
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }
}
