namespace Emulator.Registers;

/// <summary>A register: a name, a place in its bank, a value, and the rules guest accesses obey.</summary>
public sealed class Register
{
    private readonly List<Field> _fields = [];
    private ulong _defined;
    private ulong _writable, _writeOneToClear, _writeOneToSet, _readToClear, _writeOnly, _sticky;
    private WriteHandler? _onWrite;
    private ReadHandler? _onRead;
    private readonly ulong _bits;
    private ulong _value;
    private bool _readIsPure;

    internal Register(RegisterBank bank, string name, int offset, int size, int index, int id, string summary)
        => (Bank, Name, Offset, Size, Index, Id, Summary, _bits) = (bank, name, offset, size, index, id, summary, ulong.MaxValue >> (64 - (size * 8)));

    public RegisterBank Bank { get; }

    /// <summary>The datasheet's name; array elements are "NAME[n]".</summary>
    public string Name { get; }

    /// <summary>One line for the generated datasheet; may be empty.</summary>
    public string Summary { get; }

    /// <summary>Bytes from the start of the bank.</summary>
    public int Offset { get; }

    /// <summary>1, 2, 4 or 8 bytes.</summary>
    public int Size { get; }

    /// <summary>The array element, or 0.</summary>
    public int Index { get; }

    /// <summary>The position in <see cref="RegisterBank.Registers"/>.</summary>
    public int Id { get; }
    public ulong ResetValue { get; private set; }
    public IReadOnlyList<Field> Fields => _fields;

    /// <summary>The device's own view: no access rules, no handlers, no trace. Bits beyond the register's width are dropped.</summary>
    public ulong Value
    {
        get => _value;
        set => _value = value & _bits;
    }

    /// <summary>Whether a guest read runs code that may change state.</summary>
    public bool HasReadSideEffects => (_onRead is not null && !_readIsPure) || _readToClear != 0;

    /// <summary>Whether a guest read is computed rather than stored.</summary>
    public bool IsReadComputed => _onRead is not null;

    /// <summary>Whether guest writes run code.</summary>
    public bool IsWriteHandled => _onWrite is not null;

    public Register Bits(int high, int low, string name, Access access, ulong reset = 0, string summary = "")
        => Bits(high, low, name, access, out _, reset, summary);

    public Register Bits(int high, int low, string name, Access access, out Field field, ulong reset = 0, string summary = "")
    {
        CheckRange(high, low, name);
        return Define(field = new Field(this, name, high, low, access, reset, summary));
    }

    /// <summary>A field whose values are named by the enum <typeparamref name="T"/>.</summary>
    public Register Bits<T>(int high, int low, string name, Access access, out Field<T> field, T reset = default, string summary = "")
        where T : unmanaged, Enum
    {
        CheckRange(high, low, name);
        return Define(field = new Field<T>(this, name, high, low, access, reset, summary));
    }

    public Register Bit(int bit, string name, Access access, ulong reset = 0, string summary = "")
        => Bits(bit, bit, name, access, out _, reset, summary);

    public Register Bit(int bit, string name, Access access, out Field field, ulong reset = 0, string summary = "")
        => Bits(bit, bit, name, access, out field, reset, summary);

    /// <summary>Makes the fields defined so far keep their value over every reset but power-on.</summary>
    public Register Sticky()
    {
        Bank.CheckOpen(Name);
        foreach (Field field in _fields) field.IsSticky = true;
        _sticky = _defined;
        return this;
    }

    /// <summary>Binds the side effect of guest writes. One handler: a second bind is a bug in the model.</summary>
    public Register OnWrite(WriteHandler handler)
    {
        _onWrite = _onWrite is null ? handler : throw new InvalidOperationException($"{Bank.Name}.{Name} already has a write handler.");
        return this;
    }

    /// <summary>Binds what guest reads see. The stored value does not change.</summary>
    /// <param name="handler">Computes the value of the whole register.</param>
    /// <param name="pure">Whether it changes nothing, so that <see cref="RegisterBank.Peek"/> may run it too.</param>
    public Register OnRead(ReadHandler handler, bool pure = false)
    {
        _onRead = _onRead is null ? handler : throw new InvalidOperationException($"{Bank.Name}.{Name} already has a read handler.");
        _readIsPure = pure;
        return this;
    }

    internal ulong GuestRead() => GuestRead(_bits);

    internal ulong GuestRead(ulong lanes)
    {
        ulong stored = _value;
        ulong seen = (_onRead is { } read ? read(Index, stored) : stored) & ~_writeOnly & lanes;
        // Only what was there before the handler: what the device raises while the read runs has not been seen yet.
        _value &= ~(stored & _readToClear & lanes);
        return seen;
    }

    internal ulong GuestPeek(ulong lanes)
        => (_readIsPure ? _onRead!(Index, _value) : _value) & ~_writeOnly & lanes;

    internal void GuestWrite(ulong written) => GuestWrite(written, _bits);

    internal void GuestWrite(ulong written, ulong lanes)
    {
        ulong before = _value, writable = _writable & lanes;
        ulong after = (before & ~writable) | (written & writable);
        after &= ~(written & _writeOneToClear & lanes);
        after |= written & _writeOneToSet & lanes;
        _value = after;
        _onWrite?.Invoke(Index, new RegisterWrite(before, after, written & lanes, lanes));
    }

    internal void Reset(bool keepSticky)
    {
        ulong kept = keepSticky ? _sticky : 0;
        Value = (Value & kept) | (ResetValue & ~kept);
    }

    /// <summary>Fixes a reset value that is known only after the field: a capability's link to the next one.</summary>
    internal void PatchReset(Field field, ulong reset)
    {
        Bank.CheckOpen(Name);
        field.ResetValue = reset;
        ResetValue = (ResetValue & ~field.Mask) | ((reset << field.Low) & field.Mask);
        Value = ResetValue;
    }

    private void CheckRange(int high, int low, string name)
    {
        if (low < 0 || high < low || high >= Size * 8)
            throw new ArgumentException($"{Bank.Name}.{Name}.{name}: bits {high}:{low} do not fit a {Size * 8}-bit register.");
    }

    private Register Define(Field field)
    {
        Bank.CheckOpen(Name);
        if ((_defined & field.Mask) != 0)
            throw new ArgumentException($"{Bank.Name}.{Name}.{field.Name}: bits {field.High}:{field.Low} overlap another field.");
        if (field.ResetValue > field.Mask >> field.Low)
            throw new ArgumentException($"{Bank.Name}.{Name}.{field.Name}: reset value 0x{field.ResetValue:x} does not fit {field.Width} bits.");
        _fields.Add(field);
        _defined |= field.Mask;
        switch (field.Access)
        {
            case Access.ReadWrite: _writable |= field.Mask; break;
            case Access.WriteOnly: _writable |= field.Mask; _writeOnly |= field.Mask; break;
            case Access.WriteOneToClear: _writeOneToClear |= field.Mask; break;
            case Access.WriteOneToSet: _writeOneToSet |= field.Mask; break;
            case Access.ReadToClear: _readToClear |= field.Mask; break;
        }
        ResetValue |= field.ResetValue << field.Low;
        Value = ResetValue;
        return this;
    }
}
