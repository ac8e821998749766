using System.Text;
using Emulator.Files;
using Emulator.Tests.Cli;

namespace Emulator.Tests.Files;

[Category("Unit")]
internal sealed class BoundedFileTests
{
    private const int Most = 1 << 20;

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(65537)]
    [TestCase(Most)]
    public void A_file_that_is_not_too_long_is_read_whole(int length)
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = [.. Enumerable.Range(0, length).Select(i => (byte)(i % 251))];
        File.WriteAllBytes(folder.In("file"), bytes);
        Assert.That(BoundedFile.ReadAllBytes(folder.In("file"), Most), Is.EqualTo(bytes));
    }

    [Test]
    public void A_byte_too_many_is_refused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.In("file"), new byte[Most + 1]);
        Assert.That(() => BoundedFile.ReadAllBytes(folder.In("file"), Most),
            Throws.TypeOf<IOException>().With.Message.EqualTo($"'{folder.In("file")}' is longer than 1 MiB; name another file"));
    }

    [Test]
    public void A_device_without_an_end_is_refused()
        => Assert.That(() => BoundedFile.ReadAllBytes("/dev/zero", Most),
            Throws.TypeOf<IOException>().With.Message.EqualTo("'/dev/zero' is longer than 1 MiB; name another file"));

    [Test]
    public void Text_is_read_as_its_mark_says([Values("utf-8", "utf-16", "utf-16BE")] string encoding)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("file"), "[Größe]\r\n", Encoding.GetEncoding(encoding));
        Assert.That(BoundedFile.ReadAllText(folder.In("file"), Most), Is.EqualTo("[Größe]\r\n"));
    }
}
