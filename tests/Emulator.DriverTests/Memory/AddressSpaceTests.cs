using Emulator.DriverBench.Memory;
using Emulator.Testing;

namespace Emulator.DriverTests.Memory;

[Category("Unit")]
internal sealed class AddressSpaceTests
{
    private AddressSpace _space = null!;

    [SetUp]
    public void Prepare() => _space = new AddressSpace(AddressWidth.Bits64);

    [Test]
    public void What_is_written_is_read_back_in_every_size_and_across_pages()
    {
        _space.MapRam(0x1000, 0x2000, Protection.ReadWrite, "two pages");
        foreach (ulong at in (ulong[])[0x1000, 0x1FF9, 0x1FFA, 0x1FFC, 0x1FFE, 0x1FFF, 0x2FF0])
        {
            Assert.That(_space.TryWrite64(at, 0x8877_6655_4433_2211), Is.True);
            Assert.That(_space.TryRead64(at, out ulong whole), Is.True);
            Assert.That(whole, Is.EqualTo(0x8877_6655_4433_2211));
            Assert.That(_space.TryRead32(at + 2, out uint half), Is.True);
            Assert.That(half, Is.EqualTo(0x6655_4433));
            Assert.That(_space.TryWrite16(at + 1, 0xBBAA), Is.True);
            Assert.That(_space.TryWrite8(at, 0x99), Is.True);
            Assert.That(_space.TryRead32(at, out half), Is.True);
            Assert.That(half, Is.EqualTo(0x44BB_AA99));
            Assert.That(_space.TryWrite128(at, UInt128.MaxValue - 5), Is.True);
            Assert.That(_space.TryRead128(at, out UInt128 wide), Is.True);
            Assert.That(wide, Is.EqualTo(UInt128.MaxValue - 5));
        }
    }

    [Test]
    public void An_access_that_does_not_fit_faults_and_changes_nothing()
    {
        _space.MapRam(0x1000, 0x1000, Protection.ReadWrite, "page");
        Assert.That(_space.TryWrite64(0x1FFC, ulong.MaxValue), Is.False);
        Assert.That(_space.LastFault, Is.EqualTo(new MemoryFault(MemoryFaultKind.Unmapped, MemoryAccess.Write, 0x2000, 8, null)));
        Assert.That(_space.TryRead32(0x1FFC, out uint value), Is.True);
        Assert.That(value, Is.Zero);
        Assert.That(_space.TryWrite128(0x1FF8, 1), Is.False);
        Assert.That(_space.TryRead64(0x1FF8, out ulong half), Is.True);
        Assert.That(half, Is.Zero);
        Assert.That(_space.TryRead8(0xFFF, out _), Is.False);
        Assert.That(_space.Describe(0x2004), Is.EqualTo("0x4 bytes past the end of page"));
        Assert.That(_space.Describe(0xFF0), Is.EqualTo("0x10 bytes before page"));
    }

    [Test]
    public void Pages_allow_what_they_say_even_after_they_were_used()
    {
        MemoryRegion region = _space.MapRam(0x1000, 0x3000, Protection.ReadWrite, "pages");
        Assert.That(_space.TryWrite32(0x2000, 1), Is.True);
        _space.Protect(0x2000, 0x1000, Protection.Read);
        Assert.That(_space.TryWrite32(0x2000, 2), Is.False);
        Assert.That(_space.LastFault.Kind, Is.EqualTo(MemoryFaultKind.Protection));
        Assert.That(_space.LastFault.ToString(), Is.EqualTo("4-byte write at 0x2000: pages allows Read"));
        Assert.That(_space.TryRead32(0x2000, out uint value), Is.True);
        Assert.That(value, Is.EqualTo(1));
        Assert.That(_space.TryWrite32(0x1FFE, 3), Is.False, "half of it is read-only");
        _space.Protect(0x2000, 1, Protection.None);
        Assert.That(_space.TryRead32(0x2000, out _), Is.False);
        Assert.That(_space.TryPeek(0x2000, new byte[4]), Is.True, "a debugger reads everything");
        _space.Unmap(region);
        Assert.That(_space.TryRead32(0x1000, out _), Is.False);
        Assert.That(_space.LastFault.Kind, Is.EqualTo(MemoryFaultKind.Unmapped));
    }

