using System.Buffers.Binary;
using System.Text;

namespace Emulator.Nt.Objects;

/// <summary>
/// Reads NT's objects out of memory nobody vouches for. Each structure is copied once and only the copy is
/// looked at; lists and trees are bounded and cycles end; nothing throws but an <see cref="INtMemory"/> that breaks its promise.
/// What is not as NT leaves it becomes a finding.
/// </summary>
public sealed class ObjectReader
{
    /// <summary>Devices of one driver that are followed.</summary>
    public const int MostDevices = 1024;

    /// <summary>Devices of one stack that are followed; NT counts them in 7 bits.</summary>
    public const int MostLevels = 127;

    /// <summary>Device nodes of one tree that are followed.</summary>
    public const int MostNodes = 4096;

    /// <summary>Modules of one list that are followed.</summary>
    public const int MostModules = 2048;

    /// <summary>Bytes of a name that is believed; NT's own limits on paths and instance names are below it.</summary>
    public const int LongestName = 2048;

    private readonly INtMemory _memory;
    private readonly NtLayout _layout;
    private readonly ulong _lastAddress;

    /// <exception cref="ArgumentException">The layout is for another pointer size than the memory.</exception>
    public ObjectReader(INtMemory memory, NtLayout layout)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(layout);
        if (memory.Is64Bit != layout.Is64Bit) throw new ArgumentException($"The layout {layout.Name} does not fit the memory's pointers.", nameof(layout));
        _memory = memory;
        _layout = layout;
        _lastAddress = layout.Is64Bit ? ulong.MaxValue : uint.MaxValue;
    }

    public NtLayout Layout => _layout;

    public NtAddress AddressOf(ulong value) => new(value, _layout.Is64Bit);

    /// <summary>Reads a driver; null, with a finding, when there is none at the address.</summary>
    public DriverObject? ReadDriver(ulong address, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        DriverObjectLayout layout = _layout.DriverObject;
        var self = new Place("DRIVER_OBJECT", AddressOf(address), findings);
        Span<byte> bytes = stackalloc byte[layout.Size];
        if (!TryCopy(address, bytes, self)) return null;
        if (BinaryPrimitives.ReadUInt16LittleEndian(bytes) != DriverObjectLayout.Type || BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]) != layout.Size)
        {
            self.Report($"is none: Type and Size are {Head(bytes)}, not {DriverObjectLayout.Type} and 0x{layout.Size:x}");
            return null;
        }
        var entries = new NtAddress[DriverObjectLayout.MajorFunctionCount];
        for (int i = 0; i < entries.Length; i++) entries[i] = Pointer(bytes, layout.MajorFunction + i * _layout.PointerSize);
        NtAddress extension = Pointer(bytes, layout.DriverExtension);
        (NtAddress addDevice, string? serviceKey) = ReadDriverExtension(address, extension, self);
        return new DriverObject(
            self.Address, ReadString(bytes, layout.DriverName, "DriverName", self), Pointer(bytes, layout.DeviceObject), Number(bytes, layout.Flags),
            Pointer(bytes, layout.DriverStart), Number(bytes, layout.DriverSize), Pointer(bytes, layout.DriverSection), extension,
            Pointer(bytes, layout.FastIoDispatch), Pointer(bytes, layout.DriverInit), Pointer(bytes, layout.DriverStartIo), Pointer(bytes, layout.DriverUnload),
            addDevice, serviceKey, entries);
    }

    /// <summary>Reads a device; null, with a finding, when there is none at the address.</summary>
    public DeviceObject? ReadDevice(ulong address, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        DeviceObjectLayout layout = _layout.DeviceObject;
        var self = new Place("DEVICE_OBJECT", AddressOf(address), findings);
        Span<byte> bytes = stackalloc byte[layout.Size];
        if (!TryCopy(address, bytes, self)) return null;
        ushort size = BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]);
        if (BinaryPrimitives.ReadUInt16LittleEndian(bytes) != DeviceObjectLayout.Type)
        {
            self.Report($"is none: Type and Size are {Head(bytes)}, not {DeviceObjectLayout.Type} and what the device has");
            return null;
        }
        NtAddress extension = Pointer(bytes, layout.DeviceObjectExtension);
        (NtAddress attachedTo, NtAddress node) = ReadDeviceObjectExtension(address, extension, self);
        return new DeviceObject(
            self.Address, ReadObjectName(address, self), size, (int)Number(bytes, DeviceObjectLayout.ReferenceCount), Pointer(bytes, layout.DriverObject),
            Pointer(bytes, layout.NextDevice), Pointer(bytes, layout.AttachedDevice), Pointer(bytes, layout.CurrentIrp), Number(bytes, layout.Flags),
            Number(bytes, layout.Characteristics), Pointer(bytes, layout.DeviceExtension), Number(bytes, layout.DeviceType), (sbyte)bytes[layout.StackSize],
            attachedTo, node);
    }

    /// <summary>All devices of a driver, newest first as NT links them; at most <see cref="MostDevices"/>.</summary>
    public IReadOnlyList<DeviceObject> ReadDevicesOf(DriverObject driver, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(driver);
        var devices = new List<DeviceObject>();
        var start = new Place("DRIVER_OBJECT", driver.Address, findings);
        foreach (DeviceObject device in Follow(driver.DeviceObject, d => d.NextDevice, "DeviceObject's list", MostDevices, start))
        {
            if (device.Driver != driver.Address)
            {
                new Place("DEVICE_OBJECT", device.Address, findings).Report($"is in the list of {driver.Address}, but its DriverObject is {device.Driver}");
            }
            devices.Add(device);
        }
        return devices;
    }

    /// <summary>The stack a device is in, top first; empty when there is no device at the address. At most <see cref="MostLevels"/> devices.</summary>
    public IReadOnlyList<DeviceObject> ReadStackOf(ulong device, ICollection<NtFinding> findings)
    {
        if (ReadDevice(device, findings) is not { } here) return [];
        var start = new Place("DEVICE_OBJECT", here.Address, findings);
        List<DeviceObject> stack = [.. Follow(here.AttachedDevice, d => d.AttachedDevice, "AttachedDevice", MostLevels - 1, start, here)];
        stack.Reverse();
        stack.Add(here);
        stack.AddRange(Follow(here.AttachedTo, d => d.AttachedTo, "AttachedTo", MostLevels - stack.Count, start, [.. stack]));
        for (int i = 1; i < stack.Count; i++) CheckJoint(stack[i - 1], stack[i], findings);
        return stack;
    }

    /// <summary>Reads a device node; null, with a finding, when its memory is absent. Device nodes carry no mark of their own.</summary>
    public DeviceNode? ReadNode(ulong address, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        DeviceNodeLayout layout = _layout.DeviceNode;
        var self = new Place("DEVICE_NODE", AddressOf(address), findings);
        // Size covers the names; state and flags may lie before or behind them.
        int length = Math.Max(layout.Size, Math.Max(Math.Max(layout.State ?? 0, layout.PreviousState ?? 0), layout.Flags ?? 0) + sizeof(uint));
        Span<byte> bytes = stackalloc byte[length];
        if (!TryCopy(address, bytes, self)) return null;
        return new DeviceNode(
            self.Address, Pointer(bytes, layout.Sibling), Pointer(bytes, layout.Child), Pointer(bytes, layout.Parent),
            Pointer(bytes, layout.PhysicalDeviceObject), ReadString(bytes, layout.InstancePath, "InstancePath", self),
            ReadString(bytes, layout.ServiceName, "ServiceName", self), NumberIf(bytes, layout.State), NumberIf(bytes, layout.PreviousState),
            NumberIf(bytes, layout.Flags));
    }

    /// <summary>A device node and all below it, parents before children, each with its depth (0 for the first); at most <see cref="MostNodes"/>.</summary>
    public IReadOnlyList<(DeviceNode Node, int Depth)> ReadTree(ulong root, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        var nodes = new List<(DeviceNode, int)>();
        var seen = new HashSet<ulong>();
        // Not recursive: how deep the tree goes is the memory's word. A node's sibling waits below its child.
        var waiting = new Stack<(ulong Address, int Depth, NtAddress Parent, NtAddress From)>();
        waiting.Push((root, 0, default, AddressOf(root)));
        while (waiting.TryPop(out (ulong Address, int Depth, NtAddress Parent, NtAddress From) next))
        {
            var from = new Place("DEVICE_NODE", next.From, findings);
            if (!seen.Add(next.Address))
            {
                from.Report($"leads to {AddressOf(next.Address)}, which is elsewhere in the tree");
                continue;
            }
            if (nodes.Count == MostNodes)
            {
                from.Report($"has more behind it; {MostNodes} nodes are shown");
                break;
            }
            if (ReadNode(next.Address, findings) is not { } node) continue;
            if (next.Depth > 0 && node.Parent != next.Parent)
            {
                new Place("DEVICE_NODE", node.Address, findings).Report($"is a child of {next.Parent}, but its Parent is {node.Parent}");
            }
            nodes.Add((node, next.Depth));
            // The root's siblings are not below it.
            if (next.Depth > 0 && !node.Sibling.IsNull) waiting.Push((node.Sibling.Value, next.Depth, next.Parent, node.Address));
            if (!node.Child.IsNull) waiting.Push((node.Child.Value, next.Depth + 1, node.Address, node.Address));
        }
        return nodes;
    }

    /// <summary>Reads one entry of the list of loaded modules; null, with a finding, when its memory is absent.</summary>
    public LoadedModule? ReadModule(ulong address, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        LoaderEntryLayout layout = _layout.LoaderEntry;
        var self = new Place("KLDR_DATA_TABLE_ENTRY", AddressOf(address), findings);
        Span<byte> bytes = stackalloc byte[layout.Size];
        if (!TryCopy(address, bytes, self)) return null;
        return new LoadedModule(
            self.Address, Pointer(bytes, 0), Pointer(bytes, layout.DllBase), Number(bytes, layout.SizeOfImage), Pointer(bytes, layout.EntryPoint),
            ReadString(bytes, layout.BaseDllName, "BaseDllName", self), ReadString(bytes, layout.FullDllName, "FullDllName", self));
    }

    /// <summary>
    /// The modules of the list an entry is in, from that entry once around; any driver's DriverSection will do. The list's head is among
    /// the links and no module: what has no page-aligned base is left out. At most <see cref="MostModules"/>.
    /// </summary>
    public IReadOnlyList<LoadedModule> ReadModules(ulong entry, ICollection<NtFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        var modules = new List<LoadedModule>();
        var seen = new HashSet<ulong>();
        var start = new Place("KLDR_DATA_TABLE_ENTRY", AddressOf(entry), findings);
        // What the head's neighbours hold is read as an entry and means nothing, so its strings are not worth a finding.
        var quiet = new List<NtFinding>();
        for (ulong at = entry; seen.Add(at);)
        {
            if (seen.Count > MostModules + 1)
            {
                start.Report($"is in a list that does not end; {modules.Count} modules are shown");
                return modules;
            }
            quiet.Clear();
            if (ReadModule(at, quiet) is not { } module)
            {
                start.Report($"is in a list that breaks at {AddressOf(at)}");
                return modules;
            }
            if (!module.Base.IsNull && module.Base.Value % PageSize == 0 && module.Size != 0 && module.Name is { Length: > 0 }) modules.Add(module);
            at = module.Next.Value;
            if (at != entry && seen.Contains(at)) start.Report($"is in a list that runs into a circle at {AddressOf(at)}");
        }
        return modules;
    }

    internal const int PageSize = 0x1000;

    /// <summary>Reads, and refuses what would wrap around the end of the address space.</summary>
    internal bool TryRead(ulong address, Span<byte> destination)
        => address <= _lastAddress && (ulong)destination.Length - 1 <= _lastAddress - address && _memory.TryRead(address, destination);

    internal NtAddress Pointer(ReadOnlySpan<byte> bytes, int offset)
        => AddressOf(_layout.Is64Bit ? BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]) : BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]));

    private static uint Number(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static uint? NumberIf(ReadOnlySpan<byte> bytes, int? offset) => offset is { } at ? Number(bytes, at) : null;

    private static string Head(ReadOnlySpan<byte> bytes)
        => $"{BinaryPrimitives.ReadUInt16LittleEndian(bytes)} and 0x{BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]):x}";

    private bool TryCopy(ulong address, Span<byte> bytes, in Place self)
    {
        if (TryRead(address, bytes)) return true;
        self.Report("cannot be read");
        return false;
    }

    private (NtAddress AddDevice, string? ServiceKey) ReadDriverExtension(ulong driver, NtAddress extension, in Place self)
    {
        DriverExtensionLayout layout = _layout.DriverExtension;
        Span<byte> bytes = stackalloc byte[layout.Size];
        if (!TryRead(extension.Value, bytes))
        {
            self.Report($"DriverExtension {extension} cannot be read");
            return (AddressOf(0), null);
        }
        var place = new Place("DRIVER_EXTENSION", extension, self.Findings);
        NtAddress back = Pointer(bytes, layout.DriverObject);
        if (back.Value != driver) place.Report($"DriverObject is {back}, not {self.Address}");
        return (Pointer(bytes, layout.AddDevice), ReadString(bytes, layout.ServiceKeyName, "ServiceKeyName", place));
    }

    private (NtAddress AttachedTo, NtAddress Node) ReadDeviceObjectExtension(ulong device, NtAddress extension, in Place self)
    {
        DeviceObjectExtensionLayout layout = _layout.DeviceObjectExtension;
        Span<byte> bytes = stackalloc byte[layout.Size];
        if (!TryRead(extension.Value, bytes))
        {
            self.Report($"DeviceObjectExtension {extension} cannot be read");
            return (AddressOf(0), AddressOf(0));
        }
        NtAddress back = Pointer(bytes, layout.DeviceObject);
        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        if (type == DeviceObjectExtensionLayout.Type && back.Value == device) return (Pointer(bytes, layout.AttachedTo), Pointer(bytes, layout.DeviceNode));
        self.Report($"DeviceObjectExtension {extension} is none: Type is {type}, not {DeviceObjectExtensionLayout.Type}, or " +
            $"its DeviceObject {back} is not the device");
        return (AddressOf(0), AddressOf(0));
    }

    private string? ReadObjectName(ulong body, in Place self)
    {
        if (_layout.ObjectHeader is not { } header || body < (ulong)header.Body) return null;
        ulong at = body - (ulong)header.Body;
        Span<byte> lead = stackalloc byte[1];
        if (!TryRead(at + (ulong)header.NameInfo, lead)) return null;
        int distance = header.NameInfoIsMask ? NameDistance(lead[0], header) : lead[0];
        if (distance == 0 || at < (ulong)distance) return null;
        Span<byte> name = stackalloc byte[_layout.UnicodeStringSize];
        return TryRead(at - (ulong)distance + (ulong)header.Name, name) ? ReadString(name, 0, "the object's name", self) : null;
    }

    private static int NameDistance(byte mask, ObjectHeaderLayout header)
        => (mask & 2) == 0 ? 0 : header.NameInfoSize + ((mask & 1) != 0 ? header.CreatorInfoSize : 0);

    /// <summary>The text of a UNICODE_STRING, its unprintable characters replaced by '?'; null, with a finding, when it is malformed or absent.</summary>
    private string? ReadString(ReadOnlySpan<byte> bytes, int offset, string member, in Place self)
    {
        ushort length = BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);
        ushort maximum = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(offset + 2)..]);
        NtAddress buffer = Pointer(bytes, offset + _layout.PointerSize);
        if (length == 0) return "";
        if (length % 2 != 0 || length > maximum)
        {
            self.Report($"{member} is malformed: Length {length} and MaximumLength {maximum}");
            return null;
        }
        if (length > LongestName)
        {
            self.Report($"{member} has {length} bytes, more than any name");
            return null;
        }
        byte[] text = new byte[length];
        if (!TryRead(buffer.Value, text))
        {
            self.Report($"{member}'s {length} bytes at {buffer} cannot be read");
            return null;
        }
        return Printable(text);
    }

    private static string Printable(ReadOnlySpan<byte> utf16)
    {
        var text = new StringBuilder(utf16.Length / 2);
        // The decoder answers half a surrogate pair with U+FFFD; nothing here may steer a terminal or break a line.
        foreach (char c in Encoding.Unicode.GetString(utf16))
        {
            text.Append(char.IsControl(c) || char.GetUnicodeCategory(c) is System.Globalization.UnicodeCategory.Format
                or System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator ? '?' : c);
        }
        return text.ToString();
    }

    /// <summary>Follows a list of devices. It ends at zero, at what is no device, at a device met before, and after as many as are wanted.</summary>
    private List<DeviceObject> Follow(NtAddress first, Func<DeviceObject, NtAddress> next, string member, int most, in Place start, params DeviceObject[] met)
    {
        var found = new List<DeviceObject>();
        var seen = new HashSet<ulong>(met.Select(d => d.Address.Value));
        for (NtAddress at = first; !at.IsNull;)
        {
            if (!seen.Add(at.Value))
            {
                start.Report($"{member} runs into a circle at {at}");
                break;
            }
            if (found.Count >= most)
            {
                start.Report($"{member} does not end; {most} devices of it are shown");
                break;
            }
            if (ReadDevice(at.Value, start.Findings) is not { } device) break;
            found.Add(device);
            at = next(device);
        }
        return found;
    }

    private static void CheckJoint(DeviceObject upper, DeviceObject lower, ICollection<NtFinding> findings)
    {
        if (upper.AttachedTo != lower.Address)
        {
            new Place("DEVICE_OBJECT", upper.Address, findings).Report($"lies on {lower.Address}, but its AttachedTo is {upper.AttachedTo}");
        }
        if (lower.AttachedDevice != upper.Address)
        {
            new Place("DEVICE_OBJECT", lower.Address, findings).Report($"lies under {upper.Address}, but its AttachedDevice is {lower.AttachedDevice}");
        }
        if (upper.StackSize <= lower.StackSize)
        {
            new Place("DEVICE_OBJECT", upper.Address, findings)
                .Report($"StackSize {upper.StackSize} is not above the {lower.StackSize} of {lower.Address} below");
        }
    }

    /// <summary>A structure being read, and where to complain.</summary>
    private readonly record struct Place(string Structure, NtAddress Address, ICollection<NtFinding> Findings)
    {
        public void Report(string problem) => Findings.Add(new NtFinding(Structure, Address, problem));
    }
}
