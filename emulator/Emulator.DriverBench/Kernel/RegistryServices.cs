using System.Text;

namespace Emulator.DriverBench.Kernel;

/// <summary>A small registry in memory: keys by their whole path, as drivers open, read and write them.</summary>
internal sealed class RegistryServices(BenchMachine machine)
{
    private const string Control = @"\Registry\Machine\System\CurrentControlSet";
    private const uint Direct = 0x20, Required = 4, SubKey = 1, NoValue = 0x10;
    private readonly Dictionary<string, Dictionary<string, (uint Type, byte[] Data)>> _keys = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<ulong, string> _open = [];

    private GuestMemory Guest => machine.Guest;

    public void AddTo(NtServices nt)
    {
        nt.Add("ZwCreateKey", "pupupup", Irql.Passive, a => Open(a[0], PathOf(a[2]), create: true, a[6]), exhausted: NtStatus.InsufficientResources);
        nt.Add("ZwOpenKey", "pup", Irql.Passive, a => Open(a[0], PathOf(a[2]), create: false, 0), exhausted: NtStatus.InsufficientResources);
        nt.Add("ZwSetValueKey", "ppuupu", Irql.Passive, a => SetValue(a[0], Guest.UnicodeString(a[1]), (uint)a[3], a[4], (int)a[5]));
        nt.Add("ZwQueryValueKey", "ppupup", Irql.Passive, a => QueryValue(a[0], Guest.UnicodeString(a[1]), (uint)a[2], a[3], (uint)a[4], a[5]));
        nt.Add("ZwDeleteValueKey", "pp", Irql.Passive,
            a => Key(a[0]) is { } key && key.Remove(Guest.UnicodeString(a[1])) ? NtStatus.Success : NtStatus.ObjectNameNotFound);
        nt.Add("ZwDeleteKey", "p", Irql.Passive,
            a => _open.TryGetValue(a[0], out string? path) && _keys.Remove(path) ? NtStatus.Success : NtStatus.InvalidHandle);
        nt.Add("ZwFlushKey", "p", Irql.Passive, _ => NtStatus.Success);
        nt.Add("IoOpenDeviceRegistryKey", "puup", Irql.Passive, a => OpenDeviceKey(a[0], (uint)a[1], a[3]), exhausted: NtStatus.InsufficientResources);
        nt.Add("RtlQueryRegistryValues", "upppp", Irql.Passive, a => QueryValues((uint)a[0], a[1], a[2], a[3]));
        nt.Add("RtlWriteRegistryValue", "uppupu", Irql.Passive, a => WriteValue(RelativePath((uint)a[0], a[1]), Text(a[2]), (uint)a[3], a[4], (int)a[5]));
        nt.Add("RtlDeleteRegistryValue", "upp", Irql.Passive,
            a => Find(RelativePath((uint)a[0], a[1])) is { } key && key.Remove(Text(a[2])) ? NtStatus.Success : NtStatus.ObjectNameNotFound);
        nt.Add("RtlCheckRegistryKey", "up", Irql.Passive, a => Find(RelativePath((uint)a[0], a[1])) is null ? NtStatus.ObjectNameNotFound : NtStatus.Success);
        nt.Add("RtlCreateRegistryKey", "up", Irql.Passive, a => { Create(RelativePath((uint)a[0], a[1])); return NtStatus.Success; });
    }

    /// <summary>Makes a key if there is none.</summary>
    /// <param name="path">"\Registry\Machine\System\CurrentControlSet\Services\X", or with the number of the control set.</param>
    public Dictionary<string, (uint Type, byte[] Data)> Create(string path)
    {
        path = Canonical(path);
        if (!_keys.TryGetValue(path, out Dictionary<string, (uint, byte[])>? key)) _keys.Add(path, key = new(StringComparer.OrdinalIgnoreCase));
        return key;
    }

    private static string Canonical(string path) => path.TrimEnd('\\').Replace(@"\ControlSet001", @"\CurrentControlSet", StringComparison.OrdinalIgnoreCase);

    private Dictionary<string, (uint Type, byte[] Data)>? Find(string path) => _keys.GetValueOrDefault(Canonical(path));

    private Dictionary<string, (uint Type, byte[] Data)>? Key(ulong handle) => _open.TryGetValue(handle, out string? path) ? Find(path) : null;

