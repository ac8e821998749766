using Emulator.DriverTests.Native;

namespace Emulator.DriverTests;

/// <summary>Removes the compilers' output after all tests. It stands in the outermost namespace, so that it covers all of them.</summary>
[SetUpFixture]
internal sealed class CompilerCleanup
{
    [OneTimeTearDown]
    public void Clean() => Compiler.Clean();
}
