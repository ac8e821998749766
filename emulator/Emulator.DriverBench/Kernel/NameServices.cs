using Emulator.DriverBench.Pnp;
using Emulator.Pci;

namespace Emulator.DriverBench.Kernel;

/// <summary>What is found by name: device objects, the symbolic links to them, device interfaces.</summary>
internal sealed class NameServices(BenchMachine machine)
{
    private readonly Dictionary<string, ulong> _devices = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Link> _links = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Interface> _interfaces = new(StringComparer.OrdinalIgnoreCase);

    private GuestMemory Guest => machine.Guest;

    public void AddTo(NtServices nt)
    {
        nt.Add("IoCreateSymbolicLink", "pp", Irql.Passive, a => CreateLink(Guest.UnicodeString(a[0]), Guest.UnicodeString(a[1])),
            exhausted: NtStatus.InsufficientResources);
        nt.Add("IoDeleteSymbolicLink", "p", Irql.Passive,
            a => _links.Remove(Canonical(Guest.UnicodeString(a[0]))) ? NtStatus.Success : NtStatus.ObjectNameNotFound);
        nt.Add("IoRegisterDeviceInterface", "pppp", Irql.Passive, a => RegisterInterface(a[0], a[1], a[2], a[3]), exhausted: NtStatus.InsufficientResources);
        nt.Add("IoSetDeviceInterfaceState", "pb", Irql.Passive, a => SetInterface(Guest.UnicodeString(a[0]), a[1] != 0));
    }

    public void AddDevice(string name, ulong device) => _devices.Add(name, device);

    public void RemoveDevice(string name) => _devices.Remove(name);

    /// <summary>The device object that a name leads to, through links as far as there are any; 0 when there is none.</summary>
    /// <param name="name">"\Device\X", "\DosDevices\X", "\??\X" or, as programs say it, "\\.\X".</param>
    public ulong DeviceOf(string name)
    {
        // NT follows 32 links at most.
        for (int hops = 0; hops < 32; hops++)
        {
            if (_devices.TryGetValue(name, out ulong device)) return device;
            string canonical = Canonical(name);
            if (_interfaces.TryGetValue(canonical, out Interface? found)) return found.IsEnabled ? found.Slot.Pdo : 0;
            if (!_links.TryGetValue(canonical, out Link? link)) return 0;
            name = link.Target;
        }
        return 0;
    }

    /// <summary>A driver goes: the links it made are left behind.</summary>
    public void CheckLeaks(LoadedDriver driver)
    {
        foreach ((string name, Link link) in _links.Where(l => driver.Image.Contains(l.Value.Owner)).ToList())
        {
            machine.ReportAt(Rule.Leak, $"{driver.Name} is unloaded and leaves the symbolic link {name}", link.Owner);
            _links.Remove(name);
        }
    }

    /// <summary>A device was removed: interfaces of its that can still be opened are left behind.</summary>
    public void CheckLeaks(BenchSlot slot)
    {
        foreach ((string name, Interface found) in _interfaces.Where(i => i.Value.Slot == slot).ToList())
        {
            if (found.IsEnabled) machine.ReportAt(Rule.Leak, $"the device is removed with its interface {name} enabled", found.Owner);
            _interfaces.Remove(name);
        }
    }

    /// <summary>All links of programs' own lie in one directory, which has two names.</summary>
    private static string Canonical(string name)
    {
        foreach (string prefix in (string[])[@"\\.\", @"\\?\", @"\DosDevices\", @"\GLOBAL??\"])
        {
            if (name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)) return @"\??\" + name[prefix.Length..];
        }
        return name;
    }

    private ulong CreateLink(string link, string target)
        => _links.TryAdd(Canonical(link), new Link(target, machine.CallerAddress)) ? NtStatus.Success : NtStatus.ObjectNameCollision;

    /// <summary>IoRegisterDeviceInterface.</summary>
    public ulong RegisterInterface(ulong pdo, ulong guid, ulong reference, ulong target)
    {
        if (machine.Bus.SlotOfPdo(pdo) is not { } slot) return NtStatus.InvalidDeviceRequest;
        PciIdentity identity = slot.Function.Identity;
        string text = $@"\??\PCI#VEN_{identity.Vendor:X4}&DEV_{identity.Device:X4}#{slot.Index}#{new Guid(Guest.Bytes(guid, 16)):B}";
        if (reference != 0) text += $@"\{Guest.UnicodeString(reference)}";
        ulong buffer = machine.Memory.Allocate(1, (ulong)((text.Length * 2) + 2), 0x66496F49);
        if (buffer == 0) return NtStatus.InsufficientResources;
        Guest.SetUnicodeString(target, buffer, text);
        _interfaces.TryAdd(text, new Interface(slot, machine.CallerAddress));
        return NtStatus.Success;
    }

    /// <summary>IoSetDeviceInterfaceState.</summary>
    public ulong SetInterface(string name, bool enable)
    {
        if (!_interfaces.TryGetValue(name, out Interface? found)) return NtStatus.ObjectNameNotFound;
        if (enable && machine.Faults.NextAllocationFails("IoSetDeviceInterfaceState")) return NtStatus.InsufficientResources;
        if (found.IsEnabled == enable) return enable ? NtStatus.ObjectNameExists : NtStatus.ObjectNameNotFound;
        (found.IsEnabled, found.Owner) = (enable, machine.CallerAddress);
        return NtStatus.Success;
    }

    private sealed record Link(string Target, ulong Owner);

    private sealed class Interface(BenchSlot slot, ulong owner)
    {
        public BenchSlot Slot { get; } = slot;
        public ulong Owner { get; set; } = owner;
        public bool IsEnabled { get; set; }
    }
}
