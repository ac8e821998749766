using Emulator.Memory;

namespace DeviceModels.Robot.Firmware;

/// <summary>A robot's way to guest memory, with a switch that breaks it.</summary>
internal sealed class RobotMemory(IGuestMemory memory)
{
    /// <summary>Every transfer fails.</summary>
    public bool IsBroken { get; set; }

    public bool TryRead(ulong address, Span<byte> destination) => !IsBroken && memory.TryRead(address, destination);

    public bool TryWrite(ulong address, ReadOnlySpan<byte> source) => !IsBroken && memory.TryWrite(address, source);

    /// <summary>Writes the dword that hands something over, after every earlier write is visible.</summary>
    public bool TryPublish(ulong address, uint value) => !IsBroken && memory.TryPublish(address, value);
}
