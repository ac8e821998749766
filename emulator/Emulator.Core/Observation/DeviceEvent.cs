namespace Emulator.Observation;

/// <summary>What happened at a function. The numbers are part of the trace file format: append only.</summary>
public enum DeviceEventKind : byte
{
    /// <summary>The guest read a BAR or configuration space.</summary>
    Read = 1,
    /// <summary>The guest wrote a BAR or configuration space.</summary>
    Write = 2,
    /// <summary>The function read guest memory.</summary>
    DmaRead = 3,
    /// <summary>The function wrote guest memory.</summary>
    DmaWrite = 4,
    /// <summary>The function took a view of guest memory to read from it.</summary>
    DmaReadView = 5,
    /// <summary>The function took a view of guest memory to write to it.</summary>
    DmaWriteView = 6,
    /// <summary>The INTx level changed: value 1 asserted, 0 deasserted.</summary>
    Intx = 7,
    /// <summary>An MSI message: offset is the vector, value 1 sent, 0 left pending.</summary>
    Msi = 8,
    /// <summary>An MSI-X message: offset is the vector, value 1 sent, 0 left pending.</summary>
    MsiX = 9,
    /// <summary>A reset: value is the <see cref="Pci.ResetKind"/>.</summary>
    Reset = 10,
    /// <summary>A client connected (value 1) or went away (value 0).</summary>
    Client = 11,
    /// <summary>Guest memory was mapped: offset is the address, value the size.</summary>
    DmaMap = 12,
    /// <summary>Guest memory was unmapped: offset is the address, value the size.</summary>
    DmaUnmap = 13,
    /// <summary>Where the code stands whose access comes next: offset is the number <see cref="IDeviceObserver.OnCode"/> gave it, value its address.</summary>
    Code = 14,
}

/// <summary>An instruction of a driver, where somebody interprets it and knows.</summary>
/// <param name="Address">Where it stands.</param>
/// <param name="Function">"GeneralRobot!RobotStart+0x42".</param>
/// <param name="Instruction">"mov dword [rcx], eax".</param>
public sealed record CodePlace(ulong Address, string Function, string Instruction);

/// <summary>One event, of fixed size and without references: names are looked up later, elsewhere.</summary>
/// <param name="Time">Device time, nanoseconds.</param>
/// <param name="Kind">What happened.</param>
/// <param name="Region">The region accessed (see <see cref="Pci.PciRegion"/>), or 0.</param>
/// <param name="Ok">False where the access was refused: decode off, an address that is not mapped.</param>
/// <param name="Length">Bytes moved.</param>
/// <param name="Offset">Bytes into the region, a guest address, or a vector.</param>
/// <param name="Value">The value, or the first eight bytes moved, little-endian.</param>
public readonly record struct DeviceEvent(
    long Time, DeviceEventKind Kind, byte Region, bool Ok, int Length, ulong Offset, ulong Value);

/// <summary>Sees everything that happens at a function. Called on the device thread: copy and return.</summary>
public interface IDeviceObserver
{
    /// <summary>A write is seen before its effects, a read after.</summary>
    void OnEvent(in DeviceEvent deviceEvent);

    /// <summary>A remark in words, such as a guest error. Already rate-limited.</summary>
    void OnRemark(long time, string text);

    /// <summary>What a number of <see cref="DeviceEventKind.Code"/> events means; told once, before the first of them.</summary>
    /// <param name="number">0, 1, 2 ..</param>
    void OnCode(int number, CodePlace place)
    {
    }
}
