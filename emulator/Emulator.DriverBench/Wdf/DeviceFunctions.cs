using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFDEVICE_INIT and WDFDEVICE.</summary>
internal sealed class DeviceFunctions(KmdfFramework framework)
{
    public void AddTo(FunctionTable table)
    {
        table.Add("WdfDeviceInitSetPnpPowerEventCallbacks", "pp", Irql.Dispatch, (_, a) => SetCallbacks(Init(a[0]), a[1]));
        table.Add("WdfDeviceInitRegisterPnpStateChangeCallback", "pupu", Irql.Passive, (_, a) => RegisterState(Init(a[0]), (uint)a[1], a[2], (uint)a[3]));
        table.Add("WdfDeviceInitSetIoType", "pu", Irql.Dispatch, (_, a) => Set(a[0], i => i.IoType = (DeviceIoType)a[1]));
        table.Add("WdfDeviceInitSetDeviceType", "pu", Irql.Dispatch, (_, a) => Set(a[0], i => i.DeviceType = (uint)a[1]));
        table.Add("WdfDeviceInitSetCharacteristics", "pub", Irql.Dispatch,
            (_, a) => Set(a[0], i => i.Characteristics = a[2] != 0 ? i.Characteristics | (uint)a[1] : (uint)a[1]));
        table.Add("WdfDeviceInitSetExclusive", "pb", Irql.Dispatch, (_, a) => Set(a[0], i => i.IsExclusive = a[1] != 0));
        table.Add("WdfDeviceInitSetPowerPageable", "p", Irql.Dispatch, (_, a) => Set(a[0], i => i.IsPageable = true));
        table.Add("WdfDeviceInitSetPowerNotPageable", "p", Irql.Dispatch, (_, a) => Set(a[0], i => i.IsPageable = false));
        table.Add("WdfDeviceInitSetRequestAttributes", "pp", Irql.Dispatch, (_, a) => SetRequestAttributes(Init(a[0]), a[1]));
        table.Add("WdfFdoInitSetFilter", "p", Irql.Dispatch, (_, a) => Set(a[0], i => i.IsFilter = true));
        table.Add("WdfFdoInitWdmGetPhysicalDevice", "p", Irql.Dispatch, (_, a) => Init(a[0]).Pdo);
        table.Add("WdfDeviceCreate", "ppp", Irql.Passive, (_, a) => Create(a[0], a[1], a[2]), allocates: true);
        table.Add("WdfDeviceCreateDeviceInterface", "ppp", Irql.Passive,
            (_, a) => Get(a[0]).AddInterface(framework.NotNull(a[1], "InterfaceClassGUID"), a[2]), allocates: true);
        table.Add("WdfDeviceGetDriver", "p", Irql.Dispatch, (_, a) => Get(a[0]).Client.Driver!.Handle);
        table.Add("WdfDeviceGetDefaultQueue", "p", Irql.Dispatch, (_, a) => Get(a[0]).DefaultQueue?.Handle ?? 0);
        table.Add("WdfDeviceGetDevicePnpState", "p", Irql.Dispatch, (_, a) => (uint)Get(a[0]).Pnp.State);
        table.Add("WdfDeviceWdmGetDeviceObject", "p", Irql.Dispatch, (_, a) => Get(a[0]).DeviceObject);
        table.Add("WdfDeviceWdmGetAttachedDevice", "p", Irql.Dispatch, (_, a) => Get(a[0]).Attached);
        table.Add("WdfDeviceWdmGetPhysicalDevice", "p", Irql.Dispatch, (_, a) => Get(a[0]).Pdo);
        table.Add("WdfWdmDeviceGetWdfDeviceHandle", "p", Irql.Dispatch, (_, a) => framework.Devices.GetValueOrDefault(a[0])?.Handle ?? 0);
        table.Add("WdfDeviceSetStaticStopRemove", "pb", Irql.Dispatch, (_, a) => SetStoppable(Get(a[0]), a[1] != 0));
        table.Add("WdfDeviceConfigureRequestDispatching", "ppu", Irql.Passive, (_, a) => Configure(Get(a[0]), a[1], (uint)a[2]));
    }

    private FxDevice Get(ulong handle) => framework.Handles.Get<FxDevice>(handle, "WDFDEVICE");

    private DeviceInit Init(ulong handle) => framework.FindInit(handle);

    private ulong Set(ulong handle, Action<DeviceInit> set)
    {
        set(Init(handle));
        return 0;
    }

    private ulong SetCallbacks(DeviceInit init, ulong at)
    {
        var reader = new StructReader(framework.Machine, framework.NotNull(at, "PnpPowerEventCallbacks"));
        uint size = reader.U32();
        var callbacks = new ulong[init.Callbacks.Length];
        // Before 1.11 there was no EvtDeviceUsageNotificationEx.
        for (int i = 0; i < callbacks.Length - 1; i++) callbacks[i] = reader.Pointer();
        if (size != reader.Size) callbacks[^1] = reader.Pointer();
        // A structure the framework does not know is left alone.
        if (size == reader.Size) init.Callbacks = callbacks;
        else framework.WrongSize("WDF_PNPPOWER_EVENT_CALLBACKS", size, reader.Size);
        return 0;
    }

    private ulong RegisterState(DeviceInit init, uint state, ulong routine, uint types)
    {
        framework.NotNull(routine, "EvtDevicePnpStateChange");
        if (state is < (uint)PnpState.ObjectCreated or >= (uint)PnpState.Null || (types & ~7u) != 0 || types == 0) return NtStatus.InvalidParameter;
        init.StateCallbacks[(PnpState)state] = (routine, types);
        return NtStatus.Success;
    }

    private ulong SetRequestAttributes(DeviceInit init, ulong at)
    {
        uint status = ObjectAttributes.Read(framework, framework.NotNull(at, "RequestAttributes"), AttributeRules.NoParent, out ObjectAttributes? attributes);
        if (NtStatus.IsSuccess(status)) init.RequestAttributes = attributes;
        return 0;
    }

    private ulong Create(ulong initAt, ulong attributesAt, ulong target)
    {
        GuestMemory guest = framework.Machine.Guest;
        DeviceInit init = Init(guest.Pointer(framework.NotNull(initAt, "DeviceInit")));
        guest.SetPointer(framework.NotNull(target, "Device"), 0);
        uint status = ObjectAttributes.Read(framework, attributesAt, AttributeRules.NoParent | AttributeRules.Levels, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        FxDevice device = FxDevice.Create(framework, init, attributes);
        framework.Inits.Remove(init.Handle);
        guest.SetPointer(initAt, 0);
        guest.SetPointer(target, device.Handle);
        return NtStatus.Success;
    }

    private static ulong SetStoppable(FxDevice device, bool stoppable)
    {
        device.StaticStops += stoppable ? -1 : 1;
        return 0;
    }

    private ulong Configure(FxDevice device, ulong queueHandle, uint type)
    {
        FxQueue queue = framework.Handles.Get<FxQueue>(queueHandle, "WDFQUEUE");
        if (type == Irp.Create && queue.Device == device) return device.Files.Configure(queue);
        if (type > Irp.Pnp || (byte)type is not (Irp.Read or Irp.Write or Irp.DeviceControl or Irp.InternalDeviceControl)) return NtStatus.InvalidParameter;
        return queue.Device == device && device.Configure(queue, (byte)type) ? NtStatus.Success : NtStatus.InvalidDeviceRequest;
    }
}
