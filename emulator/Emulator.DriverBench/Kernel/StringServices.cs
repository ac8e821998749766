using System.Globalization;
using System.Text;
using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <summary>Rtl's counted strings, the C library's strings and printf, and the 64-bit arithmetic that x86 compilers call.</summary>
internal sealed class StringServices(BenchMachine machine)
{
    // How many argument slots a function with an ellipsis may find on the stack.
    private const int Variadic = 20;
    private readonly Formatter _formatter = new(machine);

    private GuestMemory Guest => machine.Guest;
    private ulong Buffer => (ulong)machine.Layout.StringBuffer;

    public void AddTo(NtServices nt)
    {
        AddCounted(nt);
        AddLibrary(nt);
        AddPrint(nt);
        AddArithmetic(nt);
    }

    private void AddCounted(NtServices nt)
    {
        nt.Add("RtlInitUnicodeString", "pp", Irql.High, a => Initialize(a[0], a[1], 2));
        nt.Add("RtlInitAnsiString", "pp", Irql.High, a => Initialize(a[0], a[1], 1));
        nt.Add("RtlInitString", "pp", Irql.High, a => Initialize(a[0], a[1], 1));
        nt.Add("RtlFreeUnicodeString", "p", Irql.Passive, a => Free(a[0]));
        nt.Add("RtlCreateUnicodeString", "pp", Irql.Passive,
            a => NtStatus.IsSuccess((uint)Store(a[0], Wide(a[1]), 2, allocate: true, terminate: true)) ? 1u : 0, exhausted: 0);
        nt.Add("RtlFreeAnsiString", "p", Irql.Passive, a => Free(a[0]));
        nt.Add("RtlCopyUnicodeString", "pp", Irql.High, a => CopyCounted(a[0], a[1]));
        nt.Add("RtlCopyString", "pp", Irql.High, a => CopyCounted(a[0], a[1]));
        nt.Add("RtlAppendUnicodeStringToString", "pp", Irql.Passive, a => Append(a[0], Guest.UnicodeString(a[1])));
        nt.Add("RtlAppendUnicodeToString", "pp", Irql.Passive, a => Append(a[0], Wide(a[1])));
        nt.Add("RtlCompareUnicodeString", "ppb", Irql.Passive, a => (uint)Compare(Guest.UnicodeString(a[0]), Guest.UnicodeString(a[1]), a[2] != 0));
        nt.Add("RtlEqualUnicodeString", "ppb", Irql.Passive, a => Compare(Guest.UnicodeString(a[0]), Guest.UnicodeString(a[1]), a[2] != 0) == 0 ? 1u : 0);
        nt.Add("RtlCompareString", "ppb", Irql.Passive, a => (uint)Compare(Guest.AnsiString(a[0]), Guest.AnsiString(a[1]), a[2] != 0));
        nt.Add("RtlEqualString", "ppb", Irql.Passive, a => Compare(Guest.AnsiString(a[0]), Guest.AnsiString(a[1]), a[2] != 0) == 0 ? 1u : 0);
        nt.Add("RtlPrefixUnicodeString", "ppb", Irql.Passive, a => Guest.UnicodeString(a[1])
            .StartsWith(Guest.UnicodeString(a[0]), a[2] != 0 ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal) ? 1u : 0);
        nt.Add("RtlUpcaseUnicodeString", "ppb", Irql.Passive, a => Store(a[0], Guest.UnicodeString(a[1]).ToUpperInvariant(), 2, a[2] != 0, terminate: false));
        nt.Add("RtlUpcaseUnicodeChar", "w", Irql.Passive, a => char.ToUpperInvariant((char)a[0]));
        nt.Add("RtlAnsiStringToUnicodeString", "ppb", Irql.Passive, a => Store(a[0], Guest.AnsiString(a[1]), 2, a[2] != 0, terminate: true));
        nt.Add("RtlUnicodeStringToAnsiString", "ppb", Irql.Passive, a => Store(a[0], Guest.UnicodeString(a[1]), 1, a[2] != 0, terminate: true));
        nt.Add("RtlxAnsiStringToUnicodeSize", "p", Irql.Passive, a => ((uint)Guest.U16(a[0]) * 2) + 2);
        nt.Add("RtlxUnicodeStringToAnsiSize", "p", Irql.Passive, a => ((uint)Guest.U16(a[0]) / 2) + 1);
        nt.Add("RtlIntegerToUnicodeString", "uup", Irql.Passive, a => FromInteger((uint)a[0], (uint)a[1], a[2]));
        nt.Add("RtlUnicodeStringToInteger", "pup", Irql.Passive, a => ToInteger(Guest.UnicodeString(a[0]), (uint)a[1], a[2]));
        nt.Add("RtlStringFromGUID", "pp", Irql.Passive,
            a => Store(a[1], new Guid(Guest.Bytes(a[0], 16)).ToString("B").ToUpperInvariant(), 2, allocate: true, terminate: true));
        nt.Add("RtlGUIDFromString", "pp", Irql.Passive, a => GuidFrom(Guest.UnicodeString(a[0]), a[1]));
    }

