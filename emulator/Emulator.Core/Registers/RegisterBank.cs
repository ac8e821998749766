using System.Runtime.CompilerServices;

namespace Emulator.Registers;

/// <summary>
/// A block of registers behind one BAR or part of one. Describes itself without a device: construct one to
/// list, document or decode it; bind handlers to bring it to life. Not thread-safe: the device thread owns it.
/// </summary>
public abstract class RegisterBank
{
    private readonly List<Register> _registers = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly Register?[] _byOffset;
    private bool _sealed;

    /// <param name="name">The datasheet's name of the block, such as "SPP".</param>
    /// <param name="length">Bytes the block decodes.</param>
    /// <param name="summary">One line for the generated datasheet.</param>
    protected RegisterBank(string name, int length, string summary = "")
        => (Name, _byOffset, Summary) = (name, new Register?[length], summary);

    public string Name { get; }
    public string Summary { get; }

    /// <summary>Bytes the block decodes.</summary>
    public int Length => _byOffset.Length;

    /// <summary>In the order they were defined; <see cref="Register.Id"/> is the position.</summary>
    public IReadOnlyList<Register> Registers => _registers;

    /// <summary>
    /// Access widths the hardware answers. A wider or unaligned access is split, as a bus splits it; one too narrow
    /// for the set reads <see cref="Unmapped"/> and writes nothing. The default is any.
    /// </summary>
    public AccessSizes AccessSizes { get; protected init; } = AccessSizes.Any;

    /// <summary>What each byte of a read returns where no register is.</summary>
    public virtual byte Unmapped => 0;

    /// <summary>Told the offset of a guest access the bank refused for its width.</summary>
    public Action<int>? Refused { get; set; }

    /// <summary>The register that covers a byte, or null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Register? At(int offset) => (uint)offset < (uint)_byOffset.Length ? _byOffset[offset] : null;

    /// <summary>A guest read of 1, 2, 4 or 8 bytes. Handlers run; read-to-clear bits clear.</summary>
    public ulong Read(int offset, int size)
    {
        if (!Answers(offset, size)) return ReadOddSize(offset, size);
        Register? register = At(offset);
        if (register is not null && register.Offset == offset && register.Size == size) return register.GuestRead();
        return ReadAcross(offset, size, peek: false);
    }

    /// <summary>
    /// What a guest read of 1, 2, 4 or 8 bytes would see, without its side effects: where only an impure handler knows, the
    /// stored value. Any width and alignment is answered, whatever <see cref="AccessSizes"/> says.
    /// </summary>
    public ulong Peek(int offset, int size) => ReadAcross(offset, size, peek: true);

    /// <summary>A guest write of 1, 2, 4 or 8 bytes. A wider register sees only the lanes written.</summary>
    public void Write(int offset, int size, ulong value)
    {
        if (!Answers(offset, size)) { WriteOddSize(offset, size, value); return; }
        Register? register = At(offset);
        if (register is not null && register.Offset == offset && register.Size == size)
            register.GuestWrite(value);
        else
            WriteAcross(offset, size, value);
    }

    /// <summary>Every register back to its reset value; no handler runs.</summary>
    /// <param name="keepSticky">Whether sticky fields survive, as they do every reset but power-on.</param>
    public virtual void Reset(bool keepSticky = false)
    {
        foreach (Register register in _registers) register.Reset(keepSticky);
    }

    /// <summary>Ends construction: nothing can be added any more. Mapping a bank seals it.</summary>
    public void Seal() => _sealed = true;

    protected Register Add(string name, int offset, int size, string summary = "") => Add(name, offset, size, 0, summary);

    /// <summary><paramref name="count"/> registers of <paramref name="size"/> bytes, <paramref name="stride"/> bytes apart.</summary>
    protected Register[] AddArray(string name, int offset, int size, int count, int stride, Action<Register> define, string summary = "")
    {
        var array = new Register[count];
        for (int i = 0; i < count; i++)
        {
            array[i] = Add($"{name}[{i}]", offset + (i * stride), size, i, summary);
            define(array[i]);
        }
        return array;
    }

