namespace Emulator.Nt.Views;

/// <summary>An entry point, and what it is called.</summary>
/// <param name="Symbol">"parport!PptUnload"; null when nothing is known.</param>
/// <param name="Module">"parport"; null when no module holds it.</param>
public sealed record CodeAddress(NtAddress Address, string? Symbol, string? Module)
{
    /// <summary>As in !drvobj: "fffff880065e131c parport!PptUnload", and eight zeros for none on any machine.</summary>
    public override string ToString() => Address.IsNull ? "00000000" : Symbol is null ? Address.ToString() : $"{Address} {Symbol}";
}
