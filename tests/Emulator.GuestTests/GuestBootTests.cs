using System.Text.RegularExpressions;
using Emulator.Guests;

namespace Emulator.GuestTests;

/// <summary>A guest without our devices: what every other guest test stands on.</summary>
[TestFixture]
[Category("Guest")]
public sealed class GuestBootTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(2);

    private readonly string _payload = Path.GetTempFileName();
    private GuestSession _guest = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        byte[] everyByte = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7 + i / 256))];
        await File.WriteAllBytesAsync(_payload, everyByte);
        _guest = await GuestSession.StartAsync(new GuestOptions
        {
            Qemu = await QemuInstallation.EnsureAsync(TestContext.Progress.WriteLine),
            Image = await LinuxGuestImage.EnsureAsync(TestContext.Progress.WriteLine),
            Modules = ["parport_pc", "lp"],
            Payload = [new PayloadFile("folder/bytes", _payload)],
        });
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }

        File.Delete(_payload);
    }

    [Test]
    public async Task A_command_gives_its_output()
    {
        GuestCommandResult result = await _guest.RunAsync("uname -r");
        Assert.That(result.ExitCode, Is.Zero);
        Assert.That(result.Output, Is.EqualTo(_guest.Shell.KernelRelease + "\n").And.Match(@"^\d+\.\d+\."));
    }

    [TestCase("true", 0)]
    [TestCase("exit 41", 41)]
    [TestCase("no-such-command", 127)]
    [TestCase("kill -9 $$", 137)]
    public async Task A_command_gives_its_exit_code(string command, int expected)
    {
        Assert.That((await _guest.RunAsync(command)).ExitCode, Is.EqualTo(expected));
    }

    [Test]
    public async Task Standard_output_and_error_come_in_the_order_written()
    {
        Assert.That((await _guest.RunAsync("echo one; echo two >&2; echo three")).Output, Is.EqualTo("one\ntwo\nthree\n"));
    }

    [Test]
    public async Task A_payload_file_comes_through_byte_for_byte()
    {
        GuestCommandResult result = await _guest.RunAsync("cat /payload/folder/bytes");
        Assert.That(result.OutputBytes, Is.EqualTo(await File.ReadAllBytesAsync(_payload)));
    }

    [Test]
    public async Task The_modules_asked_for_are_loaded_and_one_can_be_reloaded()
    {
        Assert.That((await _guest.RunAsync("lsmod")).Output, Does.Contain("parport_pc").And.Contain("lp "));
        GuestCommandResult reload = await _guest.RunAsync("rmmod lp && ! grep -q '^lp ' /proc/modules && modprobe lp && grep -c '^lp ' /proc/modules");
        Assert.That(reload.Output, Is.EqualTo("1\n"));
    }

    [Test]
    public async Task Commands_run_side_by_side()
    {
        Task<GuestCommandResult> reader = _guest.RunAsync("mkfifo /tmp/meet; cat /tmp/meet");
        GuestCommandResult writer = await _guest.RunAsync("until [ -p /tmp/meet ]; do :; done; echo hello >/tmp/meet; echo said");
        Assert.That((await reader).Output, Is.EqualTo("hello\n"));
        Assert.That(writer.Output, Is.EqualTo("said\n"));
    }

    [Test]
    public async Task A_background_process_does_not_hold_up_its_command()
    {
        GuestCommandResult result = await _guest.RunAsync("sleep 1000 & echo started $!");
        string id = result.Output.Split(' ')[1].Trim();
        Assert.That((await _guest.RunAsync($"kill {id}")).ExitCode, Is.Zero);
    }

    [Test]
    public async Task A_command_that_takes_too_long_is_killed_and_the_channel_lives_on()
    {
        // A guest on a busy machine needs more than a second to come so far.
        string message = "";
        for (var limit = TimeSpan.FromSeconds(1); limit < Generous && !message.Contains("so far:\nbefore\n", StringComparison.Ordinal); limit *= 2)
        {
            GuestException problem = (await Assert.ThrowsAsync<GuestException>(
                () => _guest.RunAsync("echo $$ >/tmp/id; echo before; exec sleep 1000", limit)))!;
            message = problem.Message;
            Assert.That(message, Does.Contain($"did not end within {limit.TotalSeconds} s"));
        }
        Assert.That(message, Does.Contain("its output so far:\nbefore\n"));
        Assert.That((await _guest.RunAsync("while kill -0 $(cat /tmp/id) 2>/dev/null; do :; done; echo gone")).Output, Is.EqualTo("gone\n"));
    }

    [Test]
    public async Task Waiting_for_a_console_line_that_never_comes_says_what_came_instead()
    {
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(
            () => _guest.Console.WaitForAsync("the end of the world", TimeSpan.FromMilliseconds(10))))!;
        Assert.That(problem.Message, Does.Contain("the end of the world").And.Contain("lp: driver loaded but no devices found"));
    }

    [Test]
    public async Task What_a_command_writes_to_the_console_is_seen_there()
    {
        long position = _guest.Console.Position;
        await _guest.RunAsync("echo 'a mark on <the console>' >/dev/kmsg");
        Match match = await _guest.Console.WaitForAsync(new Regex("a mark on <(.*)>"), Generous, position);
        Assert.That(match.Groups[1].Value, Is.EqualTo("the console"));
    }

    [Test]
    public async Task Reboot_and_reset_bring_the_guest_back_fresh()
    {
        await _guest.RunAsync("touch /run/before");
        await _guest.RebootAsync();
        Assert.That((await _guest.RunAsync("ls /run; lsmod")).Output, Does.Not.Contain("before").And.Contain("parport_pc"));
        await _guest.RunAsync("touch /run/before");
        await _guest.ResetAsync();
        Assert.That((await _guest.RunAsync("ls /run")).Output, Does.Not.Contain("before"));
    }
}
