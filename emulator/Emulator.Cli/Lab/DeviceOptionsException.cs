namespace Emulator.Cli.Lab;

/// <summary>A device cannot be as its lab says; the message is for the person who wrote the lab, and may begin with the option's path.</summary>
internal sealed class DeviceOptionsException(string message, Exception? cause = null) : Exception(message, cause);
