using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;

namespace Emulator.WireTests.Client;

/// <summary>What the tests of the client share.</summary>
internal static class ClientFixture
{
    internal static readonly TimeSpan Generous = TimeSpan.FromSeconds(30);
    internal static readonly VfioUserClientOptions Patient = new() { Timeout = Generous };
    internal static readonly VfioUserClientOptions Impatient = new() { Timeout = TimeSpan.FromMilliseconds(30) };
    internal static readonly VfioUserClientOptions WithTwin =
        new() { Timeout = Generous, Offer = new Capabilities { MaxMessageFds = 4, TwinSocket = true } };

    internal static void AssertBreaks(VfioUserClient client, Action call, VfioUserFailure failure)
    {
        VfioUserException error = Assert.Throws<VfioUserException>(call);
        Assert.That(error.Failure, Is.EqualTo(failure), error.Message);
        VfioUserException again = Assert.Throws<VfioUserException>(client.Reset);
        Assert.That(again.Failure, Is.EqualTo(failure), "every later call says the same");
    }

    internal static byte[] Bytes(MessageHeader header)
    {
        byte[] bytes = new byte[MessageHeader.HeaderSize];
        header.Write(bytes);
        return bytes;
    }

    internal static void ServeRegisters(ScriptedPeer peer, byte[] registers, List<uint> widths, int messages)
    {
        for (int i = 0; i < messages; i++)
        {
            MessageHeader request = peer.Receive(out byte[] payload, out _);
            Assert.That(RegionAccess.TryRead(payload, out RegionAccess access), Is.True);
            widths.Add(access.Count);
            Span<byte> target = registers.AsSpan((int)access.Offset, (int)access.Count);
            if (request.Command == Command.RegionRead)
            {
                peer.Reply(request, access, target);
                continue;
            }
            Assert.That(request.Command, Is.EqualTo(Command.RegionWrite));
            payload.AsSpan(RegionAccess.Size).CopyTo(target);
            if (!request.NoReply)
            {
                peer.Reply(request, access);
            }
        }
    }
}
