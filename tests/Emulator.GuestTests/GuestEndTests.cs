using System.Diagnostics;
using Emulator.Guests;

namespace Emulator.GuestTests;

/// <summary>The ways a guest ends, wanted or not.</summary>
[TestFixture]
[Category("Guest")]
public sealed class GuestEndTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(2);

    private static async Task<GuestOptions> OptionsAsync() => new()
    {
        Qemu = await QemuInstallation.EnsureAsync(TestContext.Progress.WriteLine),
        Image = await LinuxGuestImage.EnsureAsync(TestContext.Progress.WriteLine),
    };

    [Test]
    public async Task Powering_off_ends_QEMU_normally_and_leaves_no_file()
    {
        GuestSession guest = await GuestSession.StartAsync(await OptionsAsync() with { Machine = "pc" });
        string folder = Path.GetDirectoryName(guest.CommandLine.QmpSocket)!;
        await using (guest)
        {
            Assert.That(folder, Does.Exist);
            Assert.That((await guest.PowerOffAsync()).ExitCode, Is.Zero);
        }

        Assert.That(folder, Does.Not.Exist);
    }

    [Test]
    public async Task Killing_QEMU_fails_the_command_that_runs_with_the_reason()
    {
        await using GuestSession guest = await GuestSession.StartAsync(await OptionsAsync());
        var started = new TaskCompletionSource();
        Task<GuestCommandResult> command = guest.RunAsync("echo here; sleep 1000", onOutput: _ => started.TrySetResult());
        await started.Task.WaitAsync(Generous);
        QemuExit exit = await guest.Kill9Async();
        Assert.That(exit.ExitCode, Is.EqualTo(137));
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => command))!;
        Assert.That(problem.Message, Does.Contain("the guest is gone"));
    }

    [Test]
    public async Task A_kernel_panic_ends_the_wait_with_the_console()
    {
        GuestOptions options = await OptionsAsync() with { KernelArguments = ["rdinit=/no/such/init", "root=/dev/none"] };
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => GuestSession.StartAsync(options)))!;
        Assert.That(problem.Message, Does.Contain("panicked").And.Contain("Kernel panic - not syncing"));
    }

    [Test]
    public async Task A_module_that_does_not_exist_is_named()
    {
        GuestOptions options = await OptionsAsync() with { Modules = ["parport", "flux_capacitor"] };
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => GuestSession.StartAsync(options)))!;
        Assert.That(problem.Message, Does.Contain("could not load flux_capacitor"));
    }

    [Test]
    public async Task QEMUs_own_words_explain_why_it_did_not_start()
    {
        GuestOptions options = await OptionsAsync() with { Devices = [new VfioUserDevice("/nowhere/device.sock")] };
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => GuestSession.StartAsync(options)))!;
        Assert.That(problem.Message, Does.Contain("QEMU ended with exit code 1").And.Contain("/nowhere/device.sock"));
    }

    [Test]
    public async Task A_guest_that_does_not_answer_in_time_shows_its_console()
    {
        string hang = Path.GetTempFileName();
        await File.WriteAllTextAsync(hang, "#!/bin/busybox sh\necho an init that never ends\nexec /bin/busybox sleep 100000\n");
        File.SetUnixFileMode(hang, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        GuestOptions options = await OptionsAsync() with
        {
            Payload = [new PayloadFile("hang", hang)],
            KernelArguments = ["rdinit=/payload/hang"],
        };
        // A guest on a busy machine may need more than that to come to its init.
        string message = "";
        for (int seconds = 20; seconds < 300 && !message.Contains("an init that never ends", StringComparison.Ordinal); seconds *= 2)
        {
            GuestException problem = (await Assert.ThrowsAsync<GuestException>(
                () => GuestSession.StartAsync(options with { BootTimeout = TimeSpan.FromSeconds(seconds) })))!;
            message = problem.Message;
            Assert.That(message, Does.Contain($"did not answer within {seconds} s"));
        }
        Assert.That(message, Does.Contain("an init that never ends"));
        File.Delete(hang);
    }

    [Test]
    public async Task A_child_dies_with_the_process_that_started_it()
    {
        // A shell stands for us. Its child is what QEMU would be: it announces itself and then would stay for ever.
        string[] guard = [.. QemuProcess.Guard(0, ownSession: true)];
        string words = string.Join(' ', guard[..^1].Select(QemuCommandLine.Quote));
        using Process parent = Process.Start(new ProcessStartInfo("sh", ["-c", $"{words} $$ sh -c 'echo $$; exec sleep 100000' & wait"])
        {
            RedirectStandardOutput = true,
        })!;
        string child = (await parent.StandardOutput.ReadLineAsync())!;
        Assert.That($"/proc/{child}", Does.Exist);
        parent.Kill();
        // The pipe ends when the last process that holds it has: the child, which would stay for a day.
        Assert.That(await parent.StandardOutput.ReadToEndAsync().WaitAsync(Generous), Is.Empty);
    }
}
