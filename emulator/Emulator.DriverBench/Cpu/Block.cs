namespace Emulator.DriverBench.Cpu;

/// <summary>Decoded instructions up to the next branch.</summary>
internal sealed class Block(ulong start, ulong end, Operation[] operations)
{
    private static readonly Operation Stale = new DecodeAgainOperation();
    private readonly ulong[] _addresses = Array.ConvertAll(operations, operation => operation.Address);

    public ulong Start { get; } = start;

    /// <summary>The address behind the last instruction.</summary>
    public ulong End { get; } = end;
    public Operation[] Operations { get; } = operations;

    /// <summary>The block at <see cref="End"/>, when known.</summary>
    public Block? Next { get; set; }

    /// <summary>The block the branch last went to.</summary>
    public Block? Taken { get; set; }

    /// <summary>It lies in pageable memory: the platform sees each entry, so nothing may lead here past the look-up.</summary>
    public bool IsPageable { get; init; }

    public ulong AddressOf(int index) => _addresses[index];

    /// <summary>Whether the operation only says that the code has changed.</summary>
    public static bool IsStale(Operation operation) => ReferenceEquals(operation, Stale);

    /// <summary>The code has changed: who is in the middle of this block leaves it before the next instruction.</summary>
    public void Discard()
    {
        Array.Fill(Operations, Stale);
        Next = Taken = null;
    }
}
