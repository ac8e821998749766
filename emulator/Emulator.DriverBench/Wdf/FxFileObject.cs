using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDF_FILEOBJECT_CLASS: where the framework keeps its file object in NT's.</summary>
internal enum FileClass : uint
{
    NotRequired = 1,
    CanUseFsContext,
    CanUseFsContext2,
    CannotUseFsContexts,

    /// <summary>With another: requests may come without a FILE_OBJECT.</summary>
    CanBeOptional = 0x8000_0000,
}

/// <summary>A WDF_FILEOBJECT_CONFIG that was checked.</summary>
/// <param name="Forwards">CREATE, CLEANUP and CLOSE go on down the stack; null as is the default, for filters alone.</param>
/// <param name="Attributes">Of the file objects.</param>
internal sealed record FileConfig(ulong Create, ulong Close, ulong Cleanup, bool? Forwards, FileClass Class, ObjectAttributes? Attributes);

/// <summary>WDFFILEOBJECT: an open file of the device, from its CREATE to its CLOSE.</summary>
internal sealed class FxFileObject : FxObject
{
    public FxFileObject(FxDevice device, ObjectAttributes? attributes, ulong file)
        : base(device.Framework, device.Client, "WDFFILEOBJECT", device, attributes)
    {
        (Device, File) = (device, file);
        IsFrameworkOwned = true;
    }

    public FxDevice Device { get; }

    /// <summary>The FILE_OBJECT; 0 none.</summary>
    public ulong File { get; }

    /// <summary>FO_ bits.</summary>
    public uint Flags => FlagsOf(Machine, File);

    /// <summary>The FO_ bits of any FILE_OBJECT; 0 of none.</summary>
    public static uint FlagsOf(BenchMachine machine, ulong file) => file == 0 ? 0 : machine.Guest.U32(file + (machine.Is64Bit ? 0x50u : 0x2C));

    /// <summary>The address of the UNICODE_STRING with its name; 0 none.</summary>
    public ulong Name => File == 0 ? 0 : File + (Machine.Is64Bit ? 0x58u : 0x30);
}

/// <summary>The files of a device: CREATE, CLEANUP and CLOSE, with the driver's events.</summary>
internal sealed class DeviceFiles
{
    private const uint StreamFile = 0x100, DeviceConfigurationError = 0xC000_0182, AccessDenied = 0xC000_0022;
    private const string CreateCompletion = "FxPkgGeneral::_CreateCompletionRoutine";

    private readonly FxDevice _device;
    private readonly FileConfig? _config;
    private readonly CallbackLock? _lock;
    private readonly Dictionary<ulong, FxFileObject> _files = [];
    private FxQueue? _creates;
    private int _open;

    public DeviceFiles(FxDevice device)
    {
        (_device, _config) = (device, device.Init.Files);
        SynchronizationScope scope = _config?.Attributes?.Scope ?? SynchronizationScope.Inherit;
        if (scope == SynchronizationScope.Inherit) scope = device.Scope;
        _lock = scope == SynchronizationScope.Device ? device.CallbackLock : null;
    }

    /// <summary>The queue that the driver wants CREATE requests in; null none.</summary>
    public FxQueue? Queue { get; private set; }

    private bool Forwards => _config?.Forwards ?? _device.Init.IsFilter;
    private FileClass Class => _config is null ? FileClass.NotRequired : _config.Class & ~FileClass.CanBeOptional;
    private BenchMachine Machine => _device.Machine;

    public static void AddTo(KmdfFramework framework, NtServices library)
        => library.Add(CreateCompletion, "ppp", Irql.Dispatch, a =>
        {
            var irp = new FxIrp(framework.Machine, a[1]);
            irp.PropagatePending();
            framework.Handles.Get<FxDevice>(a[2], "WDFDEVICE").Files.EndCreate(irp.File, irp.Status);
            return irp.Status;
        });

    /// <summary>WdfDeviceConfigureRequestDispatching. The status of what the queue must be.</summary>
    public uint Configure(FxQueue queue)
    {
        if (!queue.Handles(Irp.Create)) return NtStatus.InvalidDeviceRequest;
        if (Queue is not null) return NtStatus.InvalidParameter;
        Queue = queue;
        return NtStatus.Success;
    }

