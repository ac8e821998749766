using System.Net.Sockets;
using System.Text;
using Emulator.Guests;

namespace Emulator.Tests.Guests;

/// <summary>The host's end of the command channel against frames written by hand, as the guest's agent or a broken guest would.</summary>
[TestFixture]
[Category("Unit")]
public sealed class GuestShellTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(1);

    private Socket _guest = null!;
    private StreamReader _requests = null!;
    private GuestShell _shell = null!;

    [SetUp]
    public async Task ConnectAsync()
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        _guest = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await _guest.ConnectAsync(new UnixDomainSocketEndPoint(path));
        _requests = new StreamReader(new NetworkStream(_guest));
        _shell = new GuestShell(new NetworkStream(await listener.AcceptAsync(), ownsSocket: true));
        File.Delete(path);
    }

    [TearDown]
    public async Task DisconnectAsync()
    {
        await _shell.DisposeAsync();
        _requests.Dispose();
        _guest.Dispose();
    }

    private void Say(string text) => _guest.Send(Encoding.ASCII.GetBytes(text));

    private static string Output(int id, string text) => $"@out {id} {text.Length} {Convert.ToBase64String(Encoding.ASCII.GetBytes(text))}\n";

    [Test]
    public async Task A_command_is_sent_as_base64_and_its_pieces_are_put_together()
    {
        Task<GuestCommandResult> run = _shell.RunAsync("echo 'Grüße'\n", Generous);
        string request = (await _requests.ReadLineAsync())!;
        Assert.That(request, Does.StartWith("@run 0 "));
        Assert.That(Encoding.UTF8.GetString(Convert.FromBase64String(request.Split(' ')[2])), Is.EqualTo("echo 'Grüße'\n"));
        Say(Output(0, "one ") + Output(0, "two") + "@exit 0 3\n");
        GuestCommandResult result = await run;
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((3, "one two")));
    }

    [Test]
    public async Task Frames_split_at_every_byte_are_understood()
    {
        Task<GuestCommandResult> run = _shell.RunAsync("x", Generous);
        await _requests.ReadLineAsync();
        foreach (char c in "\n@hello 2 other\nnoise\n" + Output(0, "text") + "@exit 0 0\n")
        {
            Say(c.ToString());
        }

        Assert.That((await run).Output, Is.EqualTo("text"));
    }

    [Test]
    public async Task Commands_side_by_side_keep_their_outputs_apart()
    {
        Task<GuestCommandResult> first = _shell.RunAsync("a", Generous);
        await _requests.ReadLineAsync();
        Task<GuestCommandResult> second = _shell.RunAsync("b", Generous);
        await _requests.ReadLineAsync();
        Say(Output(1, "B") + Output(0, "A") + "@exit 1 1\n@exit 0 0\n");
        Assert.That(((await first).Output, (await second).Output), Is.EqualTo(("A", "B")));
    }

    [TestCase(0)]
    [TestCase(1)]
    public async Task A_command_that_takes_too_long_is_killed_and_its_late_words_are_ignored(int milliseconds)
    {
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => _shell.RunAsync("slow", TimeSpan.FromMilliseconds(milliseconds))))!;
        Assert.That(problem.Message, Does.Contain("'slow'").And.Contain("was killed"));
        string? line = await _requests.ReadLineAsync();
        // On a busy machine the time is over before the command is sent.
        if (line!.StartsWith("@run 0 ", StringComparison.Ordinal)) line = await _requests.ReadLineAsync();
        Assert.That(line, Is.EqualTo("@kill 0"));
        Task<GuestCommandResult> next = _shell.RunAsync("next", Generous);
        await _requests.ReadLineAsync();
        Say(Output(0, "late") + "@exit 0 137\n" + Output(1, "good") + "@exit 1 0\n");
        Assert.That((await next).Output, Is.EqualTo("good"));
    }

    [TestCase("@out 0 5 dGV4dA==\n", "damaged")]
    [TestCase("@out 0 4 dGV4\n", "damaged")]
    [TestCase("@out 0 4 ****\n", "damaged")]
    [TestCase("@error 0 too many commands at once\n", "too many commands at once")]
    [TestCase("@hello 1 6.1\n", "restarted")]
    public async Task What_spoils_a_command_fails_it_with_the_reason(string frame, string reason)
    {
        Task<GuestCommandResult> run = _shell.RunAsync("x", Generous);
        await _requests.ReadLineAsync();
        Say(frame);
        Assert.That((await Assert.ThrowsAsync<GuestException>(() => run))!.Message, Does.Contain(reason));
    }

    [TestCase("@out\n")]
    [TestCase("@out 0\n")]
    [TestCase("@out 99 1 QQ==\n")]
    [TestCase("@out 99999999999999999999999 1 QQ==\n")]
    [TestCase("@exit 7 0\n")]
    [TestCase("@exit 0 x\n")]
    [TestCase("@exit 00 \n")]
    [TestCase("@hello\n")]
    [TestCase("@error 5 who?\n")]
    [TestCase("@outrage 0 1 QQ==\n")]
    [TestCase("\0\u0001\u007f\r\n")]
    public async Task What_is_no_frame_is_ignored(string line)
    {
        Task<GuestCommandResult> run = _shell.RunAsync("x", Generous);
        await _requests.ReadLineAsync();
        Say(line + "@exit 0 9\n");
        Assert.That((await run).ExitCode, Is.EqualTo(9));
    }

    [Test]
    public async Task An_endless_line_is_dropped_and_what_follows_is_understood()
    {
        Task<GuestCommandResult> run = _shell.RunAsync("x", Generous);
        await _requests.ReadLineAsync();
        Say(new string('z', 300_000));
        Say("@exit 0 1\n@exit 0 2\n");
        Assert.That((await run).ExitCode, Is.EqualTo(2));
    }

    [Test]
    public async Task The_greeting_tells_the_kernel_and_a_second_one_a_restart()
    {
        Say("\n@hello 1 6.1.0-test\n");
        await _shell.WaitForGreetingAsync().WaitAsync(Generous);
        Assert.That((_shell.Greetings, _shell.KernelRelease), Is.EqualTo((1, "6.1.0-test")));
        Task second = _shell.WaitForGreetingAsync(1);
        Assert.That(second.IsCompleted, Is.False);
        Say("\n@hello 1 6.1.0-test\n");
        await second.WaitAsync(Generous);
    }

    [Test]
    public async Task When_the_guest_goes_everybody_who_waits_is_told()
    {
        Task<GuestCommandResult> run = _shell.RunAsync("x", Generous);
        Task greeting = _shell.WaitForGreetingAsync();
        await _requests.ReadLineAsync();
        _guest.Shutdown(SocketShutdown.Both);
        Assert.That((await Assert.ThrowsAsync<GuestException>(() => run))!.Message, Does.Contain("gone"));
        Assert.That((await Assert.ThrowsAsync<GuestException>(() => greeting))!.Message, Does.Contain("ended before"));
        Assert.That((await Assert.ThrowsAsync<GuestException>(() => _shell.RunAsync("y", Generous)))!.Message, Does.Contain("gone"));
    }

    [Test]
    public async Task A_command_that_is_too_long_is_refused_before_anything_is_sent()
    {
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _shell.RunAsync(new string('x', GuestShell.LongestCommand + 1), Generous));
        Task<GuestCommandResult> run = _shell.RunAsync(new string('x', GuestShell.LongestCommand), Generous);
        Assert.That(await _requests.ReadLineAsync(), Does.StartWith("@run 0 "));
        Say("@exit 0 0\n");
        await run;
    }
}
