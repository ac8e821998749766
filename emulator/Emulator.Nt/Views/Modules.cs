namespace Emulator.Nt.Views;

/// <summary>How modules are written.</summary>
internal static class Modules
{
    /// <summary>What symbols call the kernel.</summary>
    public const string Kernel = "nt";

    /// <summary>"(specific.sys, general.sys)" for a pair, "specific.sys" otherwise.</summary>
    public static string Spell(string? specific, IReadOnlyList<string> general)
        => general.Count == 0 ? File(specific) : $"({string.Join(", ", general.Prepend(specific).Select(File))})";

    private static string File(string? module) => module is null ? "(unknown)" : module == Kernel ? module : $"{module}.sys";
}
