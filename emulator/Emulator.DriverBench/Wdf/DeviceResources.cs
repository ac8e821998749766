using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>An interrupt the PnP manager granted.</summary>
/// <param name="Message">Which of the device's messages; null for the line.</param>
internal sealed record InterruptResource(int? Message, byte Irql, uint Vector, bool IsLatched, byte Share, ulong Affinity);

/// <summary>WDFCMRESLIST: copies of descriptors, which drivers read through their addresses.</summary>
internal sealed class FxResourceList : FxObject
{
    private ulong _descriptors;

    public FxResourceList(FxDevice device) : base(device.Framework, device.Client, "WDFCMRESLIST", device, null) => IsFrameworkOwned = true;

    public int Count { get; private set; }

    /// <summary>Of a CM_PARTIAL_RESOURCE_DESCRIPTOR; NULL past the end.</summary>
    public ulong this[uint index] => index < Count ? _descriptors + (ulong)(index * Machine.Layout.DescriptorSize) : 0;

    /// <param name="list">A CM_RESOURCE_LIST of one CM_FULL_RESOURCE_DESCRIPTOR, or NULL.</param>
    public void Read(ulong list)
    {
        OnRelease();
        Count = list == 0 || Guest.U32(list) == 0 ? 0 : (int)Guest.U32(list + 16);
        if (Count == 0) return;
        int size = Count * Machine.Layout.DescriptorSize;
        _descriptors = Machine.AllocateKernel(size, "WDFCMRESLIST");
        Guest.SetBytes(_descriptors, Guest.Bytes(list + 20, size));
    }

    protected override void OnRelease()
    {
        if (Count > 0) Machine.FreeKernel(_descriptors, "WDFCMRESLIST");
        Count = 0;
    }
}

/// <summary>What START gave a device.</summary>
internal sealed class DeviceResources(FxDevice device)
{
    public FxResourceList Raw { get; } = new(device);
    public FxResourceList Translated { get; } = new(device);

    /// <summary>The translated interrupts, in order; messages are numbered from 0.</summary>
    public IReadOnlyList<InterruptResource> Interrupts
    {
        get
        {
            var found = new List<InterruptResource>();
            int messages = 0;
            for (uint i = 0; i < Translated.Count; i++)
            {
                ulong at = Translated[i];
                GuestMemory guest = device.Guest;
                // CmResourceTypeInterrupt; CM_RESOURCE_INTERRUPT_LATCHED 1 and _MESSAGE 2.
                if (guest.Byte(at) != 2) continue;
                ushort flags = guest.U16(at + 2);
                found.Add(new InterruptResource((flags & 2) != 0 ? messages++ : null, (byte)guest.U32(at + 4), guest.U32(at + 8), (flags & 1) != 0,
                    guest.Byte(at + 1), guest.Pointer(at + 12)));
            }
            return found;
        }
    }

    public void Read(ulong raw, ulong translated)
    {
        Raw.Read(raw);
        Translated.Read(translated);
    }
}