    private string Text(ulong at) => at == 0 ? "" : machine.Space.ReadString16(at, 0x7FFF) ?? throw machine.Crash($"no string at 0x{at:x}");

    /// <summary>OBJECT_ATTRIBUTES: Length, RootDirectory, ObjectName.</summary>
    private string PathOf(ulong attributes)
    {
        ulong pointer = (ulong)machine.Layout.Pointer, root = Guest.Pointer(attributes + pointer);
        string name = Guest.UnicodeString(Guest.Pointer(attributes + (2 * pointer)));
        if (root == 0) return name;
        return _open.TryGetValue(root, out string? path) ? $@"{path}\{name}" : throw machine.Crash($"the root directory 0x{root:x} is no open key");
    }

    private ulong Open(ulong target, string path, bool create, ulong disposition)
    {
        bool exists = Find(path) is not null;
        if (!exists && !create) return NtStatus.ObjectNameNotFound;
        Create(path);
        // REG_CREATED_NEW_KEY, REG_OPENED_EXISTING_KEY.
        if (disposition != 0) Guest.SetU32(disposition, exists ? 2u : 1);
        ulong handle = machine.Objects.CreateHandle(0);
        _open[handle] = path;
        Guest.SetPointer(target, handle);
        return NtStatus.Success;
    }

    private ulong OpenDeviceKey(ulong pdo, uint type, ulong target)
    {
        if (machine.Bus.SlotOfPdo(pdo) is not { } slot) return NtStatus.InvalidDeviceRequest;
        // PLUGPLAY_REGKEY_DRIVER is 2.
        string path = type == 2 ? $@"{Control}\Control\Class\PCI\{slot.Index:D4}" : $@"{Control}\Enum\PCI\{slot.Index}\Device Parameters";
        return Open(target, path, create: true, 0);
    }

    private ulong SetValue(ulong handle, string name, uint type, ulong data, int length)
    {
        if (Key(handle) is not { } key) return NtStatus.InvalidHandle;
        key[name] = (type, Guest.Bytes(data, length));
        return NtStatus.Success;
    }

    private ulong WriteValue(string path, string name, uint type, ulong data, int length)
    {
        Create(path)[name] = (type, Guest.Bytes(data, length));
        return NtStatus.Success;
    }

    /// <summary>KEY_VALUE_BASIC_INFORMATION 0, FULL 1, PARTIAL 2.</summary>
    private ulong QueryValue(ulong handle, string name, uint kind, ulong target, uint length, ulong resultLength)
    {
        if (Key(handle) is not { } key) return NtStatus.InvalidHandle;
        if (!key.TryGetValue(name, out (uint Type, byte[] Data) value)) return NtStatus.ObjectNameNotFound;
        byte[] text = Encoding.Unicode.GetBytes(name);
        int at = 20 + text.Length + 3 & ~3;
        byte[] result = kind switch
        {
            0 => [.. U32(0), .. U32(value.Type), .. U32((uint)text.Length), .. text],
            1 => [.. U32(0), .. U32(value.Type), .. U32((uint)at), .. U32((uint)value.Data.Length), .. U32((uint)text.Length), .. text,
                .. new byte[at - 20 - text.Length], .. value.Data],
            2 => [.. U32(0), .. U32(value.Type), .. U32((uint)value.Data.Length), .. value.Data],
            _ => [],
        };
        if (result.Length == 0) return NtStatus.InvalidParameter;
        Guest.SetU32(resultLength, (uint)result.Length);
        int fits = (int)Math.Min(length, (uint)result.Length);
        if (length < 12) return NtStatus.BufferTooSmall;
        Guest.SetBytes(target, result.AsSpan(0, fits));
        return fits < result.Length ? NtStatus.BufferOverflow : NtStatus.Success;

        static byte[] U32(uint v) => BitConverter.GetBytes(v);
    }

    /// <summary>RTL_REGISTRY_ABSOLUTE 0, _SERVICES 1, _CONTROL 2, _WINDOWS_NT 3, _DEVICEMAP 4; with _HANDLE the path is a key's handle.</summary>
    private string RelativePath(uint relative, ulong path)
    {
        if ((relative & 0x4000_0000) != 0) return _open.TryGetValue(path, out string? open) ? open : throw machine.Crash($"0x{path:x} is no open key");
        string root = (relative & 0xFF) switch
        {
            1 => $@"{Control}\Services\",
            2 => $@"{Control}\Control\",
            3 => @"\Registry\Machine\Software\Microsoft\Windows NT\CurrentVersion\",
            4 => @"\Registry\Machine\Hardware\DeviceMap\",
            _ => "",
        };
        return root + Text(path);
    }