    private void AddLibrary(NtServices nt)
    {
        foreach ((string prefix, int size) in new[] { ("str", 1), ("wcs", 2) })
        {
            Add($"{prefix}len", "p", a => (uint)Text(a[0], size).Length);
            Add($"{prefix}cmp", "pp", a => (uint)Compare(Text(a[0], size), Text(a[1], size), ignoreCase: false));
            Add($"{prefix}ncmp", "ppp", a => (uint)Compare(Text(a[0], size, a[2]), Text(a[1], size, a[2]), ignoreCase: false));
            Add($"{prefix}cpy", "pp", a => Write(a[0], Text(a[1], size), size, terminate: true));
            Add($"{prefix}ncpy", "ppp", a => WritePadded(a[0], Text(a[1], size, a[2]), size, a[2]));
            Add($"{prefix}cat", "pp", a => { Write(a[0] + (ulong)(Text(a[0], size).Length * size), Text(a[1], size), size, terminate: true); return a[0]; });
            Add($"{prefix}ncat", "ppp", a =>
            {
                Write(a[0] + (ulong)(Text(a[0], size).Length * size), Text(a[1], size, a[2]), size, terminate: true);
                return a[0];
            });
            Add($"{prefix}chr", "pw", a => Position(a[0], (Text(a[0], size) + '\0').IndexOf(Character(a[1], size)), size));
            Add($"{prefix}rchr", "pw", a => Position(a[0], (Text(a[0], size) + '\0').LastIndexOf(Character(a[1], size)), size));
            Add($"{prefix}str", "pp", a => Position(a[0], Text(a[0], size).IndexOf(Text(a[1], size), StringComparison.Ordinal), size));
            Add($"_{prefix}icmp", "pp", a => (uint)Compare(Text(a[0], size), Text(a[1], size), ignoreCase: true));
            Add($"_{prefix}nicmp", "ppp", a => (uint)Compare(Text(a[0], size, a[2]), Text(a[1], size, a[2]), ignoreCase: true));
        }
        Add("toupper", "u", a => a[0] is >= 'a' and <= 'z' ? a[0] - 32 : a[0]);
        Add("tolower", "u", a => a[0] is >= 'A' and <= 'Z' ? a[0] + 32 : a[0]);
        Add("towupper", "w", a => char.ToUpperInvariant((char)a[0]));
        Add("towlower", "w", a => char.ToLowerInvariant((char)a[0]));
        Add("atoi", "p", a => (uint)Leading(Text(a[0], 1)));
        Add("memcmp", "ppp", a => (uint)Guest.Bytes(a[0], Length(a[2])).AsSpan().SequenceCompareTo(Guest.Bytes(a[1], Length(a[2]))));
        nt.Add("RtlCompareMemory", "ppp", Irql.High, a => (ulong)Guest.Bytes(a[0], Length(a[2])).AsSpan().CommonPrefixLength(Guest.Bytes(a[1], Length(a[2]))));

        void Add(string name, string parameters, NtFunction function) => nt.Add(name, parameters, Irql.High, function, CallConvention.Cdecl);
    }

    private void AddPrint(NtServices nt)
    {
        Add("DbgPrint", 1, (a, slot) => Print(a[0], slot));
        Add("DbgPrintEx", 3, (a, slot) => Print(a[2], slot));
        nt.Add("vDbgPrintEx", "uupp", Irql.Device, a => Print(a[2], List(a[3])));
        Add("sprintf", 2, (a, slot) => Put(a[0], _formatter.Format(Narrow(a[1]), wide: false, slot), 1, null));
        Add("swprintf", 2, (a, slot) => Put(a[0], _formatter.Format(Wide(a[1]), wide: true, slot), 2, null));
        Add("_snprintf", 3, (a, slot) => Put(a[0], _formatter.Format(Narrow(a[2]), wide: false, slot), 1, a[1]));
        Add("_snwprintf", 3, (a, slot) => Put(a[0], _formatter.Format(Wide(a[2]), wide: true, slot), 2, a[1]));
        nt.Add("vsprintf", "ppp", Irql.High, a => Put(a[0], _formatter.Format(Narrow(a[1]), wide: false, List(a[2])), 1, null), CallConvention.Cdecl);
        nt.Add("_vsnprintf", "pppp", Irql.High, a => Put(a[0], _formatter.Format(Narrow(a[2]), wide: false, List(a[3])), 1, a[1]), CallConvention.Cdecl);
        nt.Add("_vsnwprintf", "pppp", Irql.High, a => Put(a[0], _formatter.Format(Wide(a[2]), wide: true, List(a[3])), 2, a[1]), CallConvention.Cdecl);

        void Add(string name, int named, Func<ulong[], Func<int, ulong>, ulong> function)
            => nt.Add(name, new string('p', named + Variadic), Irql.High, a => function(a, i => named + i < a.Length ? a[named + i] : 0), CallConvention.Cdecl);

        Func<int, ulong> List(ulong at) => i => Guest.Pointer(at + (ulong)(i * machine.Layout.Pointer));
    }

