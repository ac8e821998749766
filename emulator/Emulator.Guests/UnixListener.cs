using System.Net.Sockets;

namespace Emulator.Guests;

/// <summary>
/// Unix sockets on which we listen and QEMU connects: so nothing has to wait for QEMU to have made its sockets, and a guest's first word
/// is never lost.
/// </summary>
internal static class UnixListener
{
    public static Socket Open(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen(1);
        return socket;
    }

    /// <summary>Waits until QEMU has connected.</summary>
    /// <exception cref="GuestException">QEMU ended first; the message has its words.</exception>
    public static async Task<Stream> AcceptAsync(Socket listener, QemuProcess process, CancellationToken cancel)
    {
        using var done = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task<Socket> accepted = listener.AcceptAsync(done.Token).AsTask();
        await Task.WhenAny(accepted, process.Exited);
        if (!accepted.IsCompleted)
        {
            await done.CancelAsync();
            await ((Task)accepted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        if (accepted.IsCompletedSuccessfully)
        {
            return new NetworkStream(await accepted, ownsSocket: true);
        }

        cancel.ThrowIfCancellationRequested();
        throw new GuestException((await process.Exited).ToString());
    }
}