    /// <summary>Of a FILE_OBJECT; null when the driver wants none.</summary>
    public FxFileObject? Find(ulong file) => _files.GetValueOrDefault(file);

    public uint Create(FxIrp irp)
    {
        _open++;
        uint status = NtStatus.Success;
        if (_device.Init.IsExclusive && _open > 1) status = AccessDenied;
        else if (Class != FileClass.NotRequired && irp.File == 0 && (Class != FileClass.CannotUseFsContexts || !_device.Init.IsExclusive))
        {
            Machine.Report(Rule.Framework, $"a CREATE without a FILE_OBJECT comes to {_device}, whose driver wants file objects");
            status = DeviceConfigurationError;
        }
        if (!NtStatus.IsSuccess(status))
        {
            _open--;
            irp.Information = 0;
            return irp.Complete(status);
        }
        FxFileObject? file = Class == FileClass.NotRequired ? null : Add(irp.File);
        if (Queue is { } queue) return queue.Accept(irp);
        if (_config is not { Create: not 0 })
        {
            if (Forwards) return irp.SendOn(_device.Attached, _device.Framework.AddressOf(CreateCompletion), _device.Handle);
            irp.Information = 0;
            return irp.Complete(NtStatus.Success);
        }
        // The request waits in a queue of the framework's, so that the driver can forward it, or mark it cancelable.
        _creates ??= new FxQueue(_device, null, QueueConfig.OfCreates) { IsFrameworkOwned = true };
        uint returned = _creates.Accept(irp);
        if (_creates.Take() is not { } request) return returned;
        request.IsPresented = true;
        Call("EvtDeviceFileCreate", _config.Create, _device.Handle, request.Handle, file?.Handle ?? 0);
        return returned;
    }

    /// <summary>A CREATE has ended. Of one that failed NT knows no file: neither CLEANUP nor CLOSE will come.</summary>
    public void EndCreate(ulong file, uint status)
    {
        if (NtStatus.IsSuccess(status)) return;
        Remove(file);
        _open--;
    }

    /// <summary>The last handle is gone: the driver is told, then what of the file waits in queues is cancelled.</summary>
    public uint CleanUp(FxIrp irp)
    {
        if (!IsStream(irp.File))
        {
            if (_config is { } config) Call("EvtFileCleanup", config.Cleanup, Find(irp.File)?.Handle ?? 0);
            _device.CancelFile(irp.File);
        }
        return PassOn(irp);
    }

    public uint Close(FxIrp irp)
    {
        if (IsStream(irp.File)) return PassOn(irp);
        if (_config is { } config) Call("EvtFileClose", config.Close, Find(irp.File)?.Handle ?? 0);
        Remove(irp.File);
        uint status = PassOn(irp);
        _open--;
        return status;
    }

    private FxFileObject Add(ulong file)
    {
        var made = new FxFileObject(_device, _config!.Attributes, file);
        _files[file] = made;
        SetContext(file, made.Handle);
        return made;
    }

    private void Remove(ulong file)
    {
        if (!_files.Remove(file, out FxFileObject? gone)) return;
        SetContext(file, 0);
        gone.Delete();
    }

    // FILE_OBJECT: FsContext and FsContext2.
    private void SetContext(ulong file, ulong value)
    {
        if (file == 0 || Class is not (FileClass.CanUseFsContext or FileClass.CanUseFsContext2)) return;
        uint first = Machine.Is64Bit ? 0x18u : 0xC;
        Machine.Guest.SetPointer(file + first + (Class == FileClass.CanUseFsContext2 ? (uint)Machine.Layout.Pointer : 0), value);
    }

    private bool IsStream(ulong file) => (FxFileObject.FlagsOf(Machine, file) & StreamFile) != 0;

    private uint PassOn(FxIrp irp)
    {
        if (Forwards) return irp.Skip(_device.Attached);
        irp.Information = 0;
        return irp.Complete(NtStatus.Success);
    }

    private void Call(string name, ulong routine, params ulong[] arguments)
        => _device.Framework.Raise(_lock, _device.Client, name, "", routine, arguments);
}
