namespace Emulator.VfioUser.Protocol;

/// <summary>The command field of a message header. Source: vfio-user specification, "Commands".</summary>
public enum Command : ushort
{
    /// <summary>No command: never valid on the wire.</summary>
    None = 0,
    /// <summary>Client to server, first message: protocol version and capabilities.</summary>
    Version = 1,
    /// <summary>Client to server: a range of DMA addresses becomes valid, with or without a file to map.</summary>
    DmaMap = 2,
    /// <summary>Client to server: a range of DMA addresses is no longer valid.</summary>
    DmaUnmap = 3,
    /// <summary>Client to server: flags and counts of the device.</summary>
    DeviceGetInfo = 4,
    /// <summary>Client to server: size, flags and capabilities of one region.</summary>
    DeviceGetRegionInfo = 5,
    /// <summary>Client to server: ioeventfds and ioregionfds of one region.</summary>
    DeviceGetRegionIoFds = 6,
    /// <summary>Client to server: flags and count of one interrupt index.</summary>
    DeviceGetIrqInfo = 7,
    /// <summary>Client to server: attach, mask, unmask, trigger or disable interrupts.</summary>
    DeviceSetIrqs = 8,
    /// <summary>Client to server: read bytes of a region.</summary>
    RegionRead = 9,
    /// <summary>Client to server: write bytes of a region.</summary>
    RegionWrite = 10,
    /// <summary>Server to client: read bytes of DMA memory.</summary>
    DmaRead = 11,
    /// <summary>Server to client: write bytes of DMA memory.</summary>
    DmaWrite = 12,
    /// <summary>Client to server: reset the device.</summary>
    DeviceReset = 13,
    /// <summary>Obsolete; a server answers it with an error.</summary>
    DirtyPages = 14,
    /// <summary>Client to server: several region writes of at most 8 bytes each.</summary>
    RegionWriteMulti = 15,
    /// <summary>Client to server: get, set or probe a device feature.</summary>
    DeviceFeature = 16,
    /// <summary>Client to server: read migration data.</summary>
    MigDataRead = 17,
    /// <summary>Client to server: write migration data.</summary>
    MigDataWrite = 18,
}
