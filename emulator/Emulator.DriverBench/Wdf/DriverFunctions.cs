using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFDRIVER.</summary>
internal sealed class DriverFunctions(KmdfFramework framework)
{
    // WDF_DRIVER_INIT_FLAGS: NonPnpDriver 1, NoDispatchOverride 2, Companion 8.
    private const uint KnownFlags = 0xB;

    public void AddTo(FunctionTable table)
    {
        table.Add("WdfDriverCreate", "ppppp", Irql.Passive, (client, a) => Create(client, a[0], a[1], a[2], a[3], a[4]), allocates: true);
        table.Add("WdfDriverWdmGetDriverObject", "p", Irql.Dispatch, (client, a) =>
        {
            framework.Handles.Get<FxDriver>(a[0], "WDFDRIVER");
            return client.DriverObject;
        });
        table.Add("WdfWdmDriverGetWdfDriverHandle", "p", Irql.Dispatch, (_, a) => framework.Drivers.GetValueOrDefault(a[0])?.Handle ?? 0);
        table.Add("WdfVerifierDbgBreakPoint", "", Irql.High, (_, _) =>
        {
            framework.Machine.Report(Rule.Framework, "WdfVerifierDbgBreakPoint");
            return 0;
        });
        table.Add("WdfVerifierKeBugCheck", "upppp", Irql.High,
            (_, a) => throw framework.Machine.Crash($"WdfVerifierKeBugCheck 0x{a[0]:x} (0x{a[1]:x}, 0x{a[2]:x}, 0x{a[3]:x}, 0x{a[4]:x})"));
    }

    private ulong Create(FxClient client, ulong driverObject, ulong registryPath, ulong at, ulong config, ulong target)
    {
        BenchMachine machine = framework.Machine;
        framework.NotNull(driverObject, "DriverObject");
        framework.NotNull(registryPath, "RegistryPath");
        var reader = new StructReader(machine, framework.NotNull(config, "DriverConfig"));
        uint size = reader.U32();
        ulong deviceAdd = reader.Pointer(), unload = reader.Pointer();
        uint flags = reader.U32();
        // What 1.1 had not: DriverPoolTag.
        uint oldSize = reader.Size, tag = size > oldSize || machine.Is64Bit ? reader.U32() : 0;
        if (size != reader.Size && size != oldSize) return framework.WrongSize("WDF_DRIVER_CONFIG", size, reader.Size);
        if ((flags & ~KnownFlags) != 0) return NtStatus.InvalidParameter;
        if (flags != 0) throw machine.Crash($"{client.Name} wants DriverInitFlags 0x{flags:x}, and the bench's framework has function drivers only");
        if (client.Driver is not null) return NtStatus.DriverInternalError;
        uint status = ObjectAttributes.Read(framework, at, AttributeRules.NoParent | AttributeRules.Levels, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        var driver = new FxDriver(framework, client, attributes, deviceAdd, unload, machine.Guest.UnicodeString(registryPath)) { IsFrameworkOwned = true };
        client.Driver = driver;
        driver.TakeOver();
        // WDF_DRIVER_GLOBALS: Driver, DriverFlags, DriverTag, DriverName[32], DisplaceDriverUnload.
        ulong globals = client.Globals;
        machine.Guest.SetPointer(globals, driver.Handle);
        machine.Guest.SetU32(globals + (ulong)machine.Layout.Pointer + 4, tag);
        machine.Guest.SetByte(globals + (ulong)machine.Layout.Pointer + 40, 1);
        if (target != 0) machine.Guest.SetPointer(target, driver.Handle);
        return NtStatus.Success;
    }
}