    /// <summary>Walks an array of RTL_QUERY_REGISTRY_TABLE: QueryRoutine, Flags, Name, EntryContext, DefaultType, DefaultData, DefaultLength.</summary>
    private ulong QueryValues(uint relative, ulong path, ulong table, ulong context)
    {
        string root = RelativePath(relative, path);
        if (Find(root) is not { } key)
        {
            // With the optional flag a missing key has no values.
            if ((relative & 0x8000_0000) == 0) return NtStatus.ObjectNameNotFound;
            key = [];
        }
        ulong pointer = (ulong)machine.Layout.Pointer;
        for (ulong at = table; ; at += 7 * pointer)
        {
            ulong routine = Guest.Pointer(at), name = Guest.Pointer(at + (2 * pointer)), entry = Guest.Pointer(at + (3 * pointer));
            uint flags = Guest.U32(at + pointer);
            if (routine == 0 && (flags & (Direct | SubKey)) == 0) return NtStatus.Success;
            if ((flags & SubKey) != 0)
            {
                key = Find($@"{root}\{Text(name)}") ?? [];
                continue;
            }
            uint status = (uint)QueryOne(key, routine, flags, name, entry, at, context);
            if (!NtStatus.IsSuccess(status)) return status;
        }
    }

    private ulong QueryOne(Dictionary<string, (uint Type, byte[] Data)> key, ulong routine, uint flags, ulong name, ulong entry, ulong at, ulong context)
    {
        ulong pointer = (ulong)machine.Layout.Pointer;
        (uint type, byte[] data) = (Guest.U32(at + (4 * pointer)), Array.Empty<byte>());
        if ((flags & NoValue) == 0 && key.TryGetValue(Text(name), out (uint Type, byte[] Data) value))
        {
            (type, data) = value;
        }
        else
        {
            if ((flags & Required) != 0) return NtStatus.ObjectNameNotFound;
            if ((flags & NoValue) == 0)
            {
                if (type == 0) return NtStatus.Success;
                ulong from = Guest.Pointer(at + (5 * pointer));
                int length = (int)Guest.U32(at + (6 * pointer));
                data = length > 0 ? Guest.Bytes(from, length) : type is 1 or 2 ? Encoding.Unicode.GetBytes(Text(from) + "\0") : Guest.Bytes(from, 4);
            }
        }
        if ((flags & Direct) != 0) return StoreDirect(type, data, entry);
        ulong buffer = data.Length == 0 ? 0 : machine.AllocateKernel(data.Length, "registry value");
        if (buffer != 0) Guest.SetBytes(buffer, data);
        uint status = (uint)machine.Call(routine, name, type, buffer, (uint)data.Length, context, entry);
        if (buffer != 0) machine.FreeKernel(buffer, "registry value");
        return status;
    }

    /// <summary>A string into a UNICODE_STRING, which gets a buffer when it has none; anything else up to 4 bytes as it is.</summary>
    private ulong StoreDirect(uint type, byte[] data, ulong target)
    {
        if (type is not (1 or 2 or 7))
        {
            Guest.SetBytes(target, data);
            return NtStatus.Success;
        }
        ulong buffer = Guest.Pointer(target + (ulong)machine.Layout.StringBuffer);
        if (buffer == 0)
        {
            buffer = machine.Memory.Allocate(1, (ulong)data.Length, 0x76_4C_74_52);
            if (buffer == 0) return NtStatus.InsufficientResources;
            Guest.SetPointer(target + (ulong)machine.Layout.StringBuffer, buffer);
            Guest.SetU16(target + 2, (ushort)data.Length);
        }
        else if (Guest.U16(target + 2) < data.Length)
        {
            return NtStatus.BufferTooSmall;
        }
        Guest.SetBytes(buffer, data);
        Guest.SetU16(target, (ushort)(type == 7 ? data.Length : Math.Max(0, data.Length - 2)));
        return NtStatus.Success;
    }
}
