using System.Reflection;
using System.Text;
using Emulator.DriverBench.Kernel;

namespace Emulator.Cli.Bench;

/// <summary>NTSTATUS values as ntstatus.h calls them.</summary>
internal static class NtStatusText
{
    private static readonly Dictionary<uint, string> Names = typeof(NtStatus).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Where(f => f.IsLiteral && f.FieldType == typeof(uint)).ToDictionary(f => (uint)f.GetRawConstantValue()!, f => NameOf(f.Name));

    /// <summary>"STATUS_SUCCESS"; of others the number.</summary>
    public static string Of(uint status) => Names.GetValueOrDefault(status) ?? $"0x{status:x8}";

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
