namespace Emulator.Interrupts;

/// <summary>The three ways a PCI function interrupts.</summary>
public enum InterruptKind : byte { Intx, Msi, MsiX }

/// <summary>
/// The slot's side of interrupts. It owns what lies beyond the function: automask and resample of the line, and where
/// messages go.
/// </summary>
public interface IInterruptPins
{
    /// <summary>Whether MSI-X messages follow the table in the function's BAR, with its mask bits; where a client
    /// routes vectors by other means, the table's contents do not count.</summary>
    bool FollowsMsiXTable { get; }

    /// <summary>Whether the client took messages of this kind into use without the enable bit in configuration space.</summary>
    bool IsArmed(InterruptKind kind);

    /// <summary>The level of INTx, after INTx Disable. Called on changes only.</summary>
    void SetIntx(bool asserted);

    /// <summary>Sends a message. False when the vector has no route now: it stays pending until one is attached.</summary>
    bool TrySend(InterruptKind kind, int vector);
}