    private void AddArithmetic(NtServices nt)
    {
        Add("_allmul", a => a[0] * a[1]);
        // The quotient of the smallest number and -1 wraps around; .NET throws.
        Add("_alldiv", a => Divisor(a[1]) == -1 ? 0 - a[0] : (ulong)((long)a[0] / (long)a[1]));
        Add("_allrem", a => Divisor(a[1]) == -1 ? 0 : (ulong)((long)a[0] % (long)a[1]));
        Add("_aulldiv", a => a[0] / (ulong)Divisor(a[1]));
        Add("_aullrem", a => a[0] % (ulong)Divisor(a[1]));
        // The value in EDX:EAX, the count in CL.
        // The quotient in EDX:EAX, the remainder in EBX:ECX.
        Both("_alldvrm", (a, b) => b == ulong.MaxValue ? (0 - a, 0) : ((ulong)((long)a / (long)b), (ulong)((long)a % (long)b)));
        Both("_aulldvrm", (a, b) => (a / b, a % b));
        Shift("_allshl", (value, count) => count < 64 ? value << count : 0);
        Shift("_allshr", (value, count) => (ulong)((long)value >> Math.Min(count, 63)));
        Shift("_aullshr", (value, count) => count < 64 ? value >> count : 0);

        void Add(string name, NtFunction function) => nt.Add(name, "qq", Irql.High, function);

        void Both(string name, Func<ulong, ulong, (ulong Quotient, ulong Remainder)> function) => nt.AddTransfer(name, (ref CallFrame frame) =>
        {
            (ulong quotient, ulong remainder) = function(frame.Arg64(0), (ulong)Divisor(frame.Arg64(2)));
            CpuState state = machine.Cpu.State;
            (state[Gpr.Rcx], state[Gpr.Rbx]) = ((uint)remainder, remainder >> 32);
            frame.Return64(quotient, 16);
        });

        void Shift(string name, Func<ulong, int, ulong> function) => nt.Add(name, "", Irql.High, _ =>
        {
            CpuState state = machine.Cpu.State;
            return function((uint)state[Gpr.Rax] | (state[Gpr.Rdx] << 32), (byte)state[Gpr.Rcx]);
        });
    }

    private static long Divisor(ulong value) => value != 0 ? (long)value : throw new RaisedException(NtStatus.IntegerDivideByZero, "a division by zero");

    private int Length(ulong length) => length <= GuestMemory.Most ? (int)length : throw machine.Crash($"a comparison of 0x{length:x} bytes");

    private string Narrow(ulong at) => Text(at, 1);

    private string Wide(ulong at) => at == 0 ? "" : Text(at, 2);

    private string Text(ulong at, int size, ulong limit = 0x7FFF)
    {
        int most = (int)Math.Min(limit, 0x7FFF);
        if (most == 0) return "";
        return (size == 2 ? machine.Space.ReadString16(at, most) : machine.Space.ReadString8(at, most)) ?? throw machine.Crash($"no string at 0x{at:x}");
    }

    private static char Character(ulong value, int size) => size == 1 ? (char)(byte)value : (char)value;

    private static ulong Position(ulong at, int index, int size) => index < 0 ? 0 : at + (ulong)(index * size);

    private static int Compare(string a, string b, bool ignoreCase)
        => Math.Sign(string.Compare(a, b, ignoreCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal));

