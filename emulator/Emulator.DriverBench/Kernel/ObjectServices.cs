using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Pnp;
using Emulator.Pci;

namespace Emulator.DriverBench.Kernel;

/// <summary>Ob's handles and references, and what the I/O manager says of devices: by name, their place in a stack, their properties.</summary>
internal sealed class ObjectServices(BenchMachine machine)
{
    private readonly Dictionary<ulong, ulong> _handles = [];
    private readonly Dictionary<ulong, BenchFile> _files = [];
    private ulong _lastHandle = 0x1000;
    private ulong _configuration;
    private ulong _process;
    private readonly Dictionary<(ulong Driver, ulong Id), ulong> _extensions = [];

    private GuestMemory Guest => machine.Guest;
    private NtLayout Layout => machine.Layout;

    public void AddTo(NtServices nt)
    {
        nt.Add("ObfReferenceObject", "p", Irql.Dispatch, _ => 2, CallConvention.FastCall);
        nt.Add("ObfDereferenceObject", "p", Irql.Dispatch, a => Dereference(a[0]), CallConvention.FastCall);
        nt.Add("ObReferenceObjectByPointer", "pupb", Irql.Dispatch, _ => NtStatus.Success);
        nt.Add("ObReferenceObjectByHandle", "pupbpp", Irql.Passive, a => ByHandle(a[0], a[4]));
        nt.Add("ObOpenObjectByPointer", "pupupbp", Irql.Passive, a =>
        {
            Guest.SetPointer(a[6], CreateHandle(a[0]));
            return NtStatus.Success;
        });
        nt.Add("ZwClose", "p", Irql.Passive, a => Close(a[0]));
        nt.Add("IoGetDeviceObjectPointer", "pupp", Irql.Passive, a => OpenDevice(Guest.UnicodeString(a[0]), a[2], a[3]),
            exhausted: NtStatus.InsufficientResources);
        nt.Add("IoGetAttachedDevice", "p", Irql.Dispatch, a => machine.Io.TopOf(a[0]));
        nt.Add("IoGetAttachedDeviceReference", "p", Irql.Dispatch, a => machine.Io.TopOf(a[0]));
        nt.Add("IoGetLowerDeviceObject", "p", Irql.Dispatch, a => Guest.Pointer(machine.Io.DoeOf(a[0]) + (ulong)Layout.DeviceExtensionAttachedTo));
        nt.Add("IoGetRelatedDeviceObject", "p", Irql.Dispatch, a => machine.Io.TopOf(Guest.Pointer(a[0] + (ulong)Layout.FileDevice)));
        nt.Add("IoGetDeviceProperty", "puupp", Irql.Passive, a => Property(a[0], (uint)a[1], (uint)a[2], a[3], a[4]));
        nt.Add("IoGetConfigurationInformation", "", Irql.Passive, _ => Configuration());
        nt.Add("IoAllocateDriverObjectExtension", "ppup", Irql.Apc, a => AllocateExtension(a[0], a[1], (uint)a[2], a[3]),
            exhausted: NtStatus.InsufficientResources);
        nt.Add("IoGetDriverObjectExtension", "pp", Irql.Dispatch, a => _extensions.GetValueOrDefault((a[0], a[1])));
        nt.Add("IoIsWdmVersionAvailable", "bb", Irql.High, a => a[0] == 1 && a[1] <= 0x30 ? 1u : 0);
        nt.Add("IoGetCurrentProcess", "", Irql.High, _ => SystemProcess());
        nt.Add("PsGetCurrentProcess", "", Irql.High, _ => SystemProcess());
        nt.Add("PsGetCurrentProcessId", "", Irql.High, _ => 4);
        nt.Add("PsGetProcessId", "p", Irql.High, _ => 4);
        nt.Add("IoGetRequestorProcess", "p", Irql.Dispatch, _ => SystemProcess());
        nt.Add("IoGetRequestorProcessId", "p", Irql.Dispatch, _ => 4);
        nt.Add("IoWMIRegistrationControl", "pu", Irql.Passive, _ => NtStatus.Success);
        nt.Add("PsGetVersion", "pppp", Irql.Dispatch, a => Version(a[0], a[1], a[2]));
    }

    public ulong CreateHandle(ulong value)
    {
        _handles.Add(_lastHandle += 4, value);
        return _lastHandle;
    }

