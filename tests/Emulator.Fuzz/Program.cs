using System.Globalization;
using System.Runtime.InteropServices;
using Emulator.Fuzz;
using Emulator.Testing;

const string Usage = "usage: fuzz SECONDS [--seed N] [--only NAME] [--list]";

int? seconds = null;
int seed = Random.Shared.Next();
string only = "";
IReadOnlyList<IFuzzer> fuzzers = Fuzzers.All;
for (int i = 0; i < args.Length; i++)
{
    bool hasNext = i + 1 < args.Length;
    if (args[i] == "--list")
    {
        foreach (IFuzzer fuzzer in fuzzers) Console.WriteLine(fuzzer.Name);
        return 0;
    }
    if (args[i] == "--seed" && hasNext && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out seed)) i++;
    else if (args[i] == "--only" && hasNext) only = args[++i];
    else if (int.TryParse(args[i], NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0) seconds = number;
    else return Wrong($"'{args[i]}' is not understood");
}
if (seconds is null) return Wrong("how many seconds each fuzzer may take is missing");
fuzzers = [.. fuzzers.Where(f => f.Name.Contains(only, StringComparison.OrdinalIgnoreCase))];
if (fuzzers.Count == 0) return Wrong($"no fuzzer is called '{only}'; --list names them");

// The first signal ends the round under way, and with it everything that was set up.
using var stop = new CancellationTokenSource();
void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
Console.WriteLine($"seed {seed}, {seconds} s each");
int findings = 0;
foreach (IFuzzer fuzzer in fuzzers)
{
    if (stop.IsCancellationRequested) break;
    try
    {
        string summary = fuzzer.Run(seed, TimeSpan.FromSeconds(seconds.Value), stop.Token);
        Console.WriteLine($"{fuzzer.Name,-32} {summary}: nothing found");
    }
    catch (PropertyFailedException e)
    {
        findings++;
        Console.WriteLine($"{fuzzer.Name,-32} FOUND:\n{e.Message}");
    }
}
if (stop.IsCancellationRequested) Console.WriteLine("stopped before the end");
return findings > 0 ? 1 : stop.IsCancellationRequested ? 130 : 0;

static int Wrong(string what)
{
    Console.Error.WriteLine($"fuzz: {what}\n{Usage}");
    return 2;
}
