using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Emulator.Guests;

namespace Emulator.Tests.Guests;

/// <summary>The QMP client against a QEMU played by hand.</summary>
[TestFixture]
[Category("Unit")]
public sealed class QmpClientTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(1);

    private readonly List<string> _events = [];
    private Socket _qemu = null!;
    private Stream _host = null!;
    private StreamReader _requests = null!;

    [SetUp]
    public async Task ConnectAsync()
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        _qemu = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await _qemu.ConnectAsync(new UnixDomainSocketEndPoint(path));
        _requests = new StreamReader(new NetworkStream(_qemu));
        _host = new NetworkStream(await listener.AcceptAsync(), ownsSocket: true);
        File.Delete(path);
    }

    [TearDown]
    public void Disconnect()
    {
        _requests.Dispose();
        _qemu.Dispose();
        _host.Dispose();
    }

    private void Say(string text) => _qemu.Send(Encoding.UTF8.GetBytes(text + "\r\n"));

    private async Task<QmpClient> StartAsync()
    {
        Say("""{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}}, "capabilities": ["oob"]}}""");
        Task<QmpClient> connecting = QmpClient.ConnectAsync(_host, e => _events.Add(e.Name));
        Assert.That(JsonNode.Parse((await _requests.ReadLineAsync())!)!["execute"]!.GetValue<string>(), Is.EqualTo("qmp_capabilities"));
        Say("""{"return": {}, "id": 0}""");
        return await connecting.WaitAsync(Generous);
    }

    [Test]
    public async Task A_command_gets_its_own_answer_and_events_in_between_are_reported()
    {
        await using QmpClient client = await StartAsync();
        Task<System.Text.Json.JsonElement> status = client.ExecuteAsync("query-status");
        JsonNode request = JsonNode.Parse((await _requests.ReadLineAsync())!)!;
        Say("""{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESET", "data": {"guest": true}}""");
        Say("""{"return": {"status": "other"}, "id": 77}""");
        Say($$"""{"return": {"status": "running"}, "id": {{request["id"]}}}""");
        Assert.That((await status).GetProperty("status").GetString(), Is.EqualTo("running"));
        Assert.That(_events, Is.EqualTo(["RESET"]));
    }

    [Test]
    public async Task Arguments_are_sent_and_a_refusal_carries_QEMUs_words()
    {
        await using QmpClient client = await StartAsync();
        Task<System.Text.Json.JsonElement> add = client.ExecuteAsync("device_add", new JsonObject { ["driver"] = "nothing" });
        JsonNode request = JsonNode.Parse((await _requests.ReadLineAsync())!)!;
        Assert.That(request["arguments"]!["driver"]!.GetValue<string>(), Is.EqualTo("nothing"));
        Say($$$"""{"id": {{{request["id"]}}}, "error": {"class": "GenericError", "desc": "'nothing' is not a valid device model name"}}""");
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => add))!;
        Assert.That(problem.Message, Is.EqualTo("QMP device_add: 'nothing' is not a valid device model name"));
    }

    [Test]
    public async Task When_QEMU_goes_a_waiting_command_fails()
    {
        await using QmpClient client = await StartAsync();
        Task<System.Text.Json.JsonElement> quit = client.ExecuteAsync("quit");
        await _requests.ReadLineAsync();
        _qemu.Shutdown(SocketShutdown.Both);
        Assert.That((await Assert.ThrowsAsync<GuestException>(() => quit))!.Message, Does.Contain("QEMU is gone"));
    }

    [Test]
    public async Task What_does_not_speak_QMP_is_no_QEMU()
    {
        Say("220 smtp.example.org ESMTP");
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => QmpClient.ConnectAsync(_host)))!;
        Assert.That(problem.Message, Does.Contain("before it answered"));
    }
}
