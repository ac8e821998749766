using FsCheck;
using FsCheck.Fluent;

namespace Emulator.Testing;

/// <summary>
/// Random properties that every run of the suite checks with the same values: what passed once passes again. Other values:
/// dotnet test --filter NAME -- 'TestRunParameters.Parameter(name="seed", value="1234")'.
/// </summary>
internal static class FixedSeed
{
    private const ulong DefaultSeed = 20_261, Gamma = 0x9e37_79b9_7f4a_7c15;

    /// <summary>A failure throws, with the values and the seed; otherwise nothing is said.</summary>
    public static Config Config
        => Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithReplay(TestContext.Parameters.Get("seed", DefaultSeed), Gamma);
}
