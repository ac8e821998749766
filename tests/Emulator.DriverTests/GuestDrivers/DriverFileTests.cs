using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverTests.GuestDrivers;

/// <summary>The built drivers are such as NT loads, from 5.2 on, and have the names debuggers show.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class DriverFileTests(Machine machine)
{
    private static readonly string[] Drivers = ["GeneralRobot.sys", "ProsewareRobot.sys", "ContosoRobot.sys", "AfterThought.sys"];

    private static readonly string[] AllDrivers = [.. Drivers, "KmdfRobot.sys"];

    /// <summary>All that the robots' drivers may want of NT. Each is in NT 5.2: what is newer they look up when they run.</summary>
    private static readonly string[] OldEnough =
    [
        "DbgPrint", "IoAcquireRemoveLockEx", "IoAttachDeviceToDeviceStack", "IoConnectInterrupt", "IoCreateDevice", "IoCreateSymbolicLink", "IoDeleteDevice",
        "IoDeleteSymbolicLink", "IoDetachDevice", "IoDisconnectInterrupt", "IoGetDmaAdapter", "IoInitializeRemoveLockEx", "IoInvalidateDeviceState",
        "IoRegisterDeviceInterface", "IoReleaseCancelSpinLock", "IoReleaseRemoveLockAndWaitEx", "IoReleaseRemoveLockEx", "IoSetDeviceInterfaceState",
        "IofCallDriver", "IofCompleteRequest", "KeAcquireSpinLockRaiseToDpc", "KeBugCheckEx", "KeFlushQueuedDpcs", "KeInitializeDpc", "KeInitializeEvent",
        "KeInsertQueueDpc", "KeReleaseSpinLock", "KeRemoveQueueDpc", "KeSetEvent", "KeWaitForSingleObject", "KfAcquireSpinLock", "KfReleaseSpinLock",
        "MmGetSystemRoutineAddress", "MmMapIoSpace", "MmUnmapIoSpace", "PoCallDriver", "PoRequestPowerIrp", "PoSetPowerState", "PoStartNextPowerIrp",
        "READ_REGISTER_ULONG", "READ_REGISTER_USHORT", "RtlFreeUnicodeString", "RtlInitUnicodeString", "WRITE_REGISTER_ULONG", "WRITE_REGISTER_USHORT",
        "memcpy", "memset",
    ];

    [Test]
    public void Every_driver_is_native_movable_and_has_its_checksum([ValueSource(nameof(AllDrivers))] string name)
    {
        PeImage image = GuestDriverFiles.Open(machine, name);
        image.CheckDriver(machine);
        Assert.That(image.Sections.Select(s => s.Name), Has.Member(".reloc"));
        Assert.That(image.RelocationCount, Is.Positive);
        Assert.That(image.DllCharacteristics & (DllCharacteristics.DynamicBase | DllCharacteristics.NxCompatible),
            Is.EqualTo(DllCharacteristics.DynamicBase | DllCharacteristics.NxCompatible));
        Assert.That(image.Characteristics.HasFlag(Characteristics.Dll), Is.False);
    }

    [Test]
    public void Every_driver_is_signed_and_a_changed_byte_shows([ValueSource(nameof(AllDrivers))] string name)
    {
        string certificate = Path.Combine(GuestDriverFiles.Folder, ".signing", "certificate.pem");
        (int code, string output) = GuestDriverFiles.Run("osslsigncode", "verify", "-CAfile", certificate, "-in", GuestDriverFiles.PathOf(machine, name));
        Assert.That(code, Is.Zero, output);

        byte[] file = File.ReadAllBytes(GuestDriverFiles.PathOf(machine, name));
        file[0x480] ^= 1;
        string changed = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():N}.sys");
        try
        {
            File.WriteAllBytes(changed, file);
            Assert.That(GuestDriverFiles.Run("osslsigncode", "verify", "-CAfile", certificate, "-in", changed).Code, Is.Not.Zero);
        }
        finally
        {
            File.Delete(changed);
        }
    }

    [TestCase("ProsewareRobot.cat", "ProsewareRobot.sys", "ContosoRobot.sys")]
    [TestCase("ContosoRobot.cat", "AfterThought.sys", "ProsewareRobot.sys")]
    [TestCase("KmdfRobot.cat", "KmdfRobot.sys", "GeneralRobot.sys")]
    public void A_catalog_vouches_for_the_drivers_of_its_setup_file_and_no_other(string catalog, string member, string stranger)
    {
        string certificate = Path.Combine(GuestDriverFiles.Folder, ".signing", "certificate.pem");
        (int Code, string Output) Verify(string name) => GuestDriverFiles.Run("osslsigncode", "verify", "-CAfile", certificate,
            "-catalog", GuestDriverFiles.PathOf(machine, catalog), "-in", GuestDriverFiles.PathOf(machine, name));

        (int code, string output) = Verify(member);
        Assert.That(code, Is.Zero, output);
        Assert.That(Verify(stranger).Code, Is.Not.Zero);
    }

    [Test]
    public void Every_driver_wants_of_nt_only_what_the_oldest_has([ValueSource(nameof(Drivers))] string name)
    {
        IEnumerable<PeImport> others = GuestDriverFiles.Open(machine, name).Imports.Where(i => i.Module != "GeneralRobot.sys");
        Assert.That(others.Select(i => i.Module).Distinct(), Is.SubsetOf(new[] { "ntoskrnl.exe", "HAL.dll" }));
        Assert.That(others.Select(i => i.Name), Is.SubsetOf(OldEnough));
    }

    [Test]
    public void Every_driver_starts_at_GsDriverEntry([ValueSource(nameof(Drivers))] string name)
    {
        PeImage image = GuestDriverFiles.Open(machine, name);
        Assert.That(GuestDriverFiles.Map(machine, name).Symbols[image.EntryPointRva], Is.EqualTo("GsDriverEntry"));
    }

    [Test]
    public void The_framework_driver_has_its_dispatch_from_the_framework_and_starts_at_FxDriverEntry()
    {
        PeImage image = GuestDriverFiles.Open(machine, "KmdfRobot.sys");
        Assert.That(image.Imports.Where(i => i.Module == "WDFLDR.SYS").Select(i => i.Name), Is.EquivalentTo(new[] { "WdfVersionBind", "WdfVersionUnbind" }));
        Assert.That(image.Imports.Select(i => i.Module).Distinct(), Is.SubsetOf(new[] { "WDFLDR.SYS", "ntoskrnl.exe", "HAL.dll" }));
        Assert.That(image.Imports.Where(i => i.Name!.StartsWith("Io", StringComparison.Ordinal)), Is.Empty);
        Assert.That(GuestDriverFiles.Map(machine, "KmdfRobot.sys").Symbols[image.EntryPointRva], Is.EqualTo("FxDriverEntry"));
    }

    [TestCase("ProsewareRobot.sys")]
    [TestCase("ContosoRobot.sys")]
    public void A_specific_driver_has_of_the_general_one_its_initialisation_alone(string name)
    {
        PeImage image = GuestDriverFiles.Open(machine, name);
        Assert.That(image.Imports.Where(i => i.Module == "GeneralRobot.sys").Select(i => i.Name), Is.EqualTo(new[] { "GeneralRobotInit" }));
        Assert.That(image.Exports, Is.Empty);
        // Small: dispatch, queues and PnP are the other half's.
        Assert.That(image.Imports.Where(i => i.Name!.StartsWith("Io", StringComparison.Ordinal)), Is.Empty);
    }

    [Test]
    public void The_general_driver_exports_its_initialisation_and_what_lets_it_be_unloaded()
        => Assert.That(GuestDriverFiles.Open(machine, "GeneralRobot.sys").Exports.Select(e => e.Name),
            Is.EquivalentTo(new[] { "DllInitialize", "DllUnload", "GeneralRobotInit" }));

    [TestCase("GeneralRobot.sys", "RobotDispatchCreate RobotDispatchClose RobotDispatchCleanup RobotDispatchRead RobotDispatchWrite RobotDispatchDeviceControl "
        + "RobotDispatchInternalDeviceControl RobotDispatchPower RobotDispatchSystemControl RobotDispatchPnp RobotAddDevice RobotUnload RobotIsr RobotDpc")]
    [TestCase("ProsewareRobot.sys", "DriverEntry DeviceControlCallback PnpCallback PowerCallback")]
    [TestCase("ContosoRobot.sys", "DriverEntry DeviceControlCallback PnpCallback PowerCallback")]
    [TestCase("KmdfRobot.sys", "DriverEntry EvtDriverDeviceAdd EvtDevicePrepareHardware EvtIoRead EvtIoDeviceControl "
        + "EvtInterruptIsr EvtInterruptDpc EvtDevicePnpStateChange")]
    [TestCase("AfterThought.sys", "DriverEntry AfterThoughtAddDevice AfterThoughtPass AfterThoughtPower AfterThoughtPnp AfterThoughtUnload")]
    public void The_map_names_what_a_listing_shows(string name, string functions)
        => Assert.That(functions.Split(' '), Is.SubsetOf(GuestDriverFiles.Map(machine, name).Symbols.Values));
}
