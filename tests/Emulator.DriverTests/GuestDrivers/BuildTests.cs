using System.Reflection.PortableExecutable;
using System.Runtime.Versioning;

namespace Emulator.DriverTests.GuestDrivers;

/// <summary>build.sh does what is to be done, and no more.</summary>
[TestFixture]
[Category("Driver")]
[UnsupportedOSPlatform("windows")]
internal sealed class BuildTests
{
    private string _scripts = "";

    [SetUp]
    public void CreateFolder() => _scripts = Directory.CreateTempSubdirectory("emulator-drivers-").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_scripts, recursive: true);

    [Test]
    public void The_disc_has_what_was_built_and_the_certificate_but_no_maps_no_requests_and_not_the_key()
    {
        // Joliet names, which Windows reads.
        (int code, string output) = GuestDriverFiles.Run("isoinfo", "-J", "-f", "-i", $"{GuestDriverFiles.Folder}.iso");
        Assert.That(code, Is.Zero, output);
        IEnumerable<string> files = from folder in (string[])["x64", "x86"]
                                    from file in Directory.EnumerateFiles(Path.Combine(GuestDriverFiles.Folder, folder))
                                    where Path.GetExtension(file) is not (".map" or ".requests")
                                    select $"/{folder}/{Path.GetFileName(file)}";
        Assert.That(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), Is.EquivalentTo(files.Concat(["/x64", "/x86", "/test-signing.cer"])));
    }

    [Test]
    public void A_build_with_nothing_changed_leaves_everything_as_it_is()
    {
        string driver = GuestDriverFiles.PathOf(Machine.Amd64, "GeneralRobot.sys");
        DateTime built = File.GetLastWriteTimeUtc(driver);
        (int code, string output) = GuestDriverFiles.Build(GuestDriverFiles.Folder, GuestDriverFiles.Emulator!);
        Assert.That(code, Is.Zero, output);
        Assert.That(output, Does.EndWith("are up to date\n"));
        Assert.That(File.GetLastWriteTimeUtc(driver), Is.EqualTo(built));
    }

    [Test]
    public void A_changed_register_header_is_built_anew_and_one_that_does_not_compile_leaves_the_last_build()
    {
        // A folder of its own: others read the shared one meanwhile.
        Assert.That(GuestDriverFiles.Folder, Does.Exist);
        string folder = Path.Combine(_scripts, "drivers"), driver = Path.Combine(folder, "x64", "ProsewareRobot.sys");
        (int code, string output) = GuestDriverFiles.Build(folder, GuestDriverFiles.Emulator!);
        Assert.That(code, Is.Zero, output);
        byte[] before = File.ReadAllBytes(driver);
        string emulator = Path.Combine(_scripts, "emulator");
        File.WriteAllText(emulator, $"#!/bin/sh\n'{GuestDriverFiles.Emulator}' \"$@\" && echo '#error a change'\n");
        File.SetUnixFileMode(emulator, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        (code, output) = GuestDriverFiles.Build(folder, emulator);
        Assert.That(code, Is.EqualTo(1));
        Assert.That(output, Does.Contain("#error a change").And.Contain("ProsewareRobot.sys for x64 does not build").And.Contain("for x86 does not build"));
        Assert.That(File.ReadAllBytes(driver), Is.EqualTo(before));
        (code, output) = GuestDriverFiles.Build(folder, GuestDriverFiles.Emulator!);
        Assert.That(code, Is.Zero, output);
        Assert.That(output, Does.EndWith("are up to date\n"));
    }
}
