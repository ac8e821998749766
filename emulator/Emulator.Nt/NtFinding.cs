namespace Emulator.Nt;

/// <summary>Something in memory that is not as NT leaves it. What could be read around it is still shown.</summary>
/// <param name="Structure">The structure's name in NT's headers.</param>
/// <param name="Address">Where the structure lies.</param>
/// <param name="Problem">What is wrong, and with which member.</param>
public sealed record NtFinding(string Structure, NtAddress Address, string Problem)
{
    public override string ToString() => $"{Structure} {Address}: {Problem}";
}
