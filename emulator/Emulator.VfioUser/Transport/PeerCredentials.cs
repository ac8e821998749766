namespace Emulator.VfioUser.Transport;

/// <summary>Who is at the other end of a socket, as the kernel recorded it when the connection was made.</summary>
/// <param name="Pid">Process.</param>
/// <param name="Uid">Effective user.</param>
public readonly record struct PeerCredentials(int Pid, uint Uid);
