using System.Text.Json;
using System.Text.Json.Serialization;
using DeviceModels.Scratch;
using Emulator.Pci;
using Emulator.Testing;

namespace DeviceModels.Tests.Scratch;

[Category("Unit")]
public sealed class ScratchOptionsTests
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter() } };

    [Test]
    public void No_options_make_a_function_with_4K_of_registers_and_INTA()
    {
        FakePciHost host = Plug("{}");
        Assert.That(host.Config.Read32(0x00), Is.EqualTo(0x10f0_1af4));
        Assert.That(host.Config.Read32(0x08), Is.EqualTo(0xff00_0001));
        Assert.That(host.Config.Read8(0x3d), Is.EqualTo(1));
        Assert.That(host.Function.Bars[0]!.Size, Is.EqualTo(4096));
        host.Bar(0).Write32(0xffc, 0xdead_beef);
        Assert.That(host.Bar(0).Read32(0xffc), Is.EqualTo(0xdead_beef));
    }

    [Test]
    public void Identity_is_what_the_options_say()
    {
        FakePciHost host = Plug("""
            { "vendor": "0x8086", "device": "4660", "subsystemVendor": "0x1028", "subsystem": "0x0001", "classCode": "0x020000", "revision": "0x7f",
              "interrupts": { "pin": "C" } }
            """);
        Assert.That(host.Config.Read32(0x00), Is.EqualTo(0x1234_8086));
        Assert.That(host.Config.Read32(0x08), Is.EqualTo(0x0200_007f));
        Assert.That(host.Config.Read32(0x2c), Is.EqualTo(0x0001_1028));
        Assert.That(host.Config.Read8(0x3d), Is.EqualTo(3));
    }

    [Test]
    public void Initial_contents_are_the_file_then_the_fill_and_come_back_at_power_on()
    {
        const string Options = """{ "bars": [ { "size": "4K", "content": "CONTENT", "fill": "0xee", "file": "boot.bin" } ] }""";
        foreach (string content in new[] { "Ram", "Registers" })
        {
            FakePciHost host = Plug(Options.Replace("CONTENT", content, StringComparison.Ordinal),
                name => name == "boot.bin" ? [1, 2, 3, 4, 5, 6] : throw new FileNotFoundException());
            Assert.That(host.Bar(0).ReadBytes(0, 8), Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6, 0xee, 0xee }));
            Assert.That(host.Bar(0).Read8(0xfff), Is.EqualTo(0xee));
            host.Bar(0).Write32(0, 0);
            host.Function.Reset(ResetKind.PowerOn);
            host.Config.Write16(0x04, 7);
            Assert.That(host.Bar(0).Read32(0), Is.EqualTo(0x0403_0201));
        }
    }

    [Test]
    public void RAM_keeps_its_contents_over_a_function_level_reset()
    {
        FakePciHost host = Plug("""{ "bars": [ { "content": "Ram" } ], "capabilities": { "advancedFeatures": true } }""");
        host.Bar(0).Write32(0x10, 0x1111_2222);
        host.Config.Write8(host.FindCapability(0x13) + 4, 1);
        host.Config.Write16(0x04, 7);
        Assert.That(host.Bar(0).Read32(0x10), Is.EqualTo(0x1111_2222));
    }

    [Test]
    public void Mapped_RAM_leaves_out_the_pages_registers_are_in()
    {
        FakePciHost host = Plug("""
            { "bars": [ { "size": "64K", "content": "Ram", "mapped": "All" } ], "engine": { "offset": "0x2800" },
              "interrupts": { "msiX": { "vectors": 2, "bar": 0, "tableOffset": "0x8000", "pendingOffset": "0xfff8" } } }
            """);
        Assert.That(Windows(host), Is.EqualTo(new (ulong, ulong, bool, bool)[]
        {
            (0x0000, 0x2000, false, true), (0x2000, 0x800, false, false), (0x2800, 0x40, true, false), (0x2840, 0x7c0, false, false),
            (0x3000, 0x5000, false, true), (0x8000, 0x20, true, false), (0x8020, 0xfe0, false, false), (0x9000, 0x6000, false, true),
            (0xf000, 0xff8, false, false), (0xfff8, 8, true, false),
        }));
    }

    [Test]
    public void Sparse_areas_are_mapped_and_nothing_else()
    {
        FakePciHost host = Plug("""
            { "bars": [ { "size": "32K", "content": "Ram", "mappedAreas": [ { "offset": "16K", "size": "4K" }, { "size": "0x2000" } ] } ] }
            """);
        Assert.That(Windows(host), Is.EqualTo(new (ulong, ulong, bool, bool)[]
        {
            (0, 0x2000, false, true), (0x2000, 0x2000, false, false), (0x4000, 0x1000, false, true), (0x5000, 0x3000, false, false),
        }));
        host.Bar(0).Write64(0x1ffc, 0x1122_3344_5566_7788);
        Assert.That(host.Bar(0).Read64(0x1ffc), Is.EqualTo(0x1122_3344_5566_7788), "an access across the edge of a mapped area");
    }

    [Test]
    public void MSI_X_without_a_BAR_gets_one_of_its_own()
    {
        FakePciHost host = Plug("""{ "bars": [ { "index": 4, "kind": "Memory64", "size": "1M" } ], "interrupts": { "msiX": { "vectors": 3 } } }""");
        int at = host.FindCapability(0x11);
        Assert.That(host.Config.Read16(at + 2) & 0x7ff, Is.EqualTo(2));
        Assert.That(host.Config.Read32(at + 4), Is.EqualTo(3), "BAR3, offset 0");
        Assert.That(host.Config.Read32(at + 8), Is.EqualTo(0x30 | 3), "after the table");
        host.Bar(3).Write32(0x2c, 0);
        Assert.That(host.Bar(3).Read32(0x2c), Is.Zero, "the mask bit of vector 2");
    }

    [Test]
    public void Many_vectors_are_served_when_that_is_said()
    {
        FakePciHost host = Plug("""{ "interrupts": { "msiX": { "vectors": 2048, "allowMany": true } } }""");
        Assert.That(host.Config.Read16(host.FindCapability(0x11) + 2) & 0x7ff, Is.EqualTo(2047));
        Assert.That(host.Function.Bars[5]!.Size, Is.EqualTo(64 * 1024));
    }

    [Test]
    public void Every_capability_is_found_by_walking_the_chain()
    {
        FakePciHost host = Plug("""
            { "interrupts": { "pin": "None", "msi": 32, "msiX": {} },
              "capabilities": { "powerManagement": true, "pciExpress": true, "vendorSpecific": [ "aa bb cc", "01" ] } }
            """);
        Assert.That(Chain(host), Is.EquivalentTo(new byte[] { 0x01, 0x05, 0x11, 0x10, 0x09, 0x09 }));
        Assert.That(host.Config.Read32(host.FindCapability(0x09)) >> 16, Is.EqualTo(0xaa06));
        Assert.That(host.Config.Read8(0x3d), Is.Zero);
        Assert.That(host.Function.RegionSize(PciRegion.Configuration), Is.EqualTo(4096));
    }

    [TestCase("""{ "vendor": "abc" }""", "vendor: 'abc' is not a number; write")]
    [TestCase("""{ "vendor": "0x1ffff" }""", "vendor: 0x1ffff is too large; write at most 0xffff")]
    [TestCase("""{ "vendor": "0xffff" }""", "vendor: 0xffff means that no function is there; write another")]
    [TestCase("""{ "device": "" }""", "device: '' is not a number")]
    [TestCase("""{ "device": "-1" }""", "device: '-1' is not a number")]
    [TestCase("""{ "classCode": "0x1000000" }""", "classCode: 0x1000000 is too large")]
    [TestCase("""{ "revision": "99999999999G" }""", "revision: '99999999999G' is not a number")]
    [TestCase("""{ "bars": [ null ] }""", "bars[0]: is null; write {}")]
    [TestCase("""{ "bars": [ { "index": 6 } ] }""", "bars[0].index: 6 is not a place for Memory32; write 0 to 5")]
    [TestCase("""{ "bars": [ { "index": 5, "kind": "Memory64" } ] }""", "bars[0].index: 5 is not a place for Memory64; write 0 to 4")]
    [TestCase("""{ "bars": [ { "index": 2147483647, "kind": "Memory64" } ] }""", "bars[0].index: 2147483647 is not a place for Memory64")]
    [TestCase("""{ "bars": [ { "index": -1 } ] }""", "bars[0].index: -1 is not a place")]
    [TestCase("""{ "bars": [ { "kind": "Memory64" }, { "index": 1 } ] }""", "bars[1].index: BAR1 is taken by bars[0]; write another index")]
    [TestCase("""{ "bars": [ { "kind": 7 } ] }""", "bars[0].kind: '7' is not one of its values; write Io, Memory32, Memory64")]
    [TestCase("""{ "bars": [ { "size": "48K" } ] }""", "bars[0].size: 48K is not a power of two from 16 to 1G; write \"32768\" or \"65536\"")]
    [TestCase("""{ "bars": [ { "size": "0" } ] }""", "bars[0].size: 0 is not a power of two from 16 to 1G; write \"16\"")]
    [TestCase("""{ "bars": [ { "size": "4G" } ] }""", "bars[0].size: 4G is not a power of two from 16 to 1G; write \"1073741824\"")]
    [TestCase("""{ "bars": [ { "kind": "Io", "size": "512" } ] }""", "bars[0].size: 512 is not a power of two from 4 to 256; write \"256\"")]
    [TestCase("""{ "bars": [ { "size": "1M", "content": "Registers" } ] }""", "bars[0].content: 1M of registers are too many; write at most 64K")]
    [TestCase("""{ "bars": [ { "content": 9 } ] }""", "bars[0].content: '9' is not one of its values")]
    [TestCase("""{ "bars": [ { "kind": "Io", "prefetchable": true } ] }""", "bars[0].prefetchable: I/O is never prefetchable")]
    [TestCase("""{ "bars": [ { "kind": "Io", "content": "Ram", "mapped": "All" } ] }""", "bars[0].mapped: I/O cannot be mapped")]
    [TestCase("""{ "bars": [ { "mapped": "All" } ] }""", "bars[0].mapped: registers cannot be mapped; leave it out, or write content \"Ram\"")]
    [TestCase("""{ "bars": [ { "size": "2K", "content": "Ram", "mapped": "All" } ] }""", "bars[0].mapped: a BAR smaller than a page cannot be mapped")]
    [TestCase("""{ "bars": [ { "content": "Ram", "mapped": "None", "mappedAreas": [ { "size": "4K" } ] } ] }""",
        "bars[0].mapped: says the same as mappedAreas")]
    [TestCase("""{ "bars": [ { "content": "Ram", "mappedAreas": [ { "size": "1K" } ] } ] }""", "bars[0].mappedAreas[0]: is not whole pages")]
    [TestCase("""{ "bars": [ { "content": "Ram", "mappedAreas": [ null ] } ] }""", "bars[0].mappedAreas[0]: is not whole pages")]
    [TestCase("""{ "bars": [ { "size": "8K", "content": "Ram", "mappedAreas": [ { "offset": "4K", "size": "8K" } ] } ] }""",
        "bars[0].mappedAreas[0]: reaches beyond")]
    [TestCase("""{ "bars": [ { "size": "8K", "content": "Ram", "mappedAreas": [ { "size": "8K" }, { "offset": "4K", "size": "4K" } ] } ] }""",
        "bars[0].mappedAreas[1]: overlaps")]
    [TestCase("""{ "bars": [ { "fill": "256" } ] }""", "bars[0].fill: 256 is too large; write at most 0xff")]
    [TestCase("""{ "bars": [ { "file": "missing.bin" } ] }""", "bars[0].file: no such file; write the name of a file that can be read")]
    [TestCase("""{ "bars": [ { "size": "16", "file": "17.bin" } ] }""", "bars[0].file: '17.bin' has 17 bytes, the BAR 16; write a size of at least 32")]
    [TestCase("""{ "engine": { "bar": 3 } }""", "engine.bar: there is no BAR3; write 0, or add it to bars")]
    [TestCase("""{ "bars": [], "engine": {} }""", "engine.bar: there is no BAR0; add it to bars")]
    [TestCase("""{ "engine": { "offset": "4" } }""", "engine.offset: 0x4 is not a multiple of 8; write \"0x0\"")]
    [TestCase("""{ "engine": { "offset": "4088" } }""", "engine.offset: 0x40 bytes at 0xff8 do not fit the 0x1000 of BAR0")]
    [TestCase("""{ "interrupts": { "pin": 9 } }""", "interrupts.pin: '9' is not one of its values; write None, A, B, C, D")]
    [TestCase("""{ "interrupts": { "msi": 3 } }""", "interrupts.msi: 3 vectors do not exist; write 1, 2, 4, 8, 16 or 32")]
    [TestCase("""{ "interrupts": { "msiX": { "vectors": 0 } } }""", "interrupts.msiX.vectors: 0 is out of range; write 1 to 16")]
    [TestCase("""{ "interrupts": { "msiX": { "vectors": 17 } } }""", "interrupts.msiX.vectors: 17 is out of range; write 1 to 16, or \"allowMany\": true")]
    [TestCase("""{ "interrupts": { "msiX": { "vectors": 4096, "allowMany": true } } }""", "interrupts.msiX.vectors: 4096 is out of range; write 1 to 2048")]
    [TestCase("""{ "interrupts": { "msiX": { "bar": 2 } } }""", "interrupts.msiX.bar: there is no BAR2")]
    [TestCase("""{ "bars": [ { "kind": "Io" } ], "interrupts": { "msiX": { "bar": 0 } } }""", "interrupts.msiX.bar: BAR0 is I/O; name a memory BAR")]
    [TestCase("""{ "engine": {}, "interrupts": { "msiX": { "bar": 0 } } }""",
        "interrupts.msiX.tableOffset: 0x0 overlaps engine.offset at 0x0; write \"0x40\" or more")]
    [TestCase("""{ "interrupts": { "msiX": { "bar": 0, "pendingOffset": "8" } } }""",
        "interrupts.msiX.pendingOffset: 0x8 overlaps interrupts.msiX.tableOffset")]
    [TestCase("""{ "bars": [ {}, {"index":1}, {"index":2}, {"index":3}, {"index":4}, {"index":5} ], "interrupts": { "msiX": {} } }""",
        "interrupts.msiX.bar: no BAR is free")]
    [TestCase("""{ "capabilities": { "pciExpress": true, "advancedFeatures": true } }""",
        "capabilities.advancedFeatures: a PCI Express function resets by its own")]
    [TestCase("""{ "capabilities": { "vendorSpecific": [ "00", "0g" ] } }""",
        "capabilities.vendorSpecific[1]: '0g' is not bytes in hexadecimal; write two digits")]
    [TestCase("""{ "capabilities": { "vendorSpecific": [ null, "LONG" ] } }""", "capabilities.vendorSpecific[1]: 200 bytes do not fit; write at most 185")]
    public void A_bad_option_gets_one_line_that_names_it_and_the_remedy(string json, string message)
    {
        var options = Parse(json.Replace("LONG", new string('0', 400), StringComparison.Ordinal));
        byte[] ReadFile(string name) => name == "17.bin" ? new byte[17] : throw new FileNotFoundException("no such file");
        ScratchOptionsException e = Assert.Throws<ScratchOptionsException>(() => _ = new ScratchFunction(options, new DetachedSlot(), ReadFile))!;
        Assert.That(e.Message, Does.StartWith(message).And.Not.Contains('\n'));
    }

    [Test]
    public void A_file_where_nobody_reads_files_is_said_so()
        => Assert.That(() => new ScratchFunction(Parse("""{ "bars": [ { "file": "x" } ] }"""), new DetachedSlot()),
            Throws.TypeOf<ScratchOptionsException>().With.Message.StartsWith("bars[0].file: files cannot be read here"));

    private static ScratchOptions Parse(string json) => JsonSerializer.Deserialize<ScratchOptions>(json, s_json)!;

    private static FakePciHost Plug(string json, Func<string, byte[]>? readFile = null)
    {
        var host = new FakePciHost();
        host.Plug(new ScratchFunction(Parse(json), host.Slot, readFile));
        return host;
    }

    private static IEnumerable<(ulong, ulong, bool, bool)> Windows(FakePciHost host)
        => host.Function.Bars[0]!.Windows.Select(w => (w.Offset, w.Length, w.Bank is not null, w.IsMappable));

    private static List<byte> Chain(FakePciHost host)
    {
        var ids = new List<byte>();
        for (int at = host.Config.Read8(0x34); at != 0; at = host.Config.Read8(at + 1)) ids.Add(host.Config.Read8(at));
        return ids;
    }
}