    private static int Leading(string text)
    {
        string digits = new([.. text.TrimStart().TakeWhile((c, i) => char.IsAsciiDigit(c) || (i == 0 && c is '-' or '+'))]);
        return int.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) ? value : 0;
    }

    private static byte[] Encode(string text, int size) => (size == 2 ? Encoding.Unicode : Encoding.Latin1).GetBytes(text);

    private ulong Write(ulong at, string text, int size, bool terminate)
    {
        Guest.SetBytes(at, Encode(terminate ? text + '\0' : text, size));
        return at;
    }

    private ulong WritePadded(ulong at, string text, int size, ulong count)
        => Write(at, text.PadRight((int)Math.Min(count, 0x7FFF), '\0'), size, terminate: false);

    /// <summary>The result of printf: into a buffer of a size or of any; -1 when it did not fit.</summary>
    private ulong Put(ulong at, string text, int size, ulong? limit)
    {
        bool fits = limit is null || (ulong)text.Length <= limit;
        if (!fits) text = text[..(int)limit!];
        Write(at, text, size, terminate: limit is null || (ulong)text.Length < limit);
        return fits ? (uint)text.Length : uint.MaxValue;
    }

    private ulong Print(ulong format, Func<int, ulong> slot)
    {
        machine.Printed.Add(_formatter.Format(Narrow(format), wide: false, slot).TrimEnd('\n', '\r'));
        return 0;
    }

    private ulong Initialize(ulong target, ulong source, int size)
    {
        int length = source == 0 ? 0 : Text(source, size).Length * size;
        Guest.SetU16(target, (ushort)length);
        Guest.SetU16(target + 2, (ushort)(source == 0 ? 0 : length + size));
        Guest.SetPointer(target + Buffer, source);
        return 0;
    }

    private ulong Free(ulong target)
    {
        ulong buffer = Guest.Pointer(target + Buffer);
        if (buffer != 0) machine.Memory.Free(buffer);
        Guest.SetU32(target, 0);
        Guest.SetPointer(target + Buffer, 0);
        return 0;
    }

    private ulong CopyCounted(ulong target, ulong source)
    {
        int length = source == 0 ? 0 : Math.Min(Guest.U16(source), Guest.U16(target + 2));
        if (length > 0) Guest.SetBytes(Guest.Pointer(target + Buffer), Guest.Bytes(Guest.Pointer(source + Buffer), length));
        Guest.SetU16(target, (ushort)length);
        return 0;
    }

    private ulong Append(ulong target, string text)
    {
        int length = Guest.U16(target), room = Guest.U16(target + 2), more = text.Length * 2;
        if (length + more > room) return NtStatus.BufferTooSmall;
        Write(Guest.Pointer(target + Buffer) + (ulong)length, text, 2, terminate: length + more + 2 <= room);
        Guest.SetU16(target, (ushort)(length + more));
        return NtStatus.Success;
    }

    /// <summary>Into a counted string's buffer, or a new one.</summary>
    private ulong Store(ulong target, string text, int size, bool allocate, bool terminate)
    {
        int length = text.Length * size, needed = length + (terminate ? size : 0);
        if (allocate)
        {
            ulong buffer = machine.Memory.Allocate(1, (ulong)Math.Max(needed, 1), 0x76_4C_74_52);
            if (buffer == 0) return NtStatus.InsufficientResources;
            Guest.SetU16(target + 2, (ushort)needed);
            Guest.SetPointer(target + Buffer, buffer);
        }
        else if (Guest.U16(target + 2) < needed)
        {
            return NtStatus.BufferOverflow;
        }
        Write(Guest.Pointer(target + Buffer), text, size, terminate);
        Guest.SetU16(target, (ushort)length);
        return NtStatus.Success;
    }

    private ulong FromInteger(uint value, uint radix, ulong target)
    {
        if (radix is not (0 or 2 or 8 or 10 or 16)) return NtStatus.InvalidParameter;
        string text = radix switch { 2 => Convert.ToString(value, 2), 8 => Convert.ToString(value, 8), 16 => $"{value:X}", _ => $"{value}" };
        return Store(target, text, 2, allocate: false, terminate: false);
    }

    private ulong ToInteger(string text, uint radix, ulong target)
    {
        text = text.TrimStart();
        bool minus = text.StartsWith('-');
        if (minus || text.StartsWith('+')) text = text[1..];
        if (radix == 0)
        {
            (radix, text) = text.Length > 1 && text[0] == '0'
                ? text[1] switch { 'x' => (16u, text[2..]), 'o' => (8u, text[2..]), 'b' => (2u, text[2..]), _ => (10u, text) } : (10u, text);
        }
        if (radix is not (2 or 8 or 10 or 16)) return NtStatus.InvalidParameter;
        uint value = 0;
        foreach (char c in text)
        {
            int digit = char.IsAsciiHexDigit(c) ? Convert.ToInt32(c.ToString(), 16) : 99;
            if (digit >= radix) break;
            value = (value * radix) + (uint)digit;
        }
        Guest.SetU32(target, minus ? 0 - value : value);
        return NtStatus.Success;
    }

    private ulong GuidFrom(string text, ulong target)
    {
        if (!Guid.TryParseExact(text, "B", out Guid guid)) return NtStatus.InvalidParameter;
        Guest.SetBytes(target, guid.ToByteArray());
        return NtStatus.Success;
    }
}
