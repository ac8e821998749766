namespace DeviceModels.ParallelPort.Ieee1284;

/// <summary>The transfer modes a peripheral agrees to besides compatibility mode.</summary>
[Flags]
public enum Ieee1284Modes : byte
{
    /// <summary>None: a printer from before the standard, deaf to negotiation.</summary>
    None = 0,
    Nibble = 1,
    Byte = 2,
    Ecp = 4,
    EcpRle = 8,
    Epp = 16,
    All = Nibble | Byte | Ecp | EcpRle | Epp,
}

/// <summary>How a peripheral takes part in IEEE 1284.</summary>
public record Ieee1284Options
{
    /// <summary>The device ID without its two length bytes (IEEE 1284-2000, 7.6), or empty for none.</summary>
    public string DeviceId { get; init; } = "";

    /// <summary>What it agrees to.</summary>
    public Ieee1284Modes Modes { get; init; } = Ieee1284Modes.All;

    /// <summary>Nanoseconds from taking a byte to nAck going low, and to PeriphAck going high in ECP mode.</summary>
    public long AckDelay { get; init; } = 2_500;

    /// <summary>Nanoseconds nAck stays low.</summary>
    public long AckWidth { get; init; } = 5_000;

    /// <summary>
    /// Nanoseconds the peripheral waits for the host's half of a handshake before it falls back to compatibility mode.
    /// The standard grants a host T_H = 1 s; a host whose processor is emulated may need longer.
    /// </summary>
    public long HostTimeout { get; init; } = 5_000_000_000;
}
