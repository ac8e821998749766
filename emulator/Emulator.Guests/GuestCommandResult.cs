using System.Text;

namespace Emulator.Guests;

/// <summary>What a command in the guest left behind.</summary>
/// <param name="ExitCode">Its exit status, or 128 + the number of the signal that ended it.</param>
/// <param name="OutputBytes">Standard output and standard error, byte for byte, in the order written.</param>
public sealed record GuestCommandResult(int ExitCode, byte[] OutputBytes)
{
    /// <summary>The output as UTF-8 text.</summary>
    public string Output => Encoding.UTF8.GetString(OutputBytes);
}
