using System.Reflection;
using Emulator.Cli.Lab;
using Emulator.DriverBench.Kernel;
using Emulator.Guests;
using Emulator.Registers;
using Emulator.Tracing;
using Emulator.VfioUser.Server;

namespace Emulator.Tests.Architecture;

/// <summary>The direction of dependencies, as the compiler recorded it: Core, then transports and models, then the command line.</summary>
[Category("Unit")]
public sealed class DependencyTests
{
    private static readonly Assembly Core = typeof(RegisterBank).Assembly, VfioUser = typeof(DeviceServer).Assembly, Tracing = typeof(TraceReader).Assembly,
        Guests = typeof(GuestSession).Assembly, Nt = typeof(Emulator.Nt.NtLayout).Assembly, Bench = typeof(BenchMachine).Assembly,
        Cli = typeof(LabFile).Assembly;

    // Every model assembly that lies beside the program, whether somebody thought of it here or not.
    private static IEnumerable<Assembly> Models => Directory.GetFiles(AppContext.BaseDirectory, "DeviceModels.*.dll").Select(Assembly.LoadFrom);

    private static IEnumerable<Assembly> All => [Core, VfioUser, Tracing, Guests, Nt, Bench, Cli, .. Models];

    [TestCaseSource(nameof(Models))]
    public void A_model_knows_the_core_and_nothing_else_of_ours(Assembly model)
        => Assert.That(OursIn(model), Is.EqualTo(new[] { "Emulator.Core" }));

    [Test]
    public void The_core_knows_nothing_of_ours() => Assert.That(OursIn(Core), Is.Empty);

    [Test]
    public void The_protocol_and_the_trace_know_the_core_only()
    {
        Assert.That(OursIn(VfioUser), Is.EqualTo(new[] { "Emulator.Core" }));
        Assert.That(OursIn(Tracing), Is.EqualTo(new[] { "Emulator.Core" }));
    }

    [Test]
    public void The_guests_know_no_device() => Assert.That(OursIn(Guests), Is.SubsetOf(new[] { "Emulator.Core" }));

    [Test]
    public void The_NT_views_know_no_source_of_memory() => Assert.That(OursIn(Nt), Is.SubsetOf(new[] { "Emulator.Core" }));

    [Test]
    public void The_bench_knows_the_core_and_the_NT_views() => Assert.That(OursIn(Bench), Is.EqualTo(new[] { "Emulator.Core", "Emulator.Nt" }));

    [Test]
    public void Packages_are_a_command_line_for_the_one_and_a_decoder_for_the_bench()
    {
        Assert.That(PackagesIn(Bench), Is.EqualTo(new[] { "Iced" }));
        foreach (Assembly assembly in All.Where(a => a != Cli && a != Bench)) Assert.That(PackagesIn(assembly), Is.Empty, assembly.GetName().Name);
        Assert.That(PackagesIn(Cli), Is.EqualTo(new[] { "System.CommandLine" }));
    }

    [Test]
    public void Every_model_in_this_build_is_in_the_catalogue()
    {
        Assert.That(Emulator.Cli.ModelCatalog.All.Select(m => m.Create.Method.Module.Assembly.GetName().Name).Distinct(),
            Is.EquivalentTo(Models.Select(m => m.GetName().Name)));
        Assert.That(Models.Count(), Is.GreaterThan(1));
    }

    private static string[] OursIn(Assembly assembly)
        => [.. References(assembly).Order()
            .Where(n => n.StartsWith("Emulator.", StringComparison.Ordinal) || n.StartsWith("DeviceModels.", StringComparison.Ordinal))];

    // What comes with .NET lies in its own folder.
    private static string[] PackagesIn(Assembly assembly)
    {
        string framework = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        return [.. References(assembly).Except(OursIn(assembly)).Where(n => !File.Exists(Path.Combine(framework, n + ".dll"))).Order()];
    }

    private static IEnumerable<string> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(n => n.Name!);
}
