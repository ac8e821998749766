using System.Reflection;
using System.Text;
using Emulator.DriverBench.Kernel;

namespace Emulator.Cli.Bench;

/// <summary>NTSTATUS values as ntstatus.h calls them.</summary>
internal static class NtStatusText
{
    private static readonly Dictionary<uint, string> Names = typeof(NtStatus).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Where(f => f.IsLiteral && f.FieldType == typeof(uint)).ToDictionary(f => (uint)f.GetRawConstantValue()!, f => NameOf(f.Name));

    // What drivers answer and the bench does not.
    private static readonly Dictionary<uint, string> Others = new()
    {
        [0x8000_0005] = "STATUS_BUFFER_OVERFLOW",
        [0xC000_0001] = "STATUS_UNSUCCESSFUL",
        [0xC000_0002] = "STATUS_NOT_IMPLEMENTED",
        [0xC000_0004] = "STATUS_INFO_LENGTH_MISMATCH",
        [0xC000_0022] = "STATUS_ACCESS_DENIED",
        [0xC000_0023] = "STATUS_BUFFER_TOO_SMALL",
        [0xC000_009D] = "STATUS_DEVICE_NOT_CONNECTED",
        [0xC000_00B5] = "STATUS_IO_TIMEOUT",
        [0xC000_00E5] = "STATUS_INTERNAL_ERROR",
        [0xC000_0182] = "STATUS_DEVICE_CONFIGURATION_ERROR",
        [0xC000_0184] = "STATUS_INVALID_DEVICE_STATE",
        [0xC000_0185] = "STATUS_IO_DEVICE_ERROR",
        [0xC000_0206] = "STATUS_INVALID_BUFFER_SIZE",
        [0xC000_02B6] = "STATUS_DEVICE_REMOVED",
    };

    /// <summary>"STATUS_SUCCESS"; of one that has no name here the number.</summary>
    public static string Of(uint status) => Names.GetValueOrDefault(status) ?? Others.GetValueOrDefault(status) ?? $"0x{status:x8}";

    private static string NameOf(string constant)
    {
        var name = new StringBuilder("STATUS");
        foreach (char c in constant)
        {
            if (char.IsUpper(c)) name.Append('_');
            name.Append(char.ToUpperInvariant(c));
        }
        return name.ToString();
    }
}
