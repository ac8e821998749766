using System.Diagnostics;
using Emulator.Models;
using Emulator.Testing;

namespace Emulator.Fuzz;

/// <summary>
/// Random sessions against a served model. After each, another client must be served, the model must not have thrown, and now and
/// then the process must have no more descriptors and mappings than before.
/// </summary>
internal sealed class WireFuzzer(DeviceModel model) : IFuzzer
{
    private const int SessionsBetweenCounts = 50, Tolerance = 4;

    private static readonly TimeSpan TimeToShorten = TimeSpan.FromSeconds(60);

    public string Name => $"wire/{model.Name}";

    public string Run(int seed, TimeSpan time, CancellationToken stop)
    {
        long started = Stopwatch.GetTimestamp();
        var random = new Random(seed);
        using var server = new FuzzedServer(model);
        int sessions = 0, messages = 0, descriptors = int.MaxValue;
        do
        {
            List<FuzzStep> session = new MessageGrammar(random, server.Function).Session();
            if (server.Play(session) is { } why) throw Shortest(session, why, seed);
            sessions++;
            messages += session.Count;
            if (sessions % SessionsBetweenCounts == 0) CheckLeaks(server, ref descriptors, seed, sessions);
        }
        while (Stopwatch.GetElapsedTime(started) < time && !stop.IsCancellationRequested);
        CheckLeaks(server, ref descriptors, seed, sessions);
        return $"{sessions} sessions, {messages} messages";
    }

    private void CheckLeaks(FuzzedServer server, ref int descriptors, int seed, int sessions)
    {
        int mappings = server.CountMappings();
        if (mappings > 0) throw Finding($"{mappings} mappings of clients' memory are left after {sessions} sessions", seed, []);
        int now = server.CountDescriptors();
        // A few are opened once, by whatever needs them first.
        if (now > (long)descriptors + Tolerance) throw Finding($"{now} descriptors are open after {sessions} sessions, {descriptors} were before", seed, []);
        descriptors = Math.Min(descriptors, now);
    }

    private PropertyFailedException Shortest(List<FuzzStep> session, string why, int seed)
    {
        long started = Stopwatch.GetTimestamp();
        (IReadOnlyList<FuzzStep> steps, why) = Shrinker.Shrink(session, why, shorter =>
        {
            if (Stopwatch.GetElapsedTime(started) > TimeToShorten) return null;
            using var fresh = new FuzzedServer(model);
            return fresh.Play(shorter);
        });
        return Finding(why, seed, steps);
    }

    private PropertyFailedException Finding(string why, int seed, IReadOnlyList<FuzzStep> steps)
        => PropertyFailedException.Create(model.Name, "a served device withstands any client", why, seed, steps);
}
