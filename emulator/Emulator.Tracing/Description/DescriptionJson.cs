using System.Text.Json;
using System.Text.Json.Serialization;

namespace Emulator.Tracing;

/// <summary>The device description as a trace file holds it: JSON, checked in full before anything trusts it.</summary>
internal static class DescriptionJson
{
    public static byte[] Write(DeviceDescription description)
        => JsonSerializer.SerializeToUtf8Bytes(description, DescriptionJsonContext.Default.DeviceDescription);

    /// <summary>Reads a description and checks every number decoding relies on.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryRead(ReadOnlySpan<byte> json, out DeviceDescription description)
    {
        description = null!;
        try
        {
            description = JsonSerializer.Deserialize(json, DescriptionJsonContext.Default.DeviceDescription)!;
        }
        catch (JsonException e)
        {
            return $"is not valid JSON for a device: {e.Message.TrimEnd('.')}";
        }
        return description is null ? "is null" : Check(description);
    }

    private static string? Check(DeviceDescription device)
    {
        if ((uint)device.Configuration >= (uint)device.Banks.Count) return $"names bank {device.Configuration}, which it does not have";
        foreach (BarDescription? bar in device.Bars)
        {
            if (bar is null || bar.Index is < 0 or > 5) return "has a BAR that is not one of BAR0 to BAR5";
            ulong end = 0;
            foreach (WindowDescription? window in bar.Windows)
            {
                if (window is null || window.Offset < end || window.Length == 0 || window.Offset > bar.Size || window.Length > bar.Size - window.Offset)
                    return $"has a window that does not fit BAR{bar.Index}";
                end = window.Offset + window.Length;
                if (window.Bank is { } bank && (uint)bank >= (uint)device.Banks.Count) return $"names bank {bank}, which it does not have";
            }
        }
        foreach (BankDescription? bank in device.Banks)
        {
            if (bank is null) return "has a bank that is null";
            if (Check(bank) is { } problem) return problem;
        }
        return null;
    }

    private static string? Check(BankDescription bank)
    {
        if (bank.Length < 0) return $"has bank '{bank.Name}' of {bank.Length} bytes";
        foreach (RegisterDescription? register in bank.Registers)
        {
            ulong taken = 0;
            if (register is null || register.Size is not (1 or 2 or 4 or 8) || register.Offset < 0 || register.Offset > bank.Length - register.Size)
                return $"has a register that does not fit bank '{bank.Name}'";
            foreach (FieldDescription? field in register.Fields)
            {
                if (field is null || field.Low < 0 || field.Width < 1 || field.Width > 64 || field.Low > (register.Size * 8) - field.Width)
                    return $"has a field that does not fit register '{register.Name}'";
                ulong mask = (ulong.MaxValue >> (64 - field.Width)) << field.Low;
                if ((taken & mask) != 0) return $"has fields that overlap in register '{register.Name}'";
                taken |= mask;
                if (field.Values is { } values && values.Contains(null!)) return $"has a value of field '{field.Name}' that is null";
            }
        }
        return null;
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    MaxDepth = 16)]
[JsonSerializable(typeof(DeviceDescription))]
internal sealed partial class DescriptionJsonContext : JsonSerializerContext;
