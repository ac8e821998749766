using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDFDRIVER: owns the driver object's entries from WdfDriverCreate to FxDriver::Unload.</summary>
internal sealed class FxDriver : FxObject
{
    private readonly ulong _deviceAdd, _unload;

    public FxDriver(KmdfFramework framework, FxClient client, ObjectAttributes? attributes, ulong deviceAdd, ulong unload, string registryPath)
        : base(framework, client, "WDFDRIVER", null, attributes)
    {
        (_deviceAdd, _unload, RegistryPath) = (deviceAdd, unload, registryPath);
        (Level, Scope) = (attributes?.Level ?? ExecutionLevel.Inherit, attributes?.Scope ?? SynchronizationScope.Inherit);
        // The defaults of the tree's root.
        if (Level == ExecutionLevel.Inherit) Level = ExecutionLevel.Dispatch;
        if (Scope == SynchronizationScope.Inherit) Scope = SynchronizationScope.None;
        framework.Drivers.Add(client.DriverObject, this);
    }

    public ExecutionLevel Level { get; }
    public SynchronizationScope Scope { get; }
    public string RegistryPath { get; }

    public static void AddTo(KmdfFramework framework, NtServices library)
    {
        library.Add("FxDriver::AddDevice", "pp", Irql.Passive, a => Find(framework, a[0]).AddDevice(a[1]));
        library.Add("FxDriver::Unload", "p", Irql.Passive, a => Find(framework, a[0]).Unload());
    }

    /// <summary>Fills the driver object: every entry of the dispatch table, AddDevice and Unload.</summary>
    public void TakeOver()
    {
        NtLayout layout = Machine.Layout;
        ulong dispatch = Framework.AddressOf("FxDevice::DispatchWithLock"), driver = Client.DriverObject;
        for (int i = 0; i < NtLayout.MajorFunctions; i++) Guest.SetPointer(driver + (ulong)(layout.DriverMajor + (i * layout.Pointer)), dispatch);
        Guest.SetPointer(Guest.Pointer(driver + (ulong)layout.DriverExtension) + (ulong)layout.ExtensionAddDevice, Framework.AddressOf("FxDriver::AddDevice"));
        Guest.SetPointer(driver + (ulong)layout.DriverUnload, Framework.AddressOf("FxDriver::Unload"));
    }

    protected override void OnRelease()
    {
        Framework.Drivers.Remove(Client.DriverObject);
        Client.Driver = null;
        Guest.SetPointer(Client.Globals, 0);
    }

    private static FxDriver Find(KmdfFramework framework, ulong driver)
        => framework.Drivers.GetValueOrDefault(driver) ?? throw framework.Machine.Crash($"0x{driver:x} is no driver of the framework");

    private ulong AddDevice(ulong pdo)
    {
        var init = new DeviceInit(Framework, Client, pdo);
        uint status = Framework.Ask(Client, "EvtDriverDeviceAdd", "", _deviceAdd, Handle, init.Handle);
        Framework.Inits.Remove(init.Handle);
        if (init.Created is not { } device) return init.IsFilter ? NtStatus.Success : status;
        if (NtStatus.IsSuccess(status))
        {
            device.FinishInitializing();
            return status;
        }
        device.Pnp.RemoveAfterFailedAdd();
        device.Destroy();
        return init.IsFilter ? NtStatus.Success : status;
    }

    private ulong Unload()
    {
        Framework.Raise(Client, "EvtDriverUnload", "", _unload, Handle);
        Delete();
        return 0;
    }
}
