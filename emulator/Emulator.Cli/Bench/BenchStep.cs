using Emulator.Files;

namespace Emulator.Cli.Bench;

/// <summary>What happens to a device in the bench.</summary>
internal enum BenchAction
{
    Start, QueryStop, CancelStop, Stop, QueryRemove, CancelRemove, Remove, Surprise, Plug,
    Open, Close, Requests, Read, Write, Ioctl, Cancel,
    Power, Sleep, Wake, D3, D0, Wait,
    Unload,
}

/// <summary>A step of a device's life, or of all devices'.</summary>
/// <param name="Number">Bytes to read or to get back; nanoseconds to wait.</param>
/// <param name="Code">An IOCTL's code.</param>
/// <param name="Data">What a write or an IOCTL carries.</param>
/// <param name="Device">The name of the device it is for; null for all.</param>
internal sealed record BenchStep(BenchAction Action, long Number = 0, uint Code = 0, byte[]? Data = null, string? Device = null)
{
    /// <summary>A life with all that NT does to a device.</summary>
    public const string WholeLife = "start,open,requests,read=64,cancel,close,power,stop,start,remove,plug,start,open,read=64,surprise,unload";

    private const int LongestData = 1 << 20;

    /// <summary>The words of steps, for help and completion.</summary>
    public static IReadOnlyList<string> Words { get; } = [.. Enum.GetValues<BenchAction>().Select(WordOf)];

    /// <summary>"query-stop".</summary>
    public static string WordOf(BenchAction action)
        => string.Concat(action.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? $"-{char.ToLowerInvariant(c)}" : $"{char.ToLowerInvariant(c)}"));

    /// <summary>Reads "start,ioctl=0x226000:76,wait=20ms,contoso-robot:remove".</summary>
    /// <param name="source">Where it stands, for messages.</param>
    /// <exception cref="UserError">A step is none.</exception>
    public static IReadOnlyList<BenchStep> Parse(string text, string source = "--steps")
        => [.. text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(step => ParseOne(step, source))];

    private static BenchStep ParseOne(string text, string source)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        (string word, string? value) = equals < 0 ? (text, null) : (text[..equals], text[(equals + 1)..]);
        int colon = word.IndexOf(':', StringComparison.Ordinal);
        (string? device, word) = colon < 0 ? (null, word) : (word[..colon], word[(colon + 1)..]);
        int index = Words.ToList().IndexOf(word.ToLowerInvariant());
        if (index < 0) throw new UserError($"{source}: no step \"{word}\"; {Spelling.Suggest(word, [.. Words])}");
        var action = (BenchAction)index;
        if (device is not null && action is BenchAction.Wait or BenchAction.Unload)
        {
            throw new UserError($"{source}: \"{text}\" is no step; {word} is for the whole machine");
        }
        BenchStep? step = action switch
        {
            BenchAction.Read => WrittenNumber.TryParse(value, out uint length) && length <= LongestData ? new BenchStep(action, length) : null,
            BenchAction.Write => TryBytes(value, source) is { } data ? new BenchStep(action, Data: data) : null,
            BenchAction.Ioctl => ParseIoctl(value, source),
            BenchAction.Wait => TryTime(value, out long time) ? new BenchStep(action, time) : null,
            _ => value is null ? new BenchStep(action) : null,
        };
        return step is not null ? step with { Device = device } : throw new UserError($"{source}: \"{text}\" is no step; {How(action)}");
    }

    private static string How(BenchAction action) => action switch
    {
        BenchAction.Read => "write read=BYTES, such as read=64",
        BenchAction.Write => "write write=HEX or write=@FILE, at most 1 MiB",
        BenchAction.Ioctl => "write ioctl=CODE[:BYTES BACK[:HEX or @FILE]], such as ioctl=0x226000:76",
        BenchAction.Wait => "write wait=TIME, such as wait=20ms, up to 3600s",
        _ => $"{WordOf(action)} takes no value",
    };

    private static BenchStep? ParseIoctl(string? value, string source)
    {
        string[] parts = value?.Split(':', 3) ?? [];
        if (parts.Length == 0 || !WrittenNumber.TryParse(parts[0], out uint code)) return null;
        uint length = 0;
        if (parts.Length > 1 && (!WrittenNumber.TryParse(parts[1], out length) || length > LongestData)) return null;
        byte[]? data = parts.Length > 2 ? TryBytes(parts[2], source) : [];
        return data is null ? null : new BenchStep(BenchAction.Ioctl, length, code, data);
    }

    private static bool TryTime(string? text, out long nanoseconds)
    {
        nanoseconds = 0;
        if (text is null || Tracing.TraceFilterParser.TryParseTime(text, out nanoseconds) is not null) return false;
        return nanoseconds is >= 0 and <= 3_600_000_000_000;
    }

    private static byte[]? TryBytes(string? text, string source)
    {
        if (text is null or "@") return null;
        try
        {
            byte[] bytes = text.StartsWith('@') ? BoundedFile.ReadAllBytes(text[1..], LongestData) : Convert.FromHexString(text);
            return bytes.Length is > 0 and <= LongestData ? bytes : null;
        }
        catch (FormatException)
        {
            return null;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new UserError($"{source}: {problem.Message.TrimEnd('.')}", cause: problem);
        }
    }
}
