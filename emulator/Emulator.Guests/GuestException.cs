namespace Emulator.Guests;

/// <summary>
/// Something about QEMU or the guest went wrong that the person who started it can understand: the message says what, shows the last
/// words of QEMU or of the guest's console where they matter, and names the remedy where there is one.
/// </summary>
public sealed class GuestException : Exception
{
    public GuestException(string message) : base(message)
    {
    }

    public GuestException(string message, Exception inner) : base(message, inner)
    {
    }
}
