using System.Buffers.Binary;
using Emulator.Cli.Lab;
using Emulator.Pci;

namespace Emulator.Cli.Probing;

/// <summary>A read or write as typed: BAR:OFFSET[:SIZE], or BAR:OFFSET:SIZE=VALUE.</summary>
/// <param name="Region">See <see cref="PciRegion"/>.</param>
/// <param name="Size">Bytes; null for the BAR's usual access: 1 for I/O, 4 for memory.</param>
/// <param name="Value">What to write, or null to read.</param>
internal sealed record AccessRequest(int Region, ulong Offset, int? Size, ulong? Value)
{
    /// <summary>Bytes one read shows at most.</summary>
    public const int LongestRead = 64 * 1024;

    public string RegionName => Region == PciRegion.Configuration ? "CONFIG" : $"BAR{Region}";

    /// <exception cref="UserError">It is not of that form.</exception>
    public static AccessRequest ParseRead(string text)
    {
        string[] parts = text.Split(':');
        if (parts.Length is < 2 or > 3) throw new UserError($"--read {text}: expected BAR:OFFSET or BAR:OFFSET:SIZE, such as 0:0x10:4");
        int? size = parts.Length < 3 ? null : (int)Number(text, "--read", "size", parts[2], LongestRead);
        if (size == 0) throw new UserError($"--read {text}: a size is at least 1 byte");
        return new AccessRequest(ParseRegion("--read", text, parts[0]), Number(text, "--read", "offset", parts[1], long.MaxValue), size, null);
    }

    /// <exception cref="UserError">It is not of that form.</exception>
    public static AccessRequest ParseWrite(string text)
    {
        string[] sides = text.Split('=', 2), parts = sides[0].Split(':');
        if (sides.Length != 2 || parts.Length != 3) throw new UserError($"--write {text}: expected BAR:OFFSET:SIZE=VALUE, such as 0:0x10:4=0xff");
        int size = (int)Number(text, "--write", "size", parts[2], 8);
        if (size is not (1 or 2 or 4 or 8)) throw new UserError($"--write {text}: a size is 1, 2, 4 or 8 bytes");
        ulong value = Number(text, "--write", "value", sides[1], ulong.MaxValue >> (64 - (size * 8)));
        return new AccessRequest(ParseRegion("--write", text, parts[0]), Number(text, "--write", "offset", parts[1], long.MaxValue), size, value);
    }

    /// <summary>What to send.</summary>
    public byte[] ValueBytes()
    {
        var bytes = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Value ?? 0);
        return bytes[..Size!.Value];
    }

    private static int ParseRegion(string option, string text, string region)
    {
        string name = region.ToLowerInvariant();
        if (name is "config" or "cfg") return PciRegion.Configuration;
        if (name.StartsWith("bar", StringComparison.Ordinal)) name = name[3..];
        return name is [>= '0' and <= '5']
            ? name[0] - '0'
            : throw new UserError($"{option} {text}: \"{region}\" is no region; use a BAR, 0 to 5, or config");
    }

    private static ulong Number(string text, string option, string what, string typed, ulong maximum)
    {
        if (!Quantity.TryParse(typed, out Quantity number)) throw new UserError($"{option} {text}: \"{typed}\" is no {what}; write 16, 0x10 or 4K");
        if (number.Value > maximum) throw new UserError($"{option} {text}: the {what} is at most 0x{maximum:x}");
        return number.Value;
    }
}
