using System.Globalization;
using System.Text.RegularExpressions;
using Emulator.Nt;
using Emulator.Nt.Views;

namespace Emulator.Tests.Nt;

/// <summary>The listings of Microsoft's text on driver pairs, made again from objects that hold what they show.</summary>
[TestFixture, Category("Unit")]
internal sealed partial class DriverListingTests
{
    private const string Parport = """
        Driver object (fffffa80048d9e70) is for:
        \Driver\Parport
        DriverEntry: fffff880065ea070 parport!GsDriverEntry
        DriverStartIo: 00000000
        DriverUnload: fffff880065e131c parport!PptUnload
        AddDevice: fffff880065d2008 parport!P5AddDevice
        Dispatch routines:
        [00] IRP_MJ_CREATE fffff880065d49d0 parport!PptDispatchCreateOpen
        [01] IRP_MJ_CREATE_NAMED_PIPE fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [02] IRP_MJ_CLOSE fffff880065d4a78 parport!PptDispatchClose
        [03] IRP_MJ_READ fffff880065d4bac parport!PptDispatchRead
        [04] IRP_MJ_WRITE fffff880065d4bac parport!PptDispatchRead
        [05] IRP_MJ_QUERY_INFORMATION fffff880065d4c40 parport!PptDispatchQueryInformation
        [06] IRP_MJ_SET_INFORMATION fffff880065d4ce4 parport!PptDispatchSetInformation
        [07] IRP_MJ_QUERY_EA fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [08] IRP_MJ_SET_EA fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [09] IRP_MJ_FLUSH_BUFFERS fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [0a] IRP_MJ_QUERY_VOLUME_INFORMATION fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [0b] IRP_MJ_SET_VOLUME_INFORMATION fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [0c] IRP_MJ_DIRECTORY_CONTROL fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [0d] IRP_MJ_FILE_SYSTEM_CONTROL fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [0e] IRP_MJ_DEVICE_CONTROL fffff880065d4be8 parport!PptDispatchDeviceControl
        [0f] IRP_MJ_INTERNAL_DEVICE_CONTROL fffff880065d4c24 parport!PptDispatchInternalDeviceControl
        [10] IRP_MJ_SHUTDOWN fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [11] IRP_MJ_LOCK_CONTROL fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [12] IRP_MJ_CLEANUP fffff880065d4af4 parport!PptDispatchCleanup
        [13] IRP_MJ_CREATE_MAILSLOT fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [14] IRP_MJ_QUERY_SECURITY fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [15] IRP_MJ_SET_SECURITY fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [16] IRP_MJ_POWER fffff880065d491c parport!PptDispatchPower
        [17] IRP_MJ_SYSTEM_CONTROL fffff880065d4d4c parport!PptDispatchSystemControl
        [18] IRP_MJ_DEVICE_CHANGE fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [19] IRP_MJ_QUERY_QUOTA fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [1a] IRP_MJ_SET_QUOTA fffff80001b6ecd4 nt!IopInvalidDeviceRequest
        [1b] IRP_MJ_PNP fffff880065d4840 parport!PptDispatchPnp

        """;

