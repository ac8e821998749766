using Emulator.DriverTests.Pe;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Cli;

/// <summary>Drivers that cannot be unloaded stay, and the bench ends all the same.</summary>
[Category("Driver")]
internal sealed class StayingDriverTests
{
    private const uint Entry = PeFileBuilder.SectionRva, Return = Entry + 0x10;

    [Test]
    public void An_export_driver_without_DllUnload_stays_loaded()
    {
        using var folder = new TemporaryFolder();
        Write(folder.In("library.sys"), hasUnload: false, export: "DllInitialize");
        Write(folder.In("user.sys"), hasUnload: true, import: "DllInitialize");
        CommandRun run = CommandRun.Of("bench", "run", folder.In("user.sys"), "--model", "scratch");
        Assert.That(run.Output, Does.Match(@"\n  DriverUnload user +STATUS_SUCCESS ").And.Contain("findings\n  none\n"));
        Assert.That(run.Error, Is.Empty);
    }

    [Test]
    public void A_driver_that_one_without_DriverUnload_imports_from_stays_with_it()
    {
        using var folder = new TemporaryFolder();
        Write(folder.In("library.sys"), hasUnload: true, export: "Function");
        Write(folder.In("user.sys"), hasUnload: false, import: "Function");
        CommandRun run = CommandRun.Of(
            "bench", "run", folder.In("user.sys"), folder.In("library.sys"), "--model", "user=scratch", "--model", "library=scratch");
        Assert.That(run.Output, Does.Match(@"\n  DriverUnload user .+ it has none and stays loaded\n")
            .And.Match(@"\n  DriverUnload library .+ what imports from it stays loaded, and so does it\n"));
        Assert.That(run.Error, Is.Empty);
    }

    [Test]
    public void A_driver_that_another_imports_from_is_a_library_with_or_without_DllInitialize([Values] bool isNamed)
    {
        using var folder = new TemporaryFolder();
        Write(folder.In("library.sys"), hasUnload: true, export: "Function");
        Write(folder.In("user.sys"), hasUnload: true, import: "Function");
        string[] files = isNamed ? [folder.In("library.sys"), folder.In("user.sys")] : [folder.In("user.sys")];
        CommandRun run = BenchSession.Bench(["run", .. files, "--model", "scratch"]);
        Assert.That(BenchSession.Roles(run), Is.EqualTo(new[] { "library.sys export driver", "user.sys function driver" }));
        Assert.That(BenchSession.Life(run)[..3], Is.EqualTo(new[]
        {
            "load library STATUS_SUCCESS", "DriverEntry user STATUS_SUCCESS", "AddDevice left out",
        }));
        Assert.That(BenchSession.Life(run)[^1], Is.EqualTo("DriverUnload user STATUS_SUCCESS"), "and none of the library");
        Assert.That(run.Error, Is.Empty);
    }

    // DriverEntry answers success, and sets DRIVER_OBJECT.DriverUnload if there is to be one; everything else just returns.
    private static void Write(string path, bool hasUnload, string? export = null, string? import = null)
    {
        var builder = new PeFileBuilder(is64: true);
        byte[] answer = [0x31, 0xC0, 0xC3], setUnload = [0x48, 0x8D, 0x05, 0x09, 0, 0, 0, 0x48, 0x89, 0x41, 0x68];
        byte[] entry = [.. hasUnload ? setUnload : [], .. answer];
        entry.CopyTo(builder.At(Entry));
        answer.CopyTo(builder.At(Return));
        if (export is not null) builder.AddExports(1, (export, Return, null));
        if (import is not null) builder.AddImports("library.sys", import);
        File.WriteAllBytes(path, builder.Build());
    }
}
