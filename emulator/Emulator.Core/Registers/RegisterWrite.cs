namespace Emulator.Registers;

/// <summary>One guest write, as a handler sees it.</summary>
/// <param name="Before">The value before the write.</param>
/// <param name="After">The value now stored, access kinds applied.</param>
/// <param name="Written">The raw bits the guest drove; zero outside <paramref name="Lanes"/>.</param>
/// <param name="Lanes">Which bits the access covered: all of the register's, or some of its bytes.</param>
public readonly record struct RegisterWrite(ulong Before, ulong After, ulong Written, ulong Lanes)
{
    /// <summary>Whether the field went from zero to non-zero.</summary>
    public bool Rose(Field field) => (Before & field.Mask) == 0 && (After & field.Mask) != 0;

    /// <summary>Whether the field went from non-zero to zero.</summary>
    public bool Fell(Field field) => (Before & field.Mask) != 0 && (After & field.Mask) == 0;

    /// <summary>Whether the stored value of the field is another than before.</summary>
    public bool Changed(Field field) => ((Before ^ After) & field.Mask) != 0;

    /// <summary>Whether the guest wrote a one anywhere in the field, whatever its access kind.</summary>
    public bool WroteOne(Field field) => (Written & field.Mask) != 0;
}

/// <summary>Runs after a guest write has been stored. <paramref name="index"/> is the array element, or 0.</summary>
public delegate void WriteHandler(int index, in RegisterWrite write);

/// <summary>Computes what a guest read sees, for registers whose reads are not just what is stored.</summary>
public delegate ulong ReadHandler(int index, ulong stored);
