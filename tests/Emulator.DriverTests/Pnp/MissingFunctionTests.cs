using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverTests.Native;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Pnp;

/// <summary>Functions of NT that drivers import: those of the system as a whole, and those that the bench lacks.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class MissingFunctionTests(Machine architecture)
{
    private string Driver
    {
        get
        {
            bool wide = architecture == Machine.Amd64;
            // mingw's libraries lack some of NT's functions, too.
            string word = wide ? "" : "@4";
            string dlltool = wide ? "x86_64-w64-mingw32-dlltool" : "i686-w64-mingw32-dlltool";
            string library = Compiler.ImportLibrary(dlltool, "ntoskrnl.exe", $"nobody-{architecture}.a",
                [$"ExNobodyHasThis{word}", "ExNobodyHasThatVariable DATA", $"KeQueryActiveProcessorCount{word}", $"IoGetRequestorProcess{word}"], "-k");
            return Targets.BuildDriver(architecture, "systemservices", library);
        }
    }

    [Test]
    public void The_system_tells_its_version_and_keeps_a_log_of_errors()
    {
        CommandRun run = Bench(17);
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(run.Output, Does.Contain("4 bytes: 00000000"));
        Assert.That(run.Output, Does.Contain("error log: 0xc0040007, value 5, status 0xc0000001"));
    }

    [Test]
    public void A_driver_that_imports_what_the_bench_lacks_and_does_not_need_it_runs()
    {
        CommandRun run = Bench(0);
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        string[] lacking = ["ntoskrnl.exe!ExNobodyHasThis", "ntoskrnl.exe!ExNobodyHasThatVariable"];
        Assert.That(run.Output, Does.Match($"; the bench lacks ({string.Join(", ", lacking)}|{string.Join(", ", lacking.Reverse())}), which may end the run"));
    }

    [TestCase(18, "calls ntoskrnl.exe!ExNobodyHasThis")]
    [TestCase(19, "accesses ntoskrnl.exe!ExNobodyHasThatVariable")]
    public void A_driver_that_needs_what_the_bench_lacks_is_told_so_in_one_line(int test, string what)
    {
        CommandRun run = Bench(test);
        Assert.That(run.ExitCode, Is.EqualTo(2));
        string name = $"systemservices-{architecture}";
        Assert.That(run.Error.TrimEnd(), Does.Match($@"^emulator: {name} {what}, which the bench lacks; in {name}!\w+\+0x[0-9a-f]+ \(0x[0-9a-f]+\)$"));
    }

    private CommandRun Bench(int test)
    {
        string steps = $"start,open,ioctl=0x222000:4:{Convert.ToHexString(BitConverter.GetBytes(test))}";
        return CommandRun.Of("bench", "run", Driver, "--model", "scratch", "--steps", steps);
    }
}
