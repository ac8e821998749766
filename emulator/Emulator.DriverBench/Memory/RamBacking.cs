namespace Emulator.DriverBench.Memory;

/// <summary>
/// Bytes behind RAM. Mapping one backing at several addresses makes aliases, as an MDL does; a device model's DMA may use
/// <see cref="Bytes"/> directly.
/// </summary>
public sealed class RamBacking
{
    private const int LineShift = 6;
    private ulong[]? _codeLines;

    /// <param name="length">In bytes, a multiple of the page size.</param>
    public RamBacking(int length)
    {
        if (length <= 0 || length % AddressSpace.PageSize != 0) throw new ArgumentOutOfRangeException(nameof(length), "RAM comes in whole pages.");
        Bytes = new byte[length];
    }

    /// <summary>
    /// All of it. Who changes code through this array tells the address space (<see cref="AddressSpace.DiscardDecodedCode"/>).
    /// </summary>
    public byte[] Bytes { get; }

    /// <summary>Whether instructions were decoded from the page that holds this offset.</summary>
    internal bool HasCode(int offset) => _codeLines is { } lines && lines[offset / AddressSpace.PageSize] != 0;

    /// <summary>Whether instructions were decoded from any of the 64-byte lines the range touches.</summary>
    internal bool HasCode(int offset, int length)
    {
        if (_codeLines is null) return false;
        for (int line = offset >> LineShift; line <= (offset + length - 1) >> LineShift; line++)
        {
            if ((_codeLines[line >> 6] & (1ul << (line & 63))) != 0) return true;
        }
        return false;
    }

    /// <summary>Marks decoded bytes. True when this is the first code on a page: stores to it must be watched from now on.</summary>
    internal bool MarkCode(int offset, int length)
    {
        _codeLines ??= new ulong[Bytes.Length / AddressSpace.PageSize];
        bool first = false;
        for (int line = offset >> LineShift; line <= (offset + length - 1) >> LineShift; line++)
        {
            ref ulong lines = ref _codeLines[line >> 6];
            first |= lines == 0;
            lines |= 1ul << (line & 63);
        }
        return first;
    }

    internal void ForgetCode() => _codeLines = null;
}
