using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Cpu;

/// <summary>Functions compiled as drivers, loaded and interpreted, give what the same source gives on this machine.</summary>
[Category("Unit")]
internal sealed class WholeFunctionTests
{
    private const int FunctionCount = 12;
    private const ulong BufferAddress = 0x0050_0000;
    private const int BufferSize = 0x2000;

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate ulong RunFunction(uint which, [In, Out] byte[] buffer, uint length, uint seedLow, uint seedHigh);

    [Test]
    public void Compiled_functions_give_what_they_give_natively(
        [Values("gcc", "clang")] string compiler, [Values(Machine.Amd64, Machine.I386)] Machine machine, [Values("-O2", "-Os", "-O3")] string optimization)
    {
        RunFunction native = Native();
        string real = compiler == "gcc" ? Targets.CompilerFor(machine) : compiler;
        // clang finds mingw's libraries through mingw's own compiler.
        PeImage image = PeImage.Open(Targets.BuildDriver(real, machine, "functions.c", $"functions-{compiler}-{machine}{optimization}", optimization));
        image.CheckDriver(machine);
        Interpreter cpu = Load(image, out LoadedImage loaded);
        var random = new Random(1234);
        ulong instructions = 0;
        for (uint which = 0; which < FunctionCount; which++)
        {
            for (int n = 0; n < 6; n++)
            {
                uint length = (uint)random.Next(16, 128) * 4;
                ulong seed = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
                var expected = new byte[BufferSize];
                random.NextBytes(expected.AsSpan(0, (int)length));
                Assert.That(cpu.Memory.TryPoke(BufferAddress, expected), Is.True);
                ulong value = native(which, expected, length, (uint)seed, (uint)(seed >> 32));

                CallOutcome call = cpu.Call(loaded.AddressOf("run_function")!.Value,
                    [which, BufferAddress, length, (uint)seed, seed >> 32], CallConvention.Cdecl);
                instructions += call.Run.Instructions;
                Assert.That(call.Run.Reason, Is.EqualTo(StopReason.Returned), $"function {which}: {call.Run}");
                Assert.That(call.Value | (call.HighValue << 32), Is.EqualTo(value), $"function {which}, length {length}, seed {seed}");
                Assert.That(call.Clobbered, Is.Empty);
                Assert.That(call.StackImbalance, Is.Zero);
                var found = new byte[BufferSize];
                Assert.That(cpu.Memory.TryPeek(BufferAddress, found), Is.True);
                Assert.That(found, Is.EqualTo(expected), $"buffer of function {which}");
            }
        }
        TestContext.Out.WriteLine($"{instructions} instructions");
    }

    /// <summary>The image away from where it was linked, a stack and a buffer.</summary>
    internal static Interpreter Load(PeImage image, out LoadedImage loaded)
    {
        var memory = new AddressSpace(image.Is64Bit ? AddressWidth.Bits64 : AddressWidth.Bits32);
        loaded = image.Load(memory, image.Is64Bit ? 0xFFFF_F800_1234_0000 : 0x8234_0000, static _ => null);
        memory.MapGuard(0x0010_0000, 0x1000, GuardKind.Stack, "end of the stack");
        memory.MapRam(0x0010_1000, 0xF000, Protection.ReadWrite, "stack");
        memory.MapRam(BufferAddress, BufferSize, Protection.ReadWrite, "buffer");
        var symbols = new SymbolTable();
        loaded.AddTo(symbols);
        var cpu = new Interpreter(memory, image.Is64Bit ? CpuMode.X64 : CpuMode.X86, new NoHost(), symbols: symbols);
        cpu.State.Rsp = 0x0011_0000;
        return cpu;
    }

    private static RunFunction Native()
    {
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess) Assert.Ignore("builds a shared object for Linux");
        string path = Compiler.Build("gcc", "functions.c", "libfunctions.so", "-std=gnu11", "-O1", "-ffreestanding", "-shared", "-fPIC",
            "-fvisibility=hidden", "-nostdlib", "-fno-tree-loop-distribute-patterns");
        return Marshal.GetDelegateForFunctionPointer<RunFunction>(NativeLibrary.GetExport(NativeLibrary.Load(path), "run_function"));
    }

    private sealed class NoHost : IHostCalls
    {
        public void Invoke(ref CallFrame frame) => frame.Stop("no host calls here");
    }
}
