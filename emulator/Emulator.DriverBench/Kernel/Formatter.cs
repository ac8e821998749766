using System.Globalization;
using System.Text;

namespace Emulator.DriverBench.Kernel;

/// <summary>printf as NT's kernel has it: no floating point.</summary>
internal sealed class Formatter(BenchMachine machine)
{
    private const string Lengths = "hlwLI";

    /// <summary>A format with its arguments.</summary>
    /// <param name="format">Its characters.</param>
    /// <param name="wide">%s and %c are of 16-bit characters unless they say otherwise.</param>
    /// <param name="slot">The argument slots, each pointer-sized, by their number.</param>
    public string Format(string format, bool wide, Func<int, ulong> slot)
    {
        var text = new StringBuilder();
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%') { text.Append(format[i]); continue; }
            int start = i++;
            string flags = Take(format, ref i, "-+ #0");
            int width = Number(format, ref i, slot, ref next), precision = -1;
            if (i < format.Length && format[i] == '.')
            {
                i++;
                precision = Math.Max(0, Number(format, ref i, slot, ref next));
            }
            string length = Take(format, ref i, Lengths);
            if (length.EndsWith('I')) length += Take(format, ref i, "3264");
            if (i >= format.Length) { text.Append(format.AsSpan(start)); break; }
            if (width < 0) (flags, width) = (flags + "-", -width);
            string? value = One(format[i], flags, precision, length, wide, slot, ref next);
            if (value is null) { text.Append(format.AsSpan(start, i - start + 1)); continue; }
            text.Append(Pad(value, flags, width, format[i]));
        }
        return text.ToString();
    }

    private static string Pad(string value, string flags, int width, char conversion)
    {
        if (flags.Contains('-')) return value.PadRight(width);
        if (!flags.Contains('0') || conversion is 's' or 'S' or 'c' or 'C') return value.PadLeft(width);
        int sign = value.Length > 0 && value[0] is '-' or '+' or ' ' ? 1 : 0;
        return value[..sign] + value[sign..].PadLeft(width - sign, '0');
    }

    private string? One(char conversion, string flags, int precision, string length, bool wide, Func<int, ulong> slot, ref int next)
    {
        bool pair = length.EndsWith("64", StringComparison.Ordinal) || length == "ll";
        switch (conversion)
        {
            case '%': return "%";
            case 'd' or 'i':
                long signed = (long)Integer(length, pair, slot, ref next, signExtend: true);
                string plus = signed >= 0 ? flags.Contains('+') ? "+" : flags.Contains(' ') ? " " : "" : "";
                return plus + Digits(signed.ToString(CultureInfo.InvariantCulture), precision);
            case 'u': return Digits(Integer(length, pair, slot, ref next, signExtend: false).ToString(CultureInfo.InvariantCulture), precision);
            case 'o': return Digits(Convert.ToString((long)Integer(length, pair, slot, ref next, signExtend: false), 8), precision);
            case 'x' or 'X':
                ulong number = Integer(length, pair, slot, ref next, signExtend: false);
                string hex = Digits(number.ToString(conversion == 'x' ? "x" : "X", CultureInfo.InvariantCulture), precision);
                return flags.Contains('#') && number != 0 ? $"0{conversion}{hex}" : hex;
            case 'p': return slot(next++).ToString(machine.Is64Bit ? "X16" : "X8", CultureInfo.InvariantCulture);
            case 'c' or 'C': return ((char)(IsWide(conversion, length, wide) ? (ushort)slot(next++) : (byte)slot(next++))).ToString();
            case 'Z':
                ulong counted = slot(next++);
                if (counted == 0) return "(null)";
                return length.Contains('w') || length.Contains('l') ? machine.Guest.UnicodeString(counted) : machine.Guest.AnsiString(counted);
            case 's' or 'S':
                ulong at = slot(next++);
                if (at == 0) return "(null)";
                int limit = precision < 0 ? 0x7FFF : precision;
                if (limit == 0) return "";
                string? found = IsWide(conversion, length, wide) ? machine.Space.ReadString16(at, limit) : machine.Space.ReadString8(at, limit);
                return found ?? throw machine.Crash($"no string at 0x{at:x}");
            default: return null;
        }
    }

    /// <summary>%S and %C are of the other kind than the format; h and l say which one.</summary>
    private static bool IsWide(char conversion, string length, bool wide)
        => length.Contains('l') || length.Contains('w') || (!length.Contains('h') && (conversion is 'S' or 'C' ? !wide : wide));

    private ulong Integer(string length, bool pair, Func<int, ulong> slot, ref int next, bool signExtend)
    {
        if (pair) return machine.Is64Bit ? slot(next++) : slot(next++) | (slot(next++) << 32);
        ulong value = slot(next++);
        if (length == "I" && machine.Is64Bit) return value;
        if (length == "h") return signExtend ? (ulong)(short)value : (ushort)value;
        return signExtend ? (ulong)(int)value : (uint)value;
    }

    private static string Digits(string number, int precision)
    {
        int sign = number.StartsWith('-') ? 1 : 0;
        return number[..sign] + number[sign..].PadLeft(Math.Max(precision, 0), '0');
    }

    private static string Take(string format, ref int i, string characters)
    {
        int start = i;
        while (i < format.Length && characters.Contains(format[i])) i++;
        return format[start..i];
    }

    private static int Number(string format, ref int i, Func<int, ulong> slot, ref int next)
    {
        if (i < format.Length && format[i] == '*')
        {
            i++;
            return (int)Math.Clamp((long)(int)slot(next++), -4096, 4096);
        }
        int value = 0;
        for (; i < format.Length && char.IsAsciiDigit(format[i]); i++) value = Math.Min((value * 10) + (format[i] - '0'), 4096);
        return value;
    }
}
