using System.Buffers.Binary;
using Emulator.Nt;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using Emulator.Testing;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.Tests.Nt;

/// <summary>Memory as it is in a crashed, half-written or malicious kernel: every view ends, throws nothing, and says what it met.</summary>
[TestFixture, Category("Unit")]
internal sealed class HostileMemoryTests
{
    // Far above what any memory of these tests needs, far below what a loop without a bound would take.
    private const int ManyReads = 2_000_000;

    [Test]
    public void Random_bytes_everywhere_never_throw([Values] bool is64)
        => Check.One(FixedSeed.Config.WithMaxTest(20), Prop.ForAll(Gen.Choose(0, 255).ArrayOf(0x400).ToArbitrary(), bytes =>
        {
            var memory = new RepeatingMemory(is64, [.. bytes.Select(b => (byte)b)]);
            // The marks where the first look goes, so that chance has to find only the rest.
            foreach (int at in (int[])[0, 0x200])
            {
                memory.Bytes[at] = 4;
                memory.Bytes[at + 2] = (byte)(is64 ? 0x50 : 0xA8);
                memory.Bytes[at + 3] = (byte)(is64 ? 1 : 0);
            }
            memory.Bytes[0x100] = 3;
            memory.Bytes[0x101] = 0;
            var viewer = new NtViewer(memory, is64 ? NtLayout.Windows10 : NtLayout.ReactOs, new FakeSymbols(), [0, 0x100, 0x200, ulong.MaxValue]);
            LookAtEverything(viewer, [0, 0x100, 0x200, 0x3f8]);
            Assert.That(memory.Reads, Is.LessThan(ManyReads));
        }));

    [Test]
    public void A_world_with_any_words_overwritten_never_throws([Values] bool is64)
    {
        var intact = new RobotWorld(is64);
        Gen<ulong> address = Gen.Elements([.. intact.Memory.Objects]);
        Gen<ulong> value = Gen.OneOf(address, Gen.Elements(0UL, 1UL, uint.MaxValue, ulong.MaxValue, 0x8000_0000_0000_0000),
            ArbMap.Default.GeneratorFor<ulong>());
        // Half the words hit where the structures' marks and pointers are.
        Gen<(ulong, ulong)> damage = address.SelectMany(a => Gen.Choose(0, 0x23f).Select(o => a + (ulong)(o & ~3))).Zip(value, (a, v) => (a, v));
        Check.One(FixedSeed.Config.WithMaxTest(50), Prop.ForAll(damage.NonEmptyListOf().ToArbitrary(), words =>
        {
            var world = new RobotWorld(is64);
            foreach ((ulong at, ulong word) in words) world.Memory.WritePointer(at, word);
            LookAtEverything(world.Viewer, world.Memory.Objects);
            Assert.That(world.Memory.Reads, Is.LessThan(ManyReads));
        }));
    }

    [Test]
    public void Lists_without_end_are_cut([Values] bool is64)
    {
        var memory = new EndlessMemory(is64);
        var viewer = new NtViewer(memory, (is64 ? NtLayout.X64 : NtLayout.X86) with { ObjectHeader = null }, new FakeSymbols(), [EndlessMemory.Driver]);
        DriverListing listing = viewer.ShowDriver(EndlessMemory.Driver, DriverListingParts.Devices)!;
        Assert.That(listing.Devices, Has.Count.EqualTo(ObjectReader.MostDevices));
        Assert.That(listing.Findings.Select(f => f.Problem), Has.Some.Contains("does not end"));
        DeviceStackListing stack = viewer.ShowStack(EndlessMemory.Device)!;
        Assert.That(stack.Levels, Has.Count.EqualTo(ObjectReader.MostLevels));
        Assert.That(stack.Findings.Select(f => f.Problem), Has.Some.Contains("AttachedDevice does not end"));
        DeviceNodeListing nodes = viewer.ShowNodes(EndlessMemory.Node)!;
        Assert.That(nodes.Nodes, Has.Count.EqualTo(ObjectReader.MostNodes));
        Assert.That(nodes.ToString(), Does.Contain("4096 nodes are shown"));
        var findings = new List<NtFinding>();
        viewer.Reader.ReadModules(EndlessMemory.Node, findings);
        Assert.That(findings.Select(f => f.Problem), Has.Some.Contains("does not end"));
    }

