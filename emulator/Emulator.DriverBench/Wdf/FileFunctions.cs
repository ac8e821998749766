using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFFILEOBJECT.</summary>
internal sealed class FileFunctions(KmdfFramework framework)
{
    public void AddTo(FunctionTable table)
    {
        table.Add("WdfDeviceInitSetFileObjectConfig", "ppp", Irql.Dispatch, (_, a) => Configure(a[0], a[1], a[2]));
        table.Add("WdfFileObjectGetFileName", "p", Irql.Dispatch, (_, a) => Get(a[0]).Name);
        table.Add("WdfFileObjectGetFlags", "p", Irql.Dispatch, (_, a) => Get(a[0]).Flags);
        table.Add("WdfFileObjectGetDevice", "p", Irql.Dispatch, (_, a) => Get(a[0]).Device.Handle);
        table.Add("WdfFileObjectWdmGetFileObject", "p", Irql.Dispatch, (_, a) => Get(a[0]).File);
        table.Add("WdfRequestGetFileObject", "p", Irql.Dispatch, (_, a) => FileOf(framework.Handles.Get<FxRequest>(a[0], "WDFREQUEST")));
    }

    private FxFileObject Get(ulong handle) => framework.Handles.Get<FxFileObject>(handle, "WDFFILEOBJECT");

    private static ulong FileOf(FxRequest request) => request.Queue.Device.Files.Find(request.Irp.File)?.Handle ?? 0;

    /// <summary>WDF_FILEOBJECT_CONFIG: Size, EvtDeviceFileCreate, EvtFileClose, EvtFileCleanup, AutoForwardCleanupClose, FileObjectClass.</summary>
    private ulong Configure(ulong init, ulong at, ulong attributesAt)
    {
        DeviceInit device = framework.FindInit(init);
        var reader = new StructReader(framework.Machine, framework.NotNull(at, "FileObjectConfig"));
        uint size = reader.U32();
        ulong create = reader.Pointer(), close = reader.Pointer(), cleanup = reader.Pointer();
        uint forwards = reader.U32(), fileClass = reader.U32();
        if (size != reader.Size)
        {
            framework.WrongSize("WDF_FILEOBJECT_CONFIG", size, reader.Size);
            return 0;
        }
        uint status = ObjectAttributes.Read(framework, attributesAt, AttributeRules.NoParent | AttributeRules.Levels, out ObjectAttributes? attributes);
        FileClass normal = (FileClass)fileClass & ~FileClass.CanBeOptional;
        if (!NtStatus.IsSuccess(status) || forwards > 2 || normal is < FileClass.NotRequired or > FileClass.CannotUseFsContexts)
        {
            framework.Machine.Report(Rule.Framework,
                $"{framework.Function} with AutoForwardCleanupClose {forwards}, FileObjectClass 0x{fileClass:x} and attributes of status 0x{status:x8}");
            return 0;
        }
        // WDF_TRI_STATE: no, yes, as is the default.
        device.Files = new FileConfig(create, close, cleanup, forwards == 2 ? null : forwards == 1, (FileClass)fileClass, attributes);
        return 0;
    }
}
