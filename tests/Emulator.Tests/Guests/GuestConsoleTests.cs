using System.IO.Pipelines;
using System.Text;
using System.Text.RegularExpressions;
using Emulator.Guests;

namespace Emulator.Tests.Guests;

[TestFixture]
[Category("Unit")]
public sealed class GuestConsoleTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(1);

    private Pipe _pipe = null!;

    [SetUp]
    public void Open() => _pipe = new Pipe();

    private async Task SayAsync(string text) => await _pipe.Writer.WriteAsync(Encoding.UTF8.GetBytes(text));

    [Test]
    public async Task Text_that_comes_in_pieces_is_found_whole()
    {
        await using var console = new GuestConsole(_pipe.Reader.AsStream());
        Task<long> waiting = console.WaitForAsync("lp0: using parport0", Generous);
        foreach (char c in "noise\r\nlp0: using parport0 (polling).\r\n")
        {
            await SayAsync(c.ToString());
        }

        Assert.That(await waiting, Is.EqualTo("noise\nlp0: using parport0".Length));
    }

    [Test]
    public async Task A_wait_from_a_position_ignores_what_came_before()
    {
        await using var console = new GuestConsole(_pipe.Reader.AsStream());
        await SayAsync("login 1\n");
        long position = await console.WaitForAsync("login", Generous);
        Task<Match> waiting = console.WaitForAsync(new Regex(@"login (\d)"), Generous, position);
        await SayAsync("login 2\n");
        Assert.That((await waiting).Groups[1].Value, Is.EqualTo("2"));
    }

    [Test]
    public async Task The_end_of_the_line_ends_a_wait_with_the_last_lines()
    {
        await using var console = new GuestConsole(_pipe.Reader.AsStream());
        await SayAsync("the last words\n");
        await _pipe.Writer.CompleteAsync();
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => console.WaitForAsync("more", Generous)))!;
        Assert.That(problem.Message, Does.Contain("ended before it showed 'more'").And.Contain("the last words"));
    }

    [Test]
    public async Task A_wait_that_takes_too_long_says_so()
    {
        await using var console = new GuestConsole(_pipe.Reader.AsStream());
        GuestException problem = (await Assert.ThrowsAsync<GuestException>(() => console.WaitForAsync("more", TimeSpan.FromMilliseconds(1))))!;
        Assert.That(problem.Message, Does.Contain("did not show 'more' within 0 s"));
        await _pipe.Writer.CompleteAsync();
    }

    [Test]
    public async Task The_oldest_text_is_forgotten_and_positions_stay_valid()
    {
        await using var console = new GuestConsole(_pipe.Reader.AsStream());
        string block = new string('x', 1024 * 1024 - 1) + "\n";
        for (int i = 0; i < 17; i++)
        {
            await SayAsync(block);
        }

        await SayAsync("the end");
        long end = await console.WaitForAsync("the end", Generous, 16L * block.Length);
        Assert.That(end, Is.EqualTo(17L * block.Length + "the end".Length));
        Assert.That(console.Text.Length, Is.AtMost(2 * GuestConsole.Capacity));
    }

    [Test]
    public async Task A_character_split_between_reads_and_invalid_bytes_do_no_harm()
    {
        await using var console = new GuestConsole(_pipe.Reader.AsStream());
        byte[] bytes = [.. "5 µs"u8];
        await _pipe.Writer.WriteAsync(bytes.AsMemory(0, 3));
        await _pipe.Writer.WriteAsync(bytes.AsMemory(3));
        await _pipe.Writer.WriteAsync(new byte[] { 0xff, (byte)'!' });
        await console.WaitForAsync("5 µs", Generous);
        await console.WaitForAsync("!", Generous);
        await _pipe.Writer.CompleteAsync();
    }
}