    private const string Netwlv64 = """
        Driver object (fffffa8002e5f420) is for:
        \Driver\netwlv64
        DriverEntry: fffff8800482f064 netwlv64!GsDriverEntry
        DriverStartIo: 00000000
        DriverUnload: fffff8800195c5f4 ndis!ndisMUnloadEx
        AddDevice: fffff88001940d30 ndis!ndisPnPAddDevice
        Dispatch routines:
        [00] IRP_MJ_CREATE fffff880018b5530 ndis!ndisCreateIrpHandler
        [01] IRP_MJ_CREATE_NAMED_PIPE fffff88001936f00 ndis!ndisDummyIrpHandler
        [02] IRP_MJ_CLOSE fffff880018b5870 ndis!ndisCloseIrpHandler
        [03] IRP_MJ_READ fffff88001936f00 ndis!ndisDummyIrpHandler
        [04] IRP_MJ_WRITE fffff88001936f00 ndis!ndisDummyIrpHandler
        [05] IRP_MJ_QUERY_INFORMATION fffff88001936f00 ndis!ndisDummyIrpHandler
        [06] IRP_MJ_SET_INFORMATION fffff88001936f00 ndis!ndisDummyIrpHandler
        [07] IRP_MJ_QUERY_EA fffff88001936f00 ndis!ndisDummyIrpHandler
        [08] IRP_MJ_SET_EA fffff88001936f00 ndis!ndisDummyIrpHandler
        [09] IRP_MJ_FLUSH_BUFFERS fffff88001936f00 ndis!ndisDummyIrpHandler
        [0a] IRP_MJ_QUERY_VOLUME_INFORMATION fffff88001936f00 ndis!ndisDummyIrpHandler
        [0b] IRP_MJ_SET_VOLUME_INFORMATION fffff88001936f00 ndis!ndisDummyIrpHandler
        [0c] IRP_MJ_DIRECTORY_CONTROL fffff88001936f00 ndis!ndisDummyIrpHandler
        [0d] IRP_MJ_FILE_SYSTEM_CONTROL fffff88001936f00 ndis!ndisDummyIrpHandler
        [0e] IRP_MJ_DEVICE_CONTROL fffff8800193696c ndis!ndisDeviceControlIrpHandler
        [0f] IRP_MJ_INTERNAL_DEVICE_CONTROL fffff880018f9114 ndis!ndisDeviceInternalIrpDispatch
        [10] IRP_MJ_SHUTDOWN fffff88001936f00 ndis!ndisDummyIrpHandler
        [11] IRP_MJ_LOCK_CONTROL fffff88001936f00 ndis!ndisDummyIrpHandler
        [12] IRP_MJ_CLEANUP fffff88001936f00 ndis!ndisDummyIrpHandler
        [13] IRP_MJ_CREATE_MAILSLOT fffff88001936f00 ndis!ndisDummyIrpHandler
        [14] IRP_MJ_QUERY_SECURITY fffff88001936f00 ndis!ndisDummyIrpHandler
        [15] IRP_MJ_SET_SECURITY fffff88001936f00 ndis!ndisDummyIrpHandler
        [16] IRP_MJ_POWER fffff880018c35e8 ndis!ndisPowerDispatch
        [17] IRP_MJ_SYSTEM_CONTROL fffff880019392c8 ndis!ndisWMIDispatch
        [18] IRP_MJ_DEVICE_CHANGE fffff88001936f00 ndis!ndisDummyIrpHandler
        [19] IRP_MJ_QUERY_QUOTA fffff88001936f00 ndis!ndisDummyIrpHandler
        [1a] IRP_MJ_SET_QUOTA fffff88001936f00 ndis!ndisDummyIrpHandler
        [1b] IRP_MJ_PNP fffff8800193e518 ndis!ndisPnPDispatch

        """;

    private static readonly string[] Listings = [Parport, Netwlv64];

    [Test]
    public void A_listing_of_the_text_comes_out_character_for_character([ValueSource(nameof(Listings))] string text, [Values] bool is64)
    {
        string wanted = is64 ? text : Shortened(text);
        NtViewer viewer = Plant(wanted, is64, out string name, out _);
        Assert.That(viewer.TryFindDriver(name, out var driver, out _), Is.True);
        Assert.That(viewer.ShowDriver(driver!.Address.Value, DriverListingParts.Dispatch)!.ToString(), Is.EqualTo(wanted));
    }

    [Test]
    public void A_parport_driver_is_no_pair([Values] bool is64)
    {
        NtViewer viewer = Plant(is64 ? Parport : Shortened(Parport), is64, out _, out ulong driver);
        DriverPairListing pair = viewer.ShowPair(driver)!;
        Assert.That(pair.IsPair, Is.False);
        Assert.That(pair.Specific, Is.EqualTo("parport"));
        Assert.That(pair.DefaultEntry!.Entry.Symbol, Is.EqualTo("nt!IopInvalidDeviceRequest"));
        Assert.That(pair.DefaultEntry.Count, Is.EqualTo(28 - 12));
        Assert.That(pair.ToString(), Does.StartWith("parport.sys is a driver on its own, no pair\n"));
    }

