using System.Globalization;
using System.Text;
using Emulator.Guests;

namespace Emulator.Tests.Guests;

[TestFixture]
[Category("Unit")]
public sealed class CpioArchiveTests
{
    private sealed record Entry(string Name, uint Mode, uint Links, byte[] Content);

    [Test]
    public void A_file_brings_its_directories_and_the_archive_ends_with_the_trailer()
    {
        List<Entry> entries = Write(archive => archive.AddFile("/payload/a/b", [1, 2, 3, 4, 5]));
        Assert.That(entries.Select(e => e.Name), Is.EqualTo(["payload", "payload/a", "payload/a/b", "TRAILER!!!"]));
        Assert.That(entries[0].Mode, Is.EqualTo(0x41ed), "directory, 0755");
        Assert.That(entries[2].Mode, Is.EqualTo(0x81a4), "regular file, 0644");
        Assert.That(entries[2].Content, Is.EqualTo(new byte[] { 1, 2, 3, 4, 5 }));
    }

    [Test]
    public void A_directory_is_written_once()
    {
        List<Entry> entries = Write(archive =>
        {
            archive.AddFile("d/one", []);
            archive.AddDirectory("d");
            archive.AddFile("d/two", new MemoryStream([9]));
        });
        Assert.That(entries.Select(e => e.Name), Is.EqualTo(["d", "d/one", "d/two", "TRAILER!!!"]));
    }

    [Test]
    public void Permissions_and_links_are_kept()
    {
        List<Entry> entries = Write(archive =>
        {
            archive.AddFile("run", [], UnixFileMode.UserRead | UnixFileMode.UserExecute);
            archive.AddSymbolicLink("link", "run");
        });
        Assert.That(entries[0].Mode, Is.EqualTo(0x8140), "regular file, 0500");
        Assert.That(entries[1].Mode, Is.EqualTo(0xa1ff), "symbolic link");
        Assert.That(Encoding.UTF8.GetString(entries[1].Content), Is.EqualTo("run"));
    }

    [TestCase("")]
    [TestCase("/")]
    [TestCase("a/../b")]
    [TestCase("a\0b")]
    public void A_name_that_leads_nowhere_in_the_archive_is_refused(string name)
    {
        using var archive = new CpioArchive(new MemoryStream());
        Assert.That(() => archive.AddFile(name, []), Throws.ArgumentException);
    }

    [Test]
    public void Content_of_any_length_comes_back([Range(0, 9)] int length)
    {
        byte[] content = [.. Enumerable.Range(1, length).Select(i => (byte)i)];
        Assert.That(Write(archive => archive.AddFile("f", content))[0].Content, Is.EqualTo(content));
    }

    // Reads newc as the kernel does (init/initramfs.c): 110 bytes of header, name, content, both padded to four bytes from the start.
    private static List<Entry> Write(Action<CpioArchive> add)
    {
        var stream = new MemoryStream();
        using (var archive = new CpioArchive(stream))
        {
            add(archive);
        }

        byte[] bytes = stream.ToArray();
        var entries = new List<Entry>();
        int at = 0;
        while (at < bytes.Length)
        {
            string header = Encoding.ASCII.GetString(bytes, at, 110);
            Assert.That(header[..6], Is.EqualTo("070701"));
            uint Field(int index) => uint.Parse(header.AsSpan(6 + 8 * index, 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            int nameLength = (int)Field(11);
            int size = (int)Field(6);
            string name = Encoding.UTF8.GetString(bytes, at + 110, nameLength - 1);
            Assert.That(bytes[at + 110 + nameLength - 1], Is.Zero);
            int content = (at + 110 + nameLength + 3) & ~3;
            entries.Add(new Entry(name, Field(1), Field(4), bytes[content..(content + size)]));
            at = (content + size + 3) & ~3;
        }

        Assert.That(at, Is.EqualTo(bytes.Length));
        return entries;
    }
}
