using Emulator.Memory;
using Emulator.Turns;

namespace Emulator.Testing;

/// <summary>
/// Guest RAM of a <see cref="FakePciHost"/>: one range from address 0. Queued transfers complete at the next
/// <see cref="FakePciHost.Settle"/>.
/// </summary>
public sealed class FakeGuestMemory : LocalGuestMemory
{
    private readonly byte[] _ram;

    internal FakeGuestMemory(int size, IMailbox mailbox)
        : base(mailbox) => _ram = new byte[size];

    /// <summary>All of it, as the driver sees it.</summary>
    public Span<byte> Ram => _ram;

    /// <summary>Makes every access fail, as if the range were not mapped.</summary>
    public bool IsUnmapped { get; set; }

    public override bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        view = default;
        if (IsUnmapped || length < 0 || address > (ulong)_ram.Length || (ulong)length > (ulong)_ram.Length - address) return false;
        view = _ram.AsSpan((int)address, length);
        return true;
    }
}