    [Test]
    public void Two_mappings_of_one_backing_are_the_same_bytes()
    {
        var backing = new RamBacking(0x3000);
        _space.MapRam(0x10000, backing, 0, 0x3000, Protection.ReadWrite, "all");
        _space.MapRam(0x7FFF_0000, backing, 0x1000, 0x1000, Protection.Read, "middle");
        Assert.That(_space.TryWrite32(0x11010, 0xCAFE), Is.True);
        Assert.That(_space.TryRead32(0x7FFF_0010, out uint value), Is.True);
        Assert.That(value, Is.EqualTo(0xCAFE));
        Assert.That(_space.TryWrite32(0x7FFF_0010, 1), Is.False);
        Assert.That(backing.Bytes[0x1010], Is.EqualTo(0xFE));
    }

    [Test]
    public void Device_registers_see_offset_size_and_value()
    {
        var device = new Device();
        _space.MapMmio(0x5004, 0x20, device, "BAR 0");
        Assert.That(_space.TryWrite16(0x5006, 0x1234), Is.True);
        Assert.That(_space.TryRead32(0x5014, out uint value), Is.True);
        Assert.That(value, Is.EqualTo(0xFFFF_FF10));
        Assert.That(_space.TryRead8(0x5004, out _), Is.True);
        Assert.That(_space.TryRead64(0x500C, out _), Is.True);
        Assert.That(device.Seen, Is.EqualTo(new[] { "w2@0x2=0x1234", "r4@0x10", "r1@0x0", "r8@0x8" }));
        Assert.That(_space.TryRead32(0x5022, out _), Is.False, "reaches past the end");
        Assert.That(_space.LastFault.Kind, Is.EqualTo(MemoryFaultKind.Device));
        Assert.That(_space.TryReadBytes(0x5004, new byte[4]), Is.False, "bulk access would split registers");
        Assert.That(device.Seen, Has.Count.EqualTo(4));
    }

    [Test]
    public void Guards_say_why_they_are_there()
    {
        _space.MapGuard(0x9000, 0x1000, GuardKind.Freed, "pool block 'Robo', freed");
        Assert.That(_space.TryRead64(0x9010, out _), Is.False);
        Assert.That(_space.LastFault.Kind, Is.EqualTo(MemoryFaultKind.Guard));
        Assert.That(_space.LastFault.Guard, Is.EqualTo(GuardKind.Freed));
        Assert.That(_space.LastFault.ToString(), Does.Contain("pool block 'Robo', freed"));
    }

    [Test]
    public void Regions_never_overlap()
    {
        _space.MapRam(0x4000, 0x2000, Protection.ReadWrite, "ram");
        _space.MapMmio(0x7010, 0x10, new Device(), "bar");
        Assert.That(() => _space.MapRam(0x5000, 0x1000, Protection.Read, "inside"), Throws.ArgumentException);
        Assert.That(() => _space.MapRam(0x3000, 0x2000, Protection.Read, "from below"), Throws.ArgumentException);
        Assert.That(() => _space.MapRam(0x7000, 0x1000, Protection.Read, "around"), Throws.ArgumentException);
        Assert.That(() => _space.MapMmio(0x701F, 1, new Device(), "last byte"), Throws.ArgumentException);
        Assert.That(_space.MapMmio(0x7020, 1, new Device(), "next to it").Address, Is.EqualTo(0x7020));
        Assert.That(() => new AddressSpace(AddressWidth.Bits32).MapRam(0xFFFF_F000, 0x2000, Protection.Read, "beyond 4 GiB"), Throws.ArgumentException);
    }

