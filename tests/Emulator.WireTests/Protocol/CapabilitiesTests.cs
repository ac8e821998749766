using System.Text;
using System.Text.Json;
using Emulator.Testing;
using Emulator.VfioUser.Protocol;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.WireTests.Protocol;

[TestFixture, Category("Unit")]
public sealed class CapabilitiesTests
{
    // What QEMU 11.1 sends, as its object of capabilities.
    private const string FromQemu =
        """
        {"capabilities": {"pgsizes": 4096, "max_dma_maps": 65535, "max_data_xfer_size": 1048576, "max_msg_fds": 16,
        "migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, "write_multiple": true}}
        """;

    private static readonly string[] Alphabet =
    [
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\ud800", "\\u0063", "\0", " ", "-", "0", "1", "8.5", "1e9", "99999999999999999999999999",
        "true", "false", "null", "\"capabilities\"", "\"max_msg_fds\"", "\"max_data_xfer_size\"", "\"pgsizes\"", "\"twin_socket\"",
        "\"supported\"", "\"fd_index\"", "\"write_multiple\"", "{\"capabilities\":{", "/*", "//", "\u00e4", "\uffff",
    ];

    [Test]
    public void What_qemu_sends_is_understood()
    {
        Assert.That(TryParse(FromQemu + "\0", out Capabilities value), Is.True);
        Assert.That(value, Is.EqualTo(new Capabilities { MaxMessageFds = 16, WriteMultiple = true }));
        Assert.That(value.MaxDataTransferSize, Is.EqualTo(1048576));
        Assert.That(value.MaxDmaMaps, Is.EqualTo(65535));
        Assert.That(value.PageSizes, Is.EqualTo(4096));
        Assert.That(value.TwinSocket, Is.False);
    }

    [TestCase(""), TestCase("\0"), TestCase("{}"), TestCase("{}\0"), TestCase("{\"capabilities\":{}}"), TestCase("{}\0nonsense behind the NUL")]
    public void Whoever_names_nothing_gets_the_defaults_of_the_specification(string json)
    {
        Assert.That(TryParse(json, out Capabilities value), Is.True);
        Assert.That(value.MaxMessageFds, Is.EqualTo(1));
        Assert.That(value.MaxDataTransferSize, Is.EqualTo(1048576));
        Assert.That(value.MaxDmaMaps, Is.EqualTo(65535));
        Assert.That(value.PageSizes, Is.EqualTo(4096));
        Assert.That(value.WriteMultiple || value.TwinSocket, Is.False);
        Assert.That(value.TwinSocketFdIndex, Is.EqualTo(-1));
    }

    [Test]
    public void Unknown_names_are_skipped_with_all_they_hold()
    {
        Assert.That(
            TryParse(
                """{"future":[{"capabilities":1}],"capabilities":{"x":{"max_msg_fds":"y"},"max_msg_fds":3,"z":[1,[2]]},"w":null}""",
                out Capabilities value),
            Is.True);
        Assert.That(value.MaxMessageFds, Is.EqualTo(3));
    }

    [Test]
    public void Escaped_names_are_the_names_they_stand_for_and_broken_escapes_are_refused()
    {
        Assert.That(TryParse("""{"\u0063apabilities":{"max\u005fmsg_fds":5}}""", out Capabilities value), Is.True);
        Assert.That(value.MaxMessageFds, Is.EqualTo(5));
        Assert.That(TryParse("""{"\ud800apabilitie":{}}""", out _), Is.False);
        Assert.That(TryParse("""{"capabilities":{"\udc00x_msg_fds":5}}""", out _), Is.False);
    }

    [Test]
    public void A_twin_socket_is_read()
    {
        Assert.That(TryParse("""{"capabilities":{"twin_socket":{"supported":true,"fd_index":2,"more":{}}}}""", out Capabilities value), Is.True);
        Assert.That((value.TwinSocket, value.TwinSocketFdIndex), Is.EqualTo((true, 2)));
    }

