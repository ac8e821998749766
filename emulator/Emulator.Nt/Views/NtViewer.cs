using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Emulator.Nt.Objects;

namespace Emulator.Nt.Views;

/// <summary>
/// The views of NT's objects: <c>drvobj</c>, <c>devstack</c>, <c>devnode</c> and the halves of a driver pair. Every call looks at memory anew and carries in
/// its result what it found wrong there; memory that makes no sense is never an exception. Not thread-safe against a memory that changes under a call.
/// </summary>
public sealed class NtViewer
{
    /// <summary>Stacks that one listing or one pair shows.</summary>
    public const int MostStacks = 128;

    private readonly ObjectReader _reader;
    private readonly INtSymbols _symbols;
    private readonly IEnumerable<ulong> _drivers;

    /// <param name="memory">Where the objects lie.</param>
    /// <param name="layout">How they are laid out.</param>
    /// <param name="symbols">What addresses are called.</param>
    /// <param name="drivers">Addresses of the DRIVER_OBJECTs that can be asked for by name, enumerated anew for every such question: a list that
    /// the owner keeps, or the result of a <see cref="DriverScan"/>.</param>
    /// <exception cref="ArgumentException">The layout is for another pointer size than the memory.</exception>
    public NtViewer(INtMemory memory, NtLayout layout, INtSymbols symbols, IEnumerable<ulong> drivers)
    {
        ArgumentNullException.ThrowIfNull(symbols);
        ArgumentNullException.ThrowIfNull(drivers);
        _reader = new ObjectReader(memory, layout);
        _symbols = symbols;
        _drivers = drivers;
    }

    public ObjectReader Reader => _reader;

    /// <summary>The drivers known by address that can be read.</summary>
    public IReadOnlyList<DriverObject> Drivers
    {
        get
        {
            var findings = new List<NtFinding>();
            return [.. _drivers.Select(d => _reader.ReadDriver(d, findings)).OfType<DriverObject>()];
        }
    }

    /// <summary>Finds a driver as people name it.</summary>
    /// <param name="name">"parport", "parport.sys" or "\Driver\Parport", in any case, or a hexadecimal address ("fffffa80`048d9e70").</param>
    /// <param name="driver">The driver.</param>
    /// <param name="problem">Otherwise one line: what was asked for and which drivers there are.</param>
    public bool TryFindDriver(string name, [NotNullWhen(true)] out DriverObject? driver, [NotNullWhen(false)] out string? problem)
    {
        ArgumentNullException.ThrowIfNull(name);
        IReadOnlyList<DriverObject> drivers = Drivers;
        string wanted = name.EndsWith(".sys", StringComparison.OrdinalIgnoreCase) ? name[..^4] : name;
        driver = drivers.FirstOrDefault(d => string.Equals(d.Name, wanted, StringComparison.OrdinalIgnoreCase))
            ?? drivers.FirstOrDefault(d => d.Name is { Length: > 0 } full && LastPart(full).Equals(wanted, StringComparison.OrdinalIgnoreCase));
        if (driver is null && TryParseAddress(name, out ulong address)) driver = _reader.ReadDriver(address, new List<NtFinding>());
        problem = driver is not null ? null
            : drivers.Count == 0 ? $"There is no driver '{name}': no driver object is known."
            : $"There is no driver '{name}'. Known are: {string.Join(", ", drivers.Select(ShortName))}.";
        return driver is not null;
    }

    /// <summary>The driver's names, devices and entry points, as WinDbg's !drvobj lists them.</summary>
    /// <returns>Null when there is no DRIVER_OBJECT at the address.</returns>
    public DriverListing? ShowDriver(ulong driver, DriverListingParts parts)
    {
        var findings = new List<NtFinding>();
        if (_reader.ReadDriver(driver, findings) is not { } found) return null;
        IReadOnlyList<DeviceObject>? devices = parts.HasFlag(DriverListingParts.Devices) ? _reader.ReadDevicesOf(found, findings) : null;
        IReadOnlyList<DispatchRoutine>? routines = !parts.HasFlag(DriverListingParts.Dispatch) ? null
            : [.. found.MajorFunction.Select((entry, code) => new DispatchRoutine(code, MajorFunctions.Names[code], CodeAt(entry)))];
        // As in WinDbg, details are of the devices listed.
        IReadOnlyList<DeviceStackListing>? stacks = devices is null || !parts.HasFlag(DriverListingParts.Stacks) ? null
            : [.. StacksOf(found, devices, findings)];
        return new DriverListing(
            found.Address, found.Name, found.ServiceKeyName, CodeAt(found.DriverInit), CodeAt(found.DriverStartIo), CodeAt(found.DriverUnload),
            CodeAt(found.AddDevice), routines, devices is null ? null : [.. devices.Select(d => d.Address)], stacks, findings);
    }

