using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDFLDR.SYS: finds the framework that a driver was built for and gives it the function table.</summary>
internal sealed class WdfLoader(KmdfFramework framework, FunctionTable table)
{
    private const int Major = 1, Minor = 33, NameLength = 32;

    public void AddTo(NtServices loader)
    {
        loader.Add("WdfVersionBind", "pppp", Irql.Passive, a => Bind(a[0], a[2], a[3]));
        loader.Add("WdfVersionUnbind", "ppp", Irql.Passive, a => Unbind(a[2]));
        // A class extension is a driver of its own, which registers with the loader: there is none here.
        loader.Add("WdfVersionBindClass", "ppp", Irql.Passive, _ => NtStatus.ObjectNameNotFound);
        loader.Add("WdfVersionUnbindClass", "ppp", Irql.Passive, _ => 0);
    }

    private ulong Bind(ulong driverObject, ulong info, ulong target)
    {
        BenchMachine machine = framework.Machine;
        var reader = new StructReader(machine, info);
        uint size = reader.U32();
        string component = machine.Space.ReadString16(reader.Pointer(), 64) ?? "";
        uint major = reader.U32(), minor = reader.U32();
        // Build number.
        reader.U32();
        uint count = reader.U32();
        ulong functions = reader.Pointer(), module = reader.PointerAddress();
        string driver = machine.Drivers.FirstOrDefault(d => d.Object == driverObject)?.Name
            ?? throw machine.Crash($"WdfVersionBind with 0x{driverObject:x}, which is no driver object");
        if (component != "KmdfLibrary" || major != Major)
        {
            return Refuse(NtStatus.ObjectNameNotFound, $"there is no {component} {major}, but KmdfLibrary {Major}");
        }
        if (size != reader.Size) return Refuse(NtStatus.InvalidParameter, $"its WDF_BIND_INFO has 0x{size:x} bytes, not 0x{reader.Size:x}");
        if (minor > Minor) return Refuse(NtStatus.InvalidParameter, $"it was built for {major}.{minor}, and this is {Major}.{Minor}");
        if (!FunctionNames.Counts.Contains((int)count)) return Refuse(NtStatus.InvalidParameter, $"no version has {count} functions");
        if (functions == 0 || target == 0) return Refuse(NtStatus.InvalidParameter, "it gives no place for the functions or for its globals");
        ulong globals = CreateGlobals(driver);
        framework.Bind(new FxClient(globals, driverObject, driver, minor));
        if (count >= FunctionNames.FirstByPointer) machine.Guest.SetPointer(functions, table.Address);
        else machine.Guest.SetBytes(functions, machine.Guest.Bytes(table.Address, (int)count * machine.Layout.Pointer));
        machine.Guest.SetPointer(module, framework.Library.Base);
        machine.Guest.SetPointer(target, globals);
        return NtStatus.Success;

        ulong Refuse(uint status, string why)
        {
            machine.Printed.Add($"WDFLDR: {driver} is not bound to its framework: {why}");
            return status;
        }
    }

    /// <summary>WDF_DRIVER_GLOBALS: Driver, DriverFlags, DriverTag, DriverName[32], DisplaceDriverUnload.</summary>
    private ulong CreateGlobals(string name)
    {
        BenchMachine machine = framework.Machine;
        ulong globals = machine.AllocateKernel(machine.Layout.Pointer + 8 + NameLength + machine.Layout.Pointer, "WDF_DRIVER_GLOBALS");
        machine.Guest.SetBytes(globals + (ulong)machine.Layout.Pointer + 8, System.Text.Encoding.ASCII.GetBytes(name[..Math.Min(name.Length, NameLength - 1)]));
        return globals;
    }

    private ulong Unbind(ulong globals)
    {
        FxClient client = framework.FindClient(globals) ?? throw framework.Machine.Crash($"WdfVersionUnbind with 0x{globals:x}, which are no driver's globals");
        framework.Unbind(client);
        return NtStatus.Success;
    }
}
