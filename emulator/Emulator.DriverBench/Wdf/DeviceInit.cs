namespace Emulator.DriverBench.Wdf;

/// <summary>WDF_PNPPOWER_EVENT_CALLBACKS, in the structure's order.</summary>
internal enum PnpPowerCallback
{
    D0Entry,
    D0EntryPostInterruptsEnabled,
    D0Exit,
    D0ExitPreInterruptsDisabled,
    PrepareHardware,
    ReleaseHardware,
    SelfManagedIoCleanup,
    SelfManagedIoFlush,
    SelfManagedIoInit,
    SelfManagedIoSuspend,
    SelfManagedIoRestart,
    SurpriseRemoval,
    QueryRemove,
    QueryStop,
    UsageNotification,
    RelationsQuery,
    UsageNotificationEx,
}

/// <summary>WDF_DEVICE_IO_TYPE.</summary>
internal enum DeviceIoType
{
    Undefined,
    Neither,
    Buffered,
    Direct,
}

/// <summary>A WDFDEVICE_INIT: what EvtDriverDeviceAdd says of the device it is about to create.</summary>
internal sealed class DeviceInit
{
    public DeviceInit(KmdfFramework framework, FxClient client, ulong pdo)
    {
        (Client, Pdo, Handle) = (client, pdo, framework.Handles.Next());
        framework.Inits.Add(Handle, this);
    }

    public FxClient Client { get; }
    public ulong Pdo { get; }
    public ulong Handle { get; }

    /// <summary>The device that was made from it.</summary>
    public FxDevice? Created { get; set; }

    public ulong[] Callbacks { get; set; } = new ulong[Enum.GetValues<PnpPowerCallback>().Length];

    /// <summary>By PnP state: the callback, and of which notifications (WDF_STATE_NOTIFICATION_TYPE).</summary>
    public Dictionary<PnpState, (ulong Routine, uint Types)> StateCallbacks { get; } = [];

    public bool IsFilter { get; set; }
    public DeviceIoType IoType { get; set; } = DeviceIoType.Buffered;

    /// <summary>FILE_DEVICE_UNKNOWN.</summary>
    public uint DeviceType { get; set; } = 0x22;

    /// <summary>FILE_DEVICE_SECURE_OPEN.</summary>
    public uint Characteristics { get; set; } = 0x100;
    public bool IsExclusive { get; set; }
    public bool IsPageable { get; set; } = true;
    public ObjectAttributes? RequestAttributes { get; set; }

    /// <summary>Null: the driver is not told of files.</summary>
    public FileConfig? Files { get; set; }
}
