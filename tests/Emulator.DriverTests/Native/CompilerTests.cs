namespace Emulator.DriverTests.Native;

/// <summary>What the tests' own tools promise the tests.</summary>
[TestFixture]
[Category("Driver")]
internal sealed class CompilerTests
{
    [TestCase(null)]
    [TestCase("")]
    public void A_person_without_a_compiler_sees_the_test_ignored(string? integration)
        => Assert.That(() => Requirement.Lack("no clang", integration), Throws.TypeOf<IgnoreException>().With.Message.EqualTo("no clang"));

    [TestCase("true")]
    [TestCase("1")]
    public void Continuous_integration_without_a_compiler_fails_with_the_same_words(string integration)
        => Assert.That(() => Requirement.Lack("no clang", integration), Throws.TypeOf<AssertionException>().With.Message.EqualTo("no clang"));

    [Test]
    public void A_program_that_is_not_there_is_named_with_the_remedy()
        => Assert.That(() => Requirement.Need("no-such-compiler"), Throws.InstanceOf<ResultStateException>()
            .With.Message.EqualTo("no no-such-compiler in PATH; as root, `make test` installs the package that has it"));

    [Test]
    public async Task Tests_that_want_the_same_result_at_once_get_the_same_file()
    {
        const int Tests = 4;
        using var together = new Barrier(Tests);
        string[] paths = await Task.WhenAll(Enumerable.Range(0, Tests).Select(_ => Task.Factory.StartNew(
            () =>
            {
                together.SignalAndWait();
                return Compiler.ImportLibrary("x86_64-w64-mingw32-dlltool", "ABSENT.SYS", "together.a", ["Absent"]);
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        Assert.That(paths.Distinct(), Is.EqualTo(new[] { Compiler.PathOf("together.a") }));
        Assert.That(paths[0], Does.Exist);
    }
}