    /// <summary>The stack a device is in, as WinDbg's !devstack lists it, with each level's place and the modules behind it.</summary>
    /// <returns>Null when there is no DEVICE_OBJECT at the address.</returns>
    public DeviceStackListing? ShowStack(ulong device)
    {
        var findings = new List<NtFinding>();
        IReadOnlyList<DeviceObject> stack = _reader.ReadStackOf(device, findings);
        if (stack.Count == 0) return null;
        var drivers = new Dictionary<NtAddress, DriverObject?>();
        foreach (DeviceObject each in stack)
        {
            if (!drivers.ContainsKey(each.Driver)) drivers[each.Driver] = _reader.ReadDriver(each.Driver.Value, findings);
        }
        DeviceObject bottom = stack[^1];
        DeviceNode? node = bottom.DeviceNode.IsNull ? null : _reader.ReadNode(bottom.DeviceNode.Value, findings);
        if (node is not null && node.PhysicalDeviceObject != bottom.Address)
        {
            findings.Add(new NtFinding("DEVICE_NODE", node.Address,
                $"belongs to {bottom.Address}, but its PhysicalDeviceObject is {node.PhysicalDeviceObject}"));
        }
        DriverHalves?[] halves = [.. stack.Select(d => drivers[d.Driver] is { } driver ? HalvesOf(driver, findings) : null)];
        (int function, string? basis) = StackRoles.FindFunction(stack, [.. stack.Select(d => drivers[d.Driver])], halves, node);
        var levels = new DeviceStackLevel[stack.Count];
        for (int i = 0; i < levels.Length; i++)
        {
            levels[i] = new DeviceStackLevel(
                stack[i].Address, stack[i].Driver, drivers[stack[i].Driver]?.Name, stack[i].DeviceExtension, stack[i].Name, stack[i].StackSize,
                stack[i].Address.Value == device, StackRoles.RoleOf(i, stack, function), halves[i]?.Specific, halves[i]?.GeneralModules ?? []);
        }
        return new DeviceStackListing(levels, node is null ? null : Listed(node, 0), basis, [.. findings.Distinct()]);
    }

    /// <summary>A device node and all below it, as WinDbg's !devnode lists them.</summary>
    /// <returns>Null when nothing can be read at the address.</returns>
    public DeviceNodeListing? ShowNodes(ulong root)
    {
        var findings = new List<NtFinding>();
        IReadOnlyList<(DeviceNode Node, int Depth)> tree = _reader.ReadTree(root, findings);
        return tree.Count == 0 ? null : new DeviceNodeListing([.. tree.Select(n => Listed(n.Node, n.Depth))], findings);
    }

    /// <summary>Which module is the specific half of a driver and which the general half, and how many levels they take in each stack.</summary>
    /// <returns>Null when there is no DRIVER_OBJECT at the address.</returns>
    public DriverPairListing? ShowPair(ulong driver)
    {
        var findings = new List<NtFinding>();
        if (_reader.ReadDriver(driver, findings) is not { } found) return null;
        DriverHalves halves = HalvesOf(found, findings);
        var levels = new List<PairLevel>();
        foreach (DeviceStackListing stack in StacksOf(found, _reader.ReadDevicesOf(found, findings), findings))
        {
            findings.AddRange(stack.Findings);
            DeviceStackLevel own = stack.Levels.Single(l => l.IsCurrent);
            // A level is the pair's when its driver object is, or when it is a driver object the general half has for itself.
            int taken = stack.Levels.Count(l => l.DriverObject == found.Address || (l.SpecificModule is { } module && halves.GeneralModules.Contains(module)));
            levels.Add(new PairLevel(own.Device, own.Role, taken, stack.Levels.Count));
        }
        return new DriverPairListing(found.Address, found.Name, halves.Specific, halves.SpecificBasis, CodeAt(found.DriverInit), halves.General,
            halves.DefaultEntry, levels, [.. findings.Distinct()]);
    }

    private List<DeviceStackListing> StacksOf(DriverObject driver, IReadOnlyList<DeviceObject> devices, List<NtFinding> findings)
    {
        if (devices.Count > MostStacks)
        {
            findings.Add(new NtFinding("DRIVER_OBJECT", driver.Address, $"has {devices.Count} devices; the stacks of {MostStacks} are shown"));
        }
        return [.. devices.Take(MostStacks).Select(d => ShowStack(d.Address.Value)).OfType<DeviceStackListing>()];
    }

    /// <summary>Splits a driver's functions by the modules that hold them.</summary>
    private DriverHalves HalvesOf(DriverObject driver, List<NtFinding> findings) => DriverHalves.Of(driver, _symbols, SectionModule(driver, findings), CodeAt);

    // A driver inside the kernel has no section; that is no finding.
    private string? SectionModule(DriverObject driver, List<NtFinding> findings)
        => !driver.DriverSection.IsNull && _symbols.ModuleOf(driver.DriverStart.Value) is null
            && _reader.ReadModule(driver.DriverSection.Value, findings) is { Name: { Length: > 0 } name } ? ModuleSymbols.ModuleName(name) : null;

    private CodeAddress CodeAt(NtAddress address)
        => new(address, address.IsNull ? null : _symbols.Describe(address.Value), address.IsNull ? null : _symbols.ModuleOf(address.Value));

    private static ListedNode Listed(DeviceNode node, int depth)
        => new(node.Address, depth, node.PhysicalDeviceObject, node.InstancePath, node.ServiceName,
            node.State is { } state ? DeviceNodeStates.Describe(state) : null, node.PreviousState is { } previous ? DeviceNodeStates.Describe(previous) : null);

    private static string ShortName(DriverObject driver) => driver.Name is { Length: > 0 } full ? LastPart(full) : driver.Address.ToString();

    private static string LastPart(string name) => name[(name.LastIndexOf('\\') + 1)..];

    private static bool TryParseAddress(string text, out ulong address)
    {
        string digits = text.Replace("`", "", StringComparison.Ordinal);
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase)) digits = digits[2..];
        return ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out address);
    }
}