    [Test]
    public void A_miniport_and_the_ndis_library_are_a_pair([Values] bool is64)
    {
        NtViewer viewer = Plant(is64 ? Netwlv64 : Shortened(Netwlv64), is64, out _, out ulong driver);
        DriverPairListing pair = viewer.ShowPair(driver)!;
        Assert.That(pair.Files, Is.EqualTo("(netwlv64.sys, ndis.sys)"));
        Assert.That(pair.DefaultEntry!.Entry.Symbol, Is.EqualTo("ndis!ndisDummyIrpHandler"));
        GeneralHalf general = pair.General.Single();
        Assert.That(general, Has.Property("HoldsAddDevice").True.And.Property("HoldsUnload").True.And.Property("HoldsStartIo").False);
        Assert.That(general.DispatchRoutines, Is.EqualTo(new[]
        {
            "IRP_MJ_CREATE", "IRP_MJ_CLOSE", "IRP_MJ_DEVICE_CONTROL", "IRP_MJ_INTERNAL_DEVICE_CONTROL", "IRP_MJ_POWER", "IRP_MJ_SYSTEM_CONTROL", "IRP_MJ_PNP",
        }));
        Assert.That(pair.IsOneLevel, Is.False, "it has no device yet");
        Assert.That(pair.ToString(), Does.Contain("General half: ndis holds AddDevice, DriverUnload, 7 dispatch routines\n")
            .And.Contain("The pair has no device object.\n"));
    }

    [TestCase("netwlv64")]
    [TestCase("NETWLV64.SYS")]
    [TestCase(@"\driver\NETWLV64")]
    [TestCase("fffffa80`02e5f420")]
    [TestCase("0xfffffa8002e5f420")]
    public void A_driver_is_found_as_people_name_it(string name)
    {
        NtViewer viewer = Plant(Netwlv64, true, out _, out ulong address);
        Assert.That(viewer.TryFindDriver(name, out var driver, out string? problem), Is.True, problem);
        Assert.That(driver!.Address.Value, Is.EqualTo(address));
    }

    [Test]
    public void An_unknown_name_is_answered_with_the_known_ones()
    {
        NtViewer viewer = Plant(Netwlv64, true, out _, out _);
        Assert.That(viewer.TryFindDriver("netwlv65", out _, out string? problem), Is.False);
        Assert.That(problem, Is.EqualTo("There is no driver 'netwlv65'. Known are: netwlv64."));
    }

    [Test]
    public void A_layout_for_other_pointers_is_refused()
        => Assert.That(() => new NtViewer(new FakeNt(is64: true), NtLayout.X86, new FakeSymbols(), []),
            Throws.ArgumentException.With.Message.Contains("NT 5.2 x86"));

    // x86 shows the same with 8 digits.
    private static string Shortened(string listing) => LongAddress().Replace(listing, "$1");

    /// <summary>Makes the driver a listing shows.</summary>
    private static NtViewer Plant(string listing, bool is64, out string name, out ulong driver)
    {
        var memory = new FakeNt(is64);
        var symbols = new FakeSymbols();
        string[] lines = listing.Split('\n');
        driver = Hex(lines[0].Split('(', ')')[1]);
        ulong[] functions = [.. lines[2..6].Select(l => Function(l[(l.IndexOf(' ', StringComparison.Ordinal) + 1)..]))];
        ulong[] entries = [.. lines[7..35].Select(l => Function(l.Split(' ', 3)[2]))];
        ulong start = functions[0] & ~0xfffUL;
        symbols.AddModule(start, symbols.ModuleOf(functions[0])!);
        memory.AddDriver(driver, lines[1], start, functions[0], functions[1], functions[2], functions[3], entries);
        name = lines[1].Split('\\')[^1];
        return new NtViewer(memory, is64 ? NtLayout.X64 : NtLayout.X86, symbols, [driver]);

        ulong Function(string text)
        {
            string[] parts = text.Split(' ');
            return parts.Length == 1 ? Hex(parts[0]) : symbols.Add(Hex(parts[0]), parts[1]);
        }
    }

    private static ulong Hex(string digits) => ulong.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    [GeneratedRegex("[0-9a-f]{8}([0-9a-f]{8})")]
    private static partial Regex LongAddress();
}