    [Test]
    public void Numbers_above_what_an_int_holds_are_read_as_that()
    {
        Assert.That(
            TryParse(
                """{"capabilities":{"max_msg_fds":4294967296,"max_data_xfer_size":18446744073709551615,"pgsizes":18446744073709551615}}""",
                out Capabilities value),
            Is.True);
        Assert.That(value.MaxMessageFds, Is.EqualTo(int.MaxValue));
        Assert.That(value.MaxDataTransferSize, Is.EqualTo(int.MaxValue));
        Assert.That(value.PageSizes, Is.EqualTo(ulong.MaxValue));
    }

    [TestCase("{"), TestCase("}"), TestCase("nonsense"), TestCase("[]"), TestCase("null"), TestCase("1"), TestCase("\"capabilities\"")]
    [TestCase("{} {}"), TestCase("{},"), TestCase("{\"capabilities\"}"), TestCase("{\"capabilities\":{}"), TestCase("{'capabilities':{}}")]
    [TestCase("{\"capabilities\":{},}"), TestCase("{/*c*/}"), TestCase("\u0001"), TestCase(" ")]
    [TestCase("{\"capabilities\":[]}"), TestCase("{\"capabilities\":null}"), TestCase("{\"capabilities\":7}")]
    [TestCase("{\"capabilities\":{\"max_msg_fds\":-1}}"), TestCase("{\"capabilities\":{\"max_msg_fds\":1.5}}")]
    [TestCase("{\"capabilities\":{\"max_msg_fds\":\"8\"}}"), TestCase("{\"capabilities\":{\"max_msg_fds\":null}}")]
    [TestCase("{\"capabilities\":{\"max_msg_fds\":[8]}}"), TestCase("{\"capabilities\":{\"max_data_xfer_size\":true}}")]
    [TestCase("{\"capabilities\":{\"max_data_xfer_size\":18446744073709551616}}"), TestCase("{\"capabilities\":{\"max_dma_maps\":{}}}")]
    [TestCase("{\"capabilities\":{\"pgsizes\":-4096}}"), TestCase("{\"capabilities\":{\"write_multiple\":1}}")]
    [TestCase("{\"capabilities\":{\"twin_socket\":true}}"), TestCase("{\"capabilities\":{\"twin_socket\":{\"supported\":1}}}")]
    [TestCase("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":-1}}}")]
    [TestCase("{\"capabilities\":{\"twin_socket\":{\"supported\":true}}")]
    public void Text_that_is_no_json_or_of_other_types_is_refused(string json)
    {
        Assert.That(TryParse(json, out Capabilities value), Is.False);
        Assert.That(value, Is.EqualTo(new Capabilities()), "nothing half-read");
    }

    [Test]
    public void Deep_nesting_is_refused()
    {
        string deep = string.Concat(Enumerable.Repeat("[", 100_000));
        Assert.That(TryParse("{\"x\":" + deep, out _), Is.False);
        Assert.That(TryParse("{\"x\":" + deep + new string(']', 100_000) + "}", out _), Is.False);
    }

    [Test]
    public void Text_cut_anywhere_is_refused()
    {
        string whole = FromQemu.Trim();
        Assert.That(TryParse(whole, out _), Is.True);
        for (int length = 1; length < whole.Length; length++)
        {
            Assert.That(TryParse(whole[..length], out _), Is.False, whole[..length]);
        }
    }

    [Test]
    public void No_bytes_throw_and_what_is_refused_is_not_half_read()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes => Capabilities.TryParse(bytes, out Capabilities value) || value == new Capabilities())
            .Check(FixedSeed.Config);
    }

    [Test]
    public void No_text_made_of_the_pieces_of_json_throws()
    {
        Gen<string> texts = Gen.Elements(Alphabet).ListOf().Select(string.Concat);
        Prop.ForAll(texts.ToArbitrary(), text => TryParse(text, out Capabilities value) || value == new Capabilities())
            .Check(FixedSeed.Config.WithMaxTest(2000));
    }

    [Test]
    public void No_single_byte_changed_throws()
    {
        byte[] original = Encoding.UTF8.GetBytes(FromQemu);
        for (int at = 0; at < original.Length; at++)
        {
            for (int value = 0; value < 256; value++)
            {
                byte[] changed = [.. original];
                changed[at] = (byte)value;
                Assert.That(() => Capabilities.TryParse(changed, out _), Throws.Nothing);
            }
        }
    }

    [Test]
    public void What_is_written_is_json_and_reads_back_the_same()
    {
        Gen<Capabilities> any =
            from fds in Gen.Choose(0, int.MaxValue)
            from size in Gen.Choose(0, int.MaxValue)
            from maps in Gen.Choose(0, int.MaxValue)
            from pages in ArbMap.Default.GeneratorFor<ulong>()
            from multiple in ArbMap.Default.GeneratorFor<bool>()
            from twin in ArbMap.Default.GeneratorFor<bool>()
            from index in Gen.Choose(-1, 16)
            select new Capabilities
            {
                MaxMessageFds = fds,
                MaxDataTransferSize = size,
                MaxDmaMaps = maps,
                PageSizes = pages,
                WriteMultiple = multiple,
                TwinSocket = twin,
                TwinSocketFdIndex = twin ? index : -1,
            };
        Prop.ForAll(any.ToArbitrary(), capabilities =>
        {
            byte[] text = new byte[Capabilities.MaximumJsonSize];
            int length = capabilities.Write(text);
            using JsonDocument document = JsonDocument.Parse(text.AsMemory(0, length - 1));
            return text[length - 1] == 0 && Capabilities.TryParse(text.AsSpan(0, length), out Capabilities read) && read == capabilities;
        }).Check(FixedSeed.Config);
    }

    [Test]
    public void The_longest_text_fits_the_promised_room_and_less_room_throws()
    {
        var longest = new Capabilities
        {
            MaxMessageFds = int.MaxValue,
            MaxDataTransferSize = int.MaxValue,
            MaxDmaMaps = int.MaxValue,
            PageSizes = ulong.MaxValue,
            WriteMultiple = true,
            TwinSocket = true,
            TwinSocketFdIndex = int.MaxValue,
        };
        byte[] text = new byte[Capabilities.MaximumJsonSize];
        int length = longest.Write(text);
        for (int room = 0; room < length; room++)
        {
            Assert.That(() => longest.Write(text.AsSpan(0, room)), Throws.InstanceOf<ArgumentException>(), $"{room} bytes");
        }
        Assert.That(longest.Write(text.AsSpan(0, length)), Is.EqualTo(length));
    }

    [Test]
    public void Our_reply_is_shorter_than_the_request_of_qemu()
    {
        // QEMU 11.1 sends 194 bytes of JSON and NUL, and refuses a longer reply.
        byte[] payload = new byte[VersionPayload.MaximumSize];
        int length = new VersionPayload(0, 0, new Capabilities { MaxMessageFds = 8 }).Write(payload);
        Assert.That(
            Encoding.UTF8.GetString(payload.AsSpan(0, length)),
            Is.EqualTo("\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}\0"));
        int twin = new VersionPayload(0, 0, new Capabilities { MaxMessageFds = 16, TwinSocket = true, TwinSocketFdIndex = 0 }).Write(payload);
        Assert.That(twin - VersionPayload.HeaderSize, Is.LessThan(194));
    }

    [Test]
    public void A_version_payload_reads_back_and_needs_its_four_bytes()
    {
        byte[] payload = new byte[VersionPayload.MaximumSize];
        var version = new VersionPayload(0x1234, 0x5678, new Capabilities { MaxMessageFds = 3 });
        int length = version.Write(payload);
        Assert.That(payload[..4], Is.EqualTo(new byte[] { 0x34, 0x12, 0x78, 0x56 }));
        Assert.That(VersionPayload.TryRead(payload.AsSpan(0, length), out VersionPayload read), Is.True);
        Assert.That(read, Is.EqualTo(version));
        Assert.That(VersionPayload.TryRead(payload.AsSpan(0, 3), out _), Is.False);
        Assert.That(VersionPayload.TryRead(payload.AsSpan(0, 4), out read), Is.True);
        Assert.That(read.Capabilities, Is.EqualTo(new Capabilities()));
    }

    private static bool TryParse(string json, out Capabilities value) => Capabilities.TryParse(Encoding.UTF8.GetBytes(json), out value);
}
