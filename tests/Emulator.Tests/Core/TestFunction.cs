using Emulator.Observation;
using Emulator.Pci;
using Emulator.Pci.Capabilities;
using Emulator.Registers;
using Emulator.Time;

namespace Emulator.Tests.Core;

/// <summary>A function a test builds up as it likes.</summary>
internal sealed class TestFunction : PciFunction
{
    public TestFunction(PciSlot slot, Action<TestFunction>? build = null, PciIdentity? identity = null)
        : base(identity ?? new PciIdentity(0x1af4, 0x10f0, 0xff0000), slot) => build?.Invoke(this);

    public List<ResetKind> Resets { get; } = [];
    public new IDeviceClock Clock => base.Clock;
    public Action? WhenReset { get; set; }

    public new Bar MapBar(int index, BarKind kind, ulong size, bool prefetchable = false) => base.MapBar(index, kind, size, prefetchable);
    public new Bar MapBar(int index, BarKind kind, RegisterBank bank) => base.MapBar(index, kind, bank);
    public new PowerManagementCapability AddPowerManagement(bool softReset = true, int offset = 0) => base.AddPowerManagement(softReset, offset);
    public new MsiCapability AddMsi(int vectors = 1, bool wide = true, int offset = 0) => base.AddMsi(vectors, wide, offset);
    public new MsiXCapability AddMsiX(int vectors, Bar bar, ulong table, ulong pending, int offset = 0, bool allowMany = false)
        => base.AddMsiX(vectors, bar, table, pending, offset, allowMany);
    public new PciExpressCapability AddPciExpress(int offset = 0) => base.AddPciExpress(offset);
    public new AdvancedFeaturesCapability AddAdvancedFeatures(int offset = 0) => base.AddAdvancedFeatures(offset);
    public new VendorSpecificCapability AddVendorSpecific(ReadOnlySpan<byte> data, int offset = 0) => base.AddVendorSpecific(data, offset);

    protected override void OnReset(ResetKind kind)
    {
        Resets.Add(kind);
        WhenReset?.Invoke();
    }
}

/// <summary>Keeps every event.</summary>
internal sealed class EventList : IDeviceObserver
{
    public List<DeviceEvent> Events { get; } = [];
    public List<string> Remarks { get; } = [];
    public Action<DeviceEvent>? Seen { get; set; }

    public void OnEvent(in DeviceEvent deviceEvent)
    {
        Events.Add(deviceEvent);
        Seen?.Invoke(deviceEvent);
    }

    public void OnRemark(long time, string text) => Remarks.Add(text);
}