    /// <summary>The driver goes, and its extensions with it.</summary>
    public void Forget(ulong driver)
    {
        foreach ((ulong Driver, ulong Id) key in _extensions.Keys.Where(k => k.Driver == driver).ToList())
        {
            machine.FreeKernel(_extensions[key], "driver object extension");
            _extensions.Remove(key);
        }
    }

    private ulong AllocateExtension(ulong driver, ulong id, uint size, ulong target)
    {
        if (_extensions.ContainsKey((driver, id))) return NtStatus.ObjectNameCollision;
        ulong extension = machine.AllocateKernel((int)Math.Max(size, 1), "driver object extension");
        _extensions.Add((driver, id), extension);
        Guest.SetPointer(target, extension);
        return NtStatus.Success;
    }

    private ulong SystemProcess() => _process != 0 ? _process : _process = machine.AllocateKernel(0x800, "EPROCESS of System");

    private ulong Close(ulong handle)
    {
        if (_handles.Remove(handle)) return NtStatus.Success;
        machine.Report(Rule.Handle, $"ZwClose of 0x{handle:x}, which is no open handle");
        return NtStatus.InvalidHandle;
    }

    private ulong ByHandle(ulong handle, ulong target)
    {
        if (!_handles.TryGetValue(handle, out ulong value)) return NtStatus.InvalidHandle;
        Guest.SetPointer(target, value);
        return NtStatus.Success;
    }

    private ulong Dereference(ulong at)
    {
        // The last reference to a file that IoGetDeviceObjectPointer gave closes it.
        if (_files.Remove(at, out BenchFile? file)) file.Close();
        return 1;
    }

    private ulong OpenDevice(string name, ulong file, ulong device)
    {
        try
        {
            BenchFile opened = machine.Open(name);
            _files.Add(opened.Object, opened);
            Guest.SetPointer(file, opened.Object);
            Guest.SetPointer(device, machine.Io.TopOf(Guest.Pointer(opened.Object + (ulong)Layout.FileDevice)));
            return NtStatus.Success;
        }
        catch (DriverStatusException refused)
        {
            return refused.Status;
        }
    }

    /// <summary>DEVICE_REGISTRY_PROPERTY.</summary>
    private ulong Property(ulong pdo, uint property, uint length, ulong buffer, ulong resultLength)
    {
        if (machine.Bus.SlotOfPdo(pdo) is not { } slot) return NtStatus.InvalidDeviceRequest;
        PciIdentity identity = slot.Function.Identity;
        byte[]? value = property switch
        {
            1 => Text(string.Join('\0', PciBusDriver.HardwareIds(identity)) + "\0"),
            2 => Text(string.Join('\0', PciBusDriver.CompatibleIds(identity)) + "\0"),
            0xA => Text($"PCI bus 0, device {slot.Index + 1}, function 0"),
            0xB => Text(machine.Io.NameOf(pdo)),
            // GUID_BUS_TYPE_PCI; PCIBus.
            0xC => new Guid("C8EBDFB0-B510-11D0-80E5-00A0C92542E3").ToByteArray(),
            0xD => BitConverter.GetBytes(5u),
            0xE => BitConverter.GetBytes(0u),
            0xF => Text("PCI"),
            0x10 => BitConverter.GetBytes((uint)(slot.Index + 1) << 16),
            _ => null,
        };
        if (value is null) return NtStatus.ObjectNameNotFound;
        Guest.SetU32(resultLength, (uint)value.Length);
        if (length < value.Length) return NtStatus.BufferTooSmall;
        Guest.SetBytes(buffer, value);
        return NtStatus.Success;

        static byte[] Text(string text) => System.Text.Encoding.Unicode.GetBytes(text + "\0");
    }

    /// <summary>CONFIGURATION_INFORMATION: counts of disks, ports and so on, all 0 at first, for drivers to count on.</summary>
    private ulong Configuration()
    {
        if (_configuration == 0)
        {
            _configuration = machine.AllocateKernel(0x30, "CONFIGURATION_INFORMATION");
            Guest.SetU32(_configuration + 0x20, 0x30);
        }
        return _configuration;
    }

    /// <summary>6.1 on x64, 5.2 on x86, as the layouts are.</summary>
    private ulong Version(ulong major, ulong minor, ulong build)
    {
        if (major != 0) Guest.SetU32(major, machine.Is64Bit ? 6u : 5);
        if (minor != 0) Guest.SetU32(minor, machine.Is64Bit ? 1u : 2);
        if (build != 0) Guest.SetU32(build, machine.Is64Bit ? 7601u : 3790);
        return 0;
    }
}
