using Emulator.Benchmarks;

return args switch
{
    ["serve", string socket] => BenchServer.Run(socket, traceFile: null),
    ["serve", string socket, string trace] => BenchServer.Run(socket, trace),
    [] => Bench.Run(json: false),
    ["--format", "json"] => Bench.Run(json: true),
    ["--format", "text"] => Bench.Run(json: false),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: Emulator.Benchmarks [--format text|json]");
    return 2;
}