    [Test]
    public void A_circle_of_devices_is_named([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        world.Memory.WritePointer(world.Memory.At(world.Filter, 0x18, 0x10), world.Fdo);
        DeviceStackListing stack = world.Viewer.ShowStack(world.Fdo)!;
        Assert.That(stack.Levels, Has.Count.EqualTo(3));
        var fdo = new NtAddress(world.Fdo, is64);
        Assert.That(stack.ToString(), Does.Contain($"*** DEVICE_OBJECT {fdo}: AttachedDevice runs into a circle at {fdo}\n"));
    }

    [Test]
    public void A_pointer_to_nothing_is_named([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        world.Memory.WritePointer(world.Memory.At(world.Fdo, 8, 8), 0x1000);
        DeviceStackListing stack = world.Viewer.ShowStack(world.Pdo)!;
        Assert.That(stack.Levels[1], Has.Property("DriverName").Null.And.Property("Files").EqualTo("(unknown)"));
        Assert.That(stack.Findings, Is.EqualTo(new[] { new NtFinding("DRIVER_OBJECT", new NtAddress(0x1000, is64), "cannot be read") }));
    }

    [Test]
    public void A_name_cannot_steer_the_terminal()
    {
        var world = new RobotWorld(is64: true);
        world.Memory.WriteText(world.Proseware + 0x38, "\\Driver\\\u001b[2J\r\n\u202eevil");
        Assert.That(world.Viewer.ShowDriver(world.Proseware, DriverListingParts.None)!.Name, Is.EqualTo(@"\Driver\?[2J???evil"));
    }

    [Test]
    public void A_malformed_name_is_a_finding_and_the_rest_is_shown([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        world.Memory.Write16(world.Memory.At(world.Proseware, 0x38, 0x1C), 7);
        DriverListing listing = world.Viewer.ShowDriver(world.Proseware, DriverListingParts.Dispatch)!;
        Assert.That(listing.Name, Is.Null);
        Assert.That(listing.DriverEntry.Symbol, Is.EqualTo("ProsewareRobot!GsDriverEntry"));
        Assert.That(listing.Findings.Single().Problem, Does.StartWith("DriverName is malformed: Length 7"));
    }

    [Test]
    public void A_scan_finds_exactly_the_planted_drivers([Values] bool is64)
    {
        var memory = new FakeNt(is64);
        ulong pool = is64 ? 0xfffffa80_01000000 : 0x81000000;
        ulong image = is64 ? 0xfffff880_01000000 : 0xf1000000;
        ulong[] planted =
        [
            memory.AddDriver(pool + 0x10, @"\Driver\first", image),
            memory.AddDriver(pool + 0x1000 - 0x80, @"\Driver\across", image),
            memory.AddDriver(pool + 0x5008, @"\Driver\kernels", 0),
        ];
        // Each is wrong in one way.
        memory.AddDriver(pool + 0x6000, @"\Driver\unaligned", image + 8);
        memory.AddDriver(pool + 0x6404, @"\Driver\misplaced", image);
        memory.WritePointer(memory.At(memory.AddDriver(pool + 0x6800, @"\Driver\extension", image), 0x30, 0x18), pool);
        memory.WritePointer(memory.At(memory.AddDriver(pool + 0x7000, @"\Driver\back", image), 0x150, 0xA8), pool);
        memory.Write16(memory.AddDriver(pool + 0x7400, @"\Driver\type", image), 5);
        memory.Write16(memory.AddDriver(pool + 0x7800, @"\Driver\size", image) + 2, 0x148);
        if (is64) memory.AddDriver(pool + 0x7c00, @"\Driver\canonical", 0x0001_0000_0000_0000);
        // Unloaded: the pool has linked the name's memory into a list of free ones.
        memory.AddDriver(pool + 0x8000, "\ua8c0\ub05ariver\\unloaded", image);
        // An object cut off by the end of memory.
        ulong cut = pool + 0x9000 - 8;
        memory.Write16(cut, 4);
        memory.Write16(cut + 2, is64 ? 0x150 : 0xA8);
        var reader = new ObjectReader(memory, is64 ? NtLayout.X64 : NtLayout.X86);
        Assert.That(DriverScan.Find(reader, pool, 0x20000).Select(a => a.Value), Is.EqualTo(planted));
        Assert.That(DriverScan.Find(reader, planted[0] + 1, planted[2] - planted[0] - 1).Select(a => a.Value), Is.EqualTo(new[] { planted[1] }));
        Assert.That(DriverScan.Find(reader, pool, 0), Is.Empty);
    }

    [Test]
    public void A_scan_reaches_the_last_page_and_goes_no_further([Values] bool is64)
    {
        var reader = new ObjectReader(new FakeNt(is64), is64 ? NtLayout.X64 : NtLayout.X86);
        ulong last = is64 ? ulong.MaxValue : uint.MaxValue;
        Assert.That(DriverScan.Find(reader, last - 0xffff, 0x10000), Is.Empty);
        Assert.That(() => DriverScan.Find(reader, last - 0xffff, 0x10001), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void A_read_does_not_wrap_around_the_end_of_memory([Values] bool is64)
    {
        var memory = new RepeatingMemory(is64, new byte[0x400]);
        var findings = new List<NtFinding>();
        var reader = new ObjectReader(memory, is64 ? NtLayout.X64 : NtLayout.X86);
        Assert.That(reader.ReadDevice((is64 ? ulong.MaxValue : uint.MaxValue) - 0x10, findings), Is.Null);
        Assert.That(findings.Single().Problem, Is.EqualTo("cannot be read"));
        Assert.That(memory.Reads, Is.Zero);
    }

    private static void LookAtEverything(NtViewer viewer, IEnumerable<ulong> addresses)
    {
        viewer.TryFindDriver("ProsewareRobot", out _, out _);
        foreach (ulong address in addresses)
        {
            foreach (object? view in (object?[])[
                viewer.ShowDriver(address, DriverListingParts.Devices | DriverListingParts.Dispatch | DriverListingParts.Stacks),
                viewer.ShowStack(address), viewer.ShowNodes(address), viewer.ShowPair(address)])
            {
                Assert.That(view?.ToString(), Is.Null.Or.Not.Empty);
            }
            viewer.ShowStack(address)?.ToFigure();
            viewer.Reader.ReadModules(address, new List<NtFinding>());
        }
    }

    /// <summary>The same bytes, a power of two of them, again and again: every pointer leads somewhere.</summary>
    private sealed class RepeatingMemory(bool is64, byte[] bytes) : INtMemory
    {
        public byte[] Bytes { get; } = bytes;

        public bool Is64Bit { get; } = is64;

        public int Reads { get; private set; }

        public bool TryRead(ulong address, Span<byte> destination)
        {
            Reads++;
            for (int i = 0; i < destination.Length; i++) destination[i] = Bytes[(int)(address + (ulong)i) & (Bytes.Length - 1)];
            return true;
        }
    }

    /// <summary>Every page holds a driver, a device and a node, and all of them lead to the next page.</summary>
    private sealed class EndlessMemory : INtMemory
    {
        private const int PageSize = 0x1000;
        private readonly byte[] _page = new byte[PageSize];
        private readonly List<(int At, int Target)> _pointers = [];

        public const ulong Driver = 0x1000_0000, Device = Driver + 0x400, Node = Driver + 0x800;

        public EndlessMemory(bool is64)
        {
            Is64Bit = is64;
            Put16(0, 4);
            Put16(2, is64 ? 0x150 : 0xA8);
            Point(is64 ? 0x08 : 0x04, 0x400);
            Point(is64 ? 0x30 : 0x18, is64 ? 0x150 : 0xA8);
            Point(is64 ? 0x150 : 0xA8, 0);
            Put16(0x400, 3);
            Point(0x408, 0);
            Point(is64 ? 0x410 : 0x40C, PageSize + 0x400);
            Point(is64 ? 0x418 : 0x410, PageSize + 0x400);
            Point(is64 ? 0x538 : 0x4B0, 0x600);
            Put16(0x600, 13);
            Point(is64 ? 0x608 : 0x604, 0x400);
            Point(is64 ? 0x630 : 0x618, -PageSize + 0x400);
            Point(0x800, 2 * PageSize + 0x800);
            Point(is64 ? 0x808 : 0x804, PageSize + 0x800);
        }

        public bool Is64Bit { get; }

        public bool TryRead(ulong address, Span<byte> destination)
        {
            ulong page = address & ~(ulong)(PageSize - 1);
            int offset = (int)(address - page);
            if (offset + destination.Length > PageSize) return false;
            byte[] bytes = [.. _page];
            foreach ((int at, int target) in _pointers)
            {
                ulong value = page + (ulong)(long)target;
                if (Is64Bit) BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);
                else BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), (uint)value);
            }
            bytes.AsSpan(offset, destination.Length).CopyTo(destination);
            return true;
        }

        private void Put16(int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(_page.AsSpan(at), (ushort)value);

        private void Point(int at, int target) => _pointers.Add((at, target));
    }
}
