using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Pnp;

/// <summary>An open device: requests go to the top of the stack that its device object is in.</summary>
public sealed class BenchFile
{
    private readonly BenchMachine _machine;
    private readonly ulong _device;

    private BenchFile(BenchMachine machine, ulong device, ulong file) => (_machine, _device, Object) = (machine, device, file);

    /// <summary>The FILE_OBJECT.</summary>
    public ulong Object { get; }

    internal static BenchFile Open(BenchMachine machine, ulong device)
    {
        (NtLayout layout, GuestMemory guest) = (machine.Layout, machine.Guest);
        ulong file = machine.AllocateKernel(layout.FileSize, "FILE_OBJECT");
        guest.SetU16(file, 5);
        guest.SetU16(file + 2, (ushort)layout.FileSize);
        guest.SetPointer(file + (ulong)layout.FileDevice, device);
        machine.Io.Reference(device);
        BenchRequest create = machine.Io.Send(device, Irp.Create, 0, 0, [], file: file);
        if (!create.Wait()) throw machine.Crash("a request to open a device does not end");
        if (NtStatus.IsSuccess(create.Status)) return new BenchFile(machine, device, file);
        machine.Io.Dereference(device);
        machine.FreeKernel(file, "FILE_OBJECT");
        throw new DriverStatusException($"CREATE failed with status 0x{create.Status:x8}.", create.Status);
    }

    public BenchRequest Read(int length) => _machine.Io.Send(_device, Irp.Read, 0, 0, [(uint)length], outputLength: length, file: Object);
    public BenchRequest Write(ReadOnlySpan<byte> data) => _machine.Io.Send(_device, Irp.Write, 0, 0, [(uint)data.Length], data, file: Object);

    /// <summary>DEVICE_CONTROL; the code says how its buffers go.</summary>
    public BenchRequest Control(uint code, ReadOnlySpan<byte> input = default, int outputLength = 0)
        => _machine.Io.Send(_device, Irp.DeviceControl, 0, 0, [(uint)outputLength, (uint)input.Length, code], input, outputLength, Object);

    /// <summary>CLEANUP and CLOSE.</summary>
    public void Close()
    {
        _machine.Io.Send(_device, Irp.Cleanup, 0, 0, [], file: Object);
        _machine.Io.Send(_device, Irp.Close, 0, 0, [], file: Object);
        _machine.FreeKernel(Object, "FILE_OBJECT");
        _machine.Io.Dereference(_device);
    }
}