    internal void CheckOpen(string name)
    {
        if (_sealed) throw new InvalidOperationException($"{Name}.{name}: the bank is mapped; define registers in its constructor.");
    }

    private Register Add(string name, int offset, int size, int index, string summary)
    {
        CheckOpen(name);
        if (size is not (1 or 2 or 4 or 8)) throw new ArgumentException($"{Name}.{name}: a register has 1, 2, 4 or 8 bytes, not {size}.");
        if (offset < 0 || offset > Length - size)
            throw new ArgumentException($"{Name}.{name}: {size} bytes at 0x{offset:x} do not fit the bank's 0x{Length:x}.");
        // A quadword may start at any dword: devices are designed for 32-bit buses, which access it in halves.
        if (offset % Math.Min(size, 4) != 0) throw new ArgumentException($"{Name}.{name}: {size} bytes at 0x{offset:x} are not aligned.");
        if (!_names.Add(name)) throw new ArgumentException($"{Name}.{name}: the bank has a register of that name already.");
        var register = new Register(this, name, offset, size, index, _registers.Count, summary);
        for (int i = 0; i < size; i++)
        {
            if (_byOffset[offset + i] is { } other)
                throw new ArgumentException($"{Name}.{name} overlaps {other.Name} at 0x{offset + i:x}.");
            _byOffset[offset + i] = register;
        }
        _registers.Add(register);
        return register;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Answers(int offset, int size)
        => AccessSizes == AccessSizes.Any || (((int)AccessSizes & size) != 0 && (offset & (size - 1)) == 0);

    private ulong ReadOddSize(int offset, int size)
    {
        int narrower = NarrowerThan(offset, size);
        if (narrower == 0)
        {
            Refused?.Invoke(offset);
            return (ulong.MaxValue / 0xff * Unmapped) & (ulong.MaxValue >> (64 - (size * 8)));
        }
        ulong value = Read(offset, narrower);
        for (int i = narrower; i < size; i += narrower) value |= Read(offset + i, narrower) << (i * 8);
        return value;
    }

    private void WriteOddSize(int offset, int size, ulong value)
    {
        int narrower = NarrowerThan(offset, size);
        if (narrower == 0) { Refused?.Invoke(offset); return; }
        for (int i = 0; i < size; i += narrower) Write(offset + i, narrower, value >> (i * 8) & (ulong.MaxValue >> (64 - (narrower * 8))));
    }

    // The widest answered width below size: what a bus bridge would split the access into. 0 when there is none.
    private int NarrowerThan(int offset, int size)
    {
        for (int narrower = size >> 1; narrower > 0; narrower >>= 1)
        {
            if (Answers(offset, narrower)) return narrower;
        }
        return 0;
    }

    private ulong ReadAcross(int offset, int size, bool peek)
    {
        ulong value = 0;
        for (int i = 0; i < size;)
        {
            if (At(offset + i) is { } register)
            {
                int first = offset + i - register.Offset, count = Math.Min(register.Size - first, size - i);
                ulong lanes = Lanes(first, count);
                value |= ((peek ? register.GuestPeek(lanes) : register.GuestRead(lanes)) >> (first * 8)) << (i * 8);
                i += count;
            }
            else
            {
                value |= (ulong)Unmapped << (i++ * 8);
            }
        }
        return value;
    }

    private void WriteAcross(int offset, int size, ulong value)
    {
        for (int i = 0; i < size;)
        {
            if (At(offset + i) is { } register)
            {
                int first = offset + i - register.Offset, count = Math.Min(register.Size - first, size - i);
                ulong lanes = Lanes(first, count);
                register.GuestWrite((value >> (i * 8)) << (first * 8) & lanes, lanes);
                i += count;
            }
            else
            {
                i++;
            }
        }
    }

    private static ulong Lanes(int firstByte, int count) => (ulong.MaxValue >> (64 - (count * 8))) << (firstByte * 8);
}