    [Test]
    public void The_last_page_of_an_address_space_works_and_nothing_lies_behind_it()
    {
        foreach ((AddressWidth width, ulong last) in ((AddressWidth, ulong)[])[(AddressWidth.Bits32, 0xFFFF_F000),
            (AddressWidth.Bits64, 0xFFFF_FFFF_FFFF_F000)])
        {
            var space = new AddressSpace(width);
            space.MapRam(last, 0x1000, Protection.ReadWrite, "last");
            space.MapRam(0, 0x1000, Protection.ReadWrite, "first");
            Assert.That(space.TryWrite64(last + 0xFF8, 7), Is.True);
            Assert.That(space.TryRead64(last + 0xFF8, out ulong value), Is.True);
            Assert.That(value, Is.EqualTo(7));
            Assert.That(space.TryRead64(last + 0xFFC, out _), Is.False);
            Assert.That(space.TryWrite16(last + 0xFFF, 1), Is.False);
            Assert.That(space.TryReadBytes(last + 0xFF0, new byte[0x20]), Is.False);
        }
    }

    [Test]
    public void Bulk_copies_and_views_check_the_whole_range_first()
    {
        _space.MapRam(0x1000, 0x1000, Protection.ReadWrite, "a");
        _space.MapRam(0x2000, 0x1000, Protection.ReadWrite, "b");
        var bytes = new byte[0x1800];
        new Random(1).NextBytes(bytes);
        Assert.That(_space.TryWriteBytes(0x1400, bytes), Is.True);
        var back = new byte[0x1800];
        Assert.That(_space.TryReadBytes(0x1400, back), Is.True);
        Assert.That(back, Is.EqualTo(bytes));
        Assert.That(_space.TryView(0x1400, 0x800, writable: true, out Span<byte> view), Is.True);
        Assert.That(view.SequenceEqual(bytes.AsSpan(0, 0x800)), Is.True);
        Assert.That(_space.TryView(0x1800, 0x1000, writable: false, out _), Is.False, "two regions are no span");
        Array.Clear(bytes);
        Assert.That(_space.TryWriteBytes(0x2800, bytes), Is.False);
        Assert.That(_space.TryReadBytes(0x1400, back), Is.True);
        Assert.That(back, Has.Some.Not.Zero, "nothing was written");
    }

    [Test]
    public void Strings_end_at_zero_or_at_memory_that_cannot_be_read()
    {
        _space.MapRam(0x1000, 0x1000, Protection.ReadWrite, "page");
        _space.TryPoke(0x1000, "Robot\0"u8);
        _space.TryPoke(0x1100, "R\0o\0\0\0"u8);
        _space.TryPoke(0x1FFE, "ab"u8);
        Assert.That(_space.ReadString8(0x1000), Is.EqualTo("Robot"));
        Assert.That(_space.ReadString8(0x1000, limit: 3), Is.EqualTo("Rob"));
        Assert.That(_space.ReadString16(0x1100), Is.EqualTo("Ro"));
        Assert.That(_space.ReadString8(0x1FFE), Is.Null);
    }

    [Test]
    public void A_single_access_allocates_nothing()
    {
        _space.MapRam(0x1000, 0x4000, Protection.ReadWrite, "ram");
        _space.MapMmio(0x8000, 0x10, new Silent(), "device");
        Assert.That(Allocations.BytesOf(Use), Is.Zero);

        void Use()
        {
            _space.TryWrite32(0x1FFE, 1);
            _space.TryRead64(0x2FFC, out _);
            _space.TryRead32(0x8000, out _);
            _space.TryWrite8(0x8001, 1);
            _space.TryRead8(0x10, out _);
        }
    }

