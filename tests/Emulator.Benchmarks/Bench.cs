using System.Globalization;
using System.Text.Json;

namespace Emulator.Benchmarks;

/// <summary>Runs every measurement and prints one table: ours, the rival's in the same run, and their ratio.</summary>
internal static class Bench
{
    public static int Run(bool json)
    {
        var figures = new List<Figure>();
        Measure("round trips", () => figures.AddRange(RoundTrips.Measure()));
        Measure("register access", () => figures.AddRange(RegisterAccess.Measure()));
        Measure("start and memory", () => figures.AddRange(WholeProcess.Measure()));
        Measure("drivers in the bench", () => figures.AddRange(DriverRuns.Measure()));
        if (json) PrintJson(figures);
        else PrintText(figures);
        return 0;
    }

    private static void Measure(string what, Action action)
    {
        Console.Error.WriteLine($"measuring {what} ...");
        try
        {
            action();
        }
        catch (BenchException e)
        {
            Console.Error.WriteLine($"  left out: {e.Message}");
        }
    }

    private static void PrintText(List<Figure> figures)
    {
        string Number(double? value, string unit) => value is { } v ? v.ToString(v < 100 ? "0.0" : "0", CultureInfo.InvariantCulture) + " " + unit : "";
        Console.WriteLine($"{"figure",-44} {"ours",12} {"rival",12} {"ratio",7} {"limit",9}  ");
        foreach (Figure f in figures)
        {
            string ratio = f.Ratio?.ToString("0.00", CultureInfo.InvariantCulture) ?? "";
            string limit = f.Ratio is null ? Number(f.Limit, f.Unit) : f.Limit.ToString("0.00", CultureInfo.InvariantCulture) + " x";
            string verdict = f.IsReached ? "reached" : "MISSED";
            Console.WriteLine($"{f.Name,-44} {Number(f.Ours, f.Unit),12} {Number(f.Rival, f.Unit),12} {ratio,7} {limit,9}  {verdict}");
        }
        Console.WriteLine();
        foreach (Figure f in figures) Console.WriteLine($"{f.Name}: {f.Note}");
    }

    private static void PrintJson(List<Figure> figures)
    {
        using var writer = new Utf8JsonWriter(Console.OpenStandardOutput(), new JsonWriterOptions { Indented = true });
        writer.WriteStartArray();
        foreach (Figure f in figures)
        {
            writer.WriteStartObject();
            writer.WriteString("figure", f.Name);
            writer.WriteNumber("ours", f.Ours);
            if (f.Rival is { } rival) writer.WriteNumber("rival", rival);
            if (f.Ratio is { } ratio) writer.WriteNumber("ratio", ratio);
            writer.WriteString("unit", f.Unit);
            writer.WriteNumber("limit", f.Limit);
            writer.WriteBoolean("reached", f.IsReached);
            writer.WriteString("note", f.Note);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.Flush();
        Console.WriteLine();
    }
}

/// <summary>A measurement that cannot be made here; the message says what is missing.</summary>
internal sealed class BenchException(string message) : Exception(message);
