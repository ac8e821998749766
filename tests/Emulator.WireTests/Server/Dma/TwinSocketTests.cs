using System.Runtime.Versioning;
using Emulator.Memory;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server.Dma;

/// <summary>A socket of their own for DMA messages, as some clients ask for.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class TwinSocketTests : DmaFixture
{
    private WireClient ConnectTwin(out WireClient twin)
    {
        WireClient client = Device.Connect(negotiate: false);
        WireMessage reply = client.Call(Command.Version, Wire.Version("{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}"));
        Assert.That(VersionPayload.TryRead(reply.Payload, out VersionPayload version), Is.True);
        Assert.That((version.Capabilities.TwinSocket, version.Capabilities.TwinSocketFdIndex), Is.EqualTo((true, 0)));
        Assert.That(reply.Descriptors, Has.Length.EqualTo(1));
        twin = new WireClient(new UnixStream(reply.Descriptors[0]));
        client.EnableBusMaster();
        client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page));
        return client;
    }

    [Test]
    public void With_a_twin_socket_DMA_messages_go_there_and_the_other_stays_free()
    {
        Client.Dispose();
        using WireClient client = ConnectTwin(out WireClient twin);
        using (twin)
        {
            client.Write32(0, CardRegisters.Start, 16);
            WireMessage command = twin.ExpectCommand(Command.DmaRead);
            client.ExpectSilenceSoFar();
            twin.Reply(command, Wire.Bytes(command.As<DmaAccess>(), Pattern(16)));
            ExpectEnded(DmaStatus.Completed);
        }
    }

    [Test]
    public void A_command_on_the_twin_socket_ends_the_session()
    {
        Client.Dispose();
        using WireClient client = ConnectTwin(out WireClient twin);
        using (twin)
        {
            twin.Send(Command.RegionRead, Wire.Read(0, 0, 4));
            client.ExpectClosed();
            twin.ExpectClosed();
        }
        Device.AssertServesAsNew();
    }

    [Test]
    public void A_malformed_size_on_the_twin_socket_ends_the_session()
    {
        Client.Dispose();
        using WireClient client = ConnectTwin(out WireClient twin);
        using (twin)
        {
            twin.SendRaw(Wire.Bytes(new MessageHeader(1, Command.DmaRead, 5, MessageFlags.Command, 0)));
            client.ExpectClosed();
            twin.ExpectClosed();
        }
    }

    [Test]
    public void Closing_the_twin_socket_ends_the_session_and_leaks_nothing()
    {
        Client.Dispose();
        int growth = OpenFiles.Growth(4, () =>
        {
            using WireClient client = ConnectTwin(out WireClient twin);
            twin.Dispose();
            client.ExpectClosed();
            Device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Device.AssertServesAsNew();
    }

    [Test]
    public void Leaving_with_a_twin_socket_leaks_nothing()
    {
        Client.Dispose();
        int growth = OpenFiles.Growth(4, () =>
        {
            ConnectTwin(out WireClient twin).Dispose();
            twin.ExpectClosed();
            twin.Dispose();
            Device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_twin_socket_is_only_for_clients_that_ask_and_take_descriptors()
    {
        Client.Dispose();
        using var without = new ServedDevice(adapt: options => options with { OfferTwinSocket = false });
        const string Asks = "{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}";
        (ServedDevice Device, string? Offer)[] cases =
        [
            (Device, null), (Device, "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}"),
            (Device, "{\"capabilities\":{\"max_msg_fds\":0,\"twin_socket\":{\"supported\":true}}}"), (without, Asks),
        ];
        foreach ((ServedDevice device, string? offer) in cases)
        {
            using WireClient client = device.Connect(negotiate: false);
            WireMessage reply = client.Negotiate(offer);
            Assert.That(reply.Descriptors, Is.Empty);
            Assert.That(System.Text.Encoding.UTF8.GetString(reply.Payload), Does.Not.Contain("twin"));
        }
    }
}