    [Test]
    public void The_allocator_leaves_a_page_between_blocks_and_reuses_what_is_freed()
    {
        var allocator = new RangeAllocator(_space, 0x10_0000, 0x11_0000);
        MemoryRegion first = allocator.Allocate(0x1800, Protection.ReadWrite, "first")!;
        MemoryRegion second = allocator.Allocate(1, Protection.ReadWrite, "second")!;
        Assert.That(first.Length, Is.EqualTo(0x2000));
        Assert.That(second.Address - first.End, Is.EqualTo(AddressSpace.PageSize));
        Assert.That(_space.TryRead8(first.End, out _), Is.False);
        allocator.Free(first);
        Assert.That(allocator.Allocate(0x2000, Protection.ReadWrite, "third")!.Address, Is.EqualTo(first.Address));
        Assert.That(allocator.Allocate(0x10_0000, Protection.ReadWrite, "too large"), Is.Null);
        Assert.That(allocator.Allocate(0x1000, Protection.ReadWrite, "aligned", 0x8000)!.Address % 0x8000, Is.Zero);
    }

    [Test]
    public void Everything_given_back_is_one_range_again()
    {
        var allocator = new RangeAllocator(_space, 0x10_0000, 0x20_0000) { QuarantineLimit = 0 };
        var random = new Random(7);
        var held = new List<MemoryRegion>();
        for (int i = 0; i < 2000; i++)
        {
            if (held.Count > 0 && random.Next(2) == 0)
            {
                int which = random.Next(held.Count);
                if (random.Next(2) == 0) allocator.Free(held[which]);
                else allocator.Retire(held[which], "freed");
                held.RemoveAt(which);
            }
            else if (allocator.Allocate((ulong)random.Next(1, 0x8000), Protection.ReadWrite, "block") is { } region) held.Add(region);
        }
        held.ForEach(allocator.Free);
        Assert.That(_space.Regions, Is.Empty);
        Assert.That(allocator.Allocate(0x10_0000 - AddressSpace.PageSize, Protection.ReadWrite, "all of it"), Is.Not.Null);
    }

    [Test]
    public void Blocks_end_at_a_guard_and_freed_ones_are_remembered()
    {
        var allocator = new RangeAllocator(_space, 0x10_0000, 0x20_0000) { QuarantineLimit = 0x2000 };
        MemoryRegion region = allocator.AllocateBlock(0x48, 8, "pool block 'Robo'", guardBefore: false, out ulong block)!;
        Assert.That(block + 0x48, Is.EqualTo(region.End));
        Assert.That(_space.TryWrite64(block + 0x40, 1), Is.True);
        Assert.That(_space.TryWrite8(block + 0x48, 1), Is.False);
        Assert.That(_space.Describe(block + 0x48), Is.EqualTo("0x0 bytes past the end of pool block 'Robo'"));
        allocator.AllocateBlock(0x10, 8, "other", guardBefore: true, out ulong other);
        Assert.That(_space.TryRead8(other, out _), Is.True);
        Assert.That(_space.TryRead8(other - 1, out _), Is.False);

        allocator.Retire(region, "pool block 'Robo', freed by Caller");
        Assert.That(_space.TryRead64(block, out _), Is.False);
        Assert.That(_space.LastFault.Guard, Is.EqualTo(GuardKind.Freed));
        for (int i = 0; i < 3; i++) allocator.Retire(allocator.Allocate(0x1000, Protection.ReadWrite, "next")!, "freed");
        Assert.That(_space.Regions.Select(kept => kept.Name), Is.EquivalentTo(new[] { "other", "freed", "freed" }),
            "the quarantine holds two pages, the oldest left");
    }

    private sealed class Device : IMmioHandler
    {
        public List<string> Seen { get; } = [];

        public ulong Read(ulong offset, int size)
        {
            Seen.Add($"r{size}@0x{offset:x}");
            return 0xFFFF_FFFF_FFFF_FF00 | offset;
        }

        public void Write(ulong offset, int size, ulong value) => Seen.Add($"w{size}@0x{offset:x}=0x{value:x}");
    }

    private sealed class Silent : IMmioHandler
    {
        public ulong Read(ulong offset, int size) => 0;

        public void Write(ulong offset, int size, ulong value)
        {
        }
    }
}
