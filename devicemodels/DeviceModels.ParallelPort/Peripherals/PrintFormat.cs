namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>What the first bytes of a print job look like.</summary>
public static class PrintFormat
{
    /// <summary>Bytes that are enough to tell.</summary>
    public const int HeadLength = 512;

    private const byte Escape = 0x1b, EndOfTransmission = 0x04, Tilde = 0x7e, Delete = 0x7f;

    /// <summary>Universal Exit Language, which frames PJL jobs (HP, PJL Technical Reference, 2-8).</summary>
    public static ReadOnlySpan<byte> UniversalExit => "\u001b%-12345X"u8;

    /// <summary>".ps", ".pcl", ".pdf", ".txt", or ".prn" for anything else.</summary>
    public static string ExtensionOf(ReadOnlySpan<byte> head)
    {
        // A PostScript driver ends what went before with a Ctrl-D.
        ReadOnlySpan<byte> rest = head.TrimStart(EndOfTransmission);
        if (rest.StartsWith("%!PS"u8)) return ".ps";
        if (rest.StartsWith("%PDF"u8)) return ".pdf";
        if (rest.StartsWith(UniversalExit) || rest.StartsWith([Escape, (byte)'E']) || rest.StartsWith("@PJL"u8)) return ".pcl";
        return IsText(head) ? ".txt" : ".prn";
    }

    // UTF-8 and the Latin alphabets both count as text: control characters are what tells binary data.
    private static bool IsText(ReadOnlySpan<byte> head)
    {
        foreach (byte value in head)
        {
            bool isControl = value is < (byte)' ' or Delete;
            if (isControl && value is not ((byte)'\t' or (byte)'\n' or (byte)'\r' or (byte)'\f' or 0x1a)) return false;
        }
        return head.Length > 0 && head.IndexOfAnyInRange((byte)' ', Tilde) >= 0;
    }
}
