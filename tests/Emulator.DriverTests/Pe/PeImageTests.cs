using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverTests.Pe;

[TestFixture(true)]
[TestFixture(false)]
[Category("Unit")]
internal sealed class PeImageTests(bool is64)
{
    private ulong HighAddress => is64 ? 0xFFFF_F801_0000_0000 : 0xF000_0000;

    [Test]
    public void Headers_are_what_the_file_says()
    {
        PeImage image = Parse(new PeFileBuilder(is64));
        Assert.That(image.Machine, Is.EqualTo(is64 ? Machine.Amd64 : Machine.I386));
        Assert.That(image.Is64Bit, Is.EqualTo(is64));
        Assert.That(image.Subsystem, Is.EqualTo(Subsystem.Native));
        Assert.That(image.EntryPointRva, Is.EqualTo(0x1000));
        Assert.That(image.SizeOfImage, Is.EqualTo(0x2000));
        Assert.That(image.Sections, Has.Count.EqualTo(1));
        Assert.That(image.Sections[0], Is.EqualTo(new PeSection(".text", 0x1000, 0x1000, (SectionCharacteristics)0xE000_0020)));
        Assert.That(image.Sections[0].Protection, Is.EqualTo(Protection.All));
    }

    [Test]
    public void The_checksum_is_the_NT_loaders_and_one_changed_byte_breaks_it()
    {
        byte[] file = new PeFileBuilder(is64).Build();
        Assert.That(PeImage.Parse(file, "good.sys").IsChecksumValid, Is.True);
        Assert.That(() => PeImage.Parse(file, "good.sys").CheckDriver(is64 ? Machine.Amd64 : Machine.I386), Throws.Nothing);
        file[^1] ^= 1;
        PeImage changed = PeImage.Parse(file, "bad.sys");
        Assert.That(changed.IsChecksumValid, Is.False);
        Assert.That(() => changed.CheckDriver(changed.Machine), Throws.TypeOf<PeException>().With.Message.Contains("checksum"));
    }

    [Test]
    public void Imports_by_name_and_by_ordinal_are_resolved_into_their_slots()
    {
        var builder = new PeFileBuilder(is64);
        uint slots = builder.AddImports("ntoskrnl.exe", "IoCreateDevice", "#17", "KeBugCheckEx");
        PeImage image = Parse(builder);
        Assert.That(image.Imports.Select(import => import.ToString()),
            Is.EqualTo(new[] { "ntoskrnl.exe!IoCreateDevice", "ntoskrnl.exe!#17", "ntoskrnl.exe!KeBugCheckEx" }));

        AddressSpace space = Space();
        LoadedImage loaded = image.Load(space, HighAddress, import => import.Ordinal == 17 ? 0x1700u : (ulong)import.Name!.Length);
        var found = new List<ulong>();
        for (int i = 0; i < 3; i++)
        {
            Assert.That(space.TryReadPointer(loaded.Base + slots + (ulong)(i * space.PointerSize), out ulong value), Is.True);
            found.Add(value);
        }
        Assert.That(found, Is.EqualTo(new ulong[] { 14, 0x1700, 12 }));
    }

    [Test]
    public void Missing_imports_are_named_in_one_line()
    {
        var builder = new PeFileBuilder(is64);
        builder.AddImports("hal.dll", "Here", "NotHere", "#9");
        PeImage image = Parse(builder);
        Assert.That(() => image.Load(Space(), HighAddress, import => import.Name == "Here" ? 1 : null),
            Throws.TypeOf<PeException>().With.Message.EqualTo("test.sys: imports that nothing offers: hal.dll!NotHere, hal.dll!#9"));
    }

    [Test]
    public void Exports_have_names_ordinals_and_forwarders()
    {
        var builder = new PeFileBuilder(is64);
        builder.AddExports(5, ("Zeta", 0x1010, null), (null, 0x1020, null), ("Alpha", 0, "OTHER.Function"));
        PeImage image = Parse(builder);
        Assert.That(image.Exports, Is.EqualTo(new[]
        {
            new PeExport("Zeta", 5, 0x1010, null), new PeExport(null, 6, 0x1020, null), new PeExport("Alpha", 7, 0, "OTHER.Function"),
        }));
        Assert.That(image.FindExport("Zeta")!.Ordinal, Is.EqualTo(5));
        Assert.That(image.FindExport(6)!.Rva, Is.EqualTo(0x1020));
        LoadedImage loaded = image.Load(Space(), HighAddress, static _ => null);
        Assert.That(loaded.AddressOf("Zeta"), Is.EqualTo(HighAddress + 0x1010));
        Assert.That(loaded.AddressOf("Alpha"), Is.Null, "it is in another module");
    }

    [Test]
    public void Pointers_follow_the_image_to_where_it_is_loaded()
    {
        var builder = new PeFileBuilder(is64);
        builder.WritePointer(0x1040, 0x1234);
        PeImage image = Parse(builder);
        Assert.That(image.RelocationCount, Is.EqualTo(1));
        foreach (ulong address in (ulong[])[HighAddress, builder.ImageBase])
        {
            AddressSpace space = Space();
            image.Load(space, address, static _ => null);
            Assert.That(space.TryReadPointer(address + 0x1040, out ulong value), Is.True);
            Assert.That(value, Is.EqualTo(address + 0x1234));
        }
    }

    [Test]
    public void An_image_without_relocations_stays_where_it_was_linked()
    {
        var builder = new PeFileBuilder(is64) { Characteristics = 0x23 };
        PeImage image = Parse(builder);
        Assert.That(image.IsFixed, Is.True);
        Assert.That(() => image.Load(Space(), HighAddress, static _ => null), Throws.TypeOf<PeException>().With.Message.Contains("no relocations"));
        Assert.That(image.Load(Space(), builder.ImageBase, static _ => null).Base, Is.EqualTo(builder.ImageBase));
    }

    [Test]
    public void The_stack_cookie_is_replaced_the_same_way_each_time()
    {
        var builder = new PeFileBuilder(is64);
        uint cookie = builder.AddSecurityCookie();
        PeImage image = Parse(builder);
        Assert.That(image.SecurityCookieRva, Is.EqualTo(cookie));
        var found = new HashSet<ulong>();
        for (int i = 0; i < 2; i++)
        {
            AddressSpace space = Space();
            image.Load(space, HighAddress, static _ => null);
            Assert.That(space.TryReadPointer(HighAddress + cookie, out ulong value), Is.True);
            found.Add(value);
        }
        Assert.That(found, Has.Count.EqualTo(1));
        Assert.That(found.Single(), Is.Not.Zero.And.Not.EqualTo(is64 ? 0x2B99_2DDF_A232ul : 0xBB40_E64Eul));
    }

    [Test]
    public void What_is_no_driver_is_refused()
    {
        Refused(new PeFileBuilder(is64) { Subsystem = 3 }, "subsystem");
        Refused(new PeFileBuilder(is64) { Characteristics = 0x20 }, "not marked executable");
        var tls = new PeFileBuilder(is64);
        tls.SetDirectory(9, 0x1100, 0x28);
        Refused(tls, "thread-local");
        PeImage other = Parse(new PeFileBuilder(is64));
        Assert.That(() => other.CheckDriver(is64 ? Machine.I386 : Machine.Amd64), Throws.TypeOf<PeException>().With.Message.Contains("built for"));

        void Refused(PeFileBuilder builder, string why)
            => Assert.That(() => Parse(builder).CheckDriver(is64 ? Machine.Amd64 : Machine.I386), Throws.TypeOf<PeException>().With.Message.Contains(why));
    }

    [Test]
    public void Malformed_files_are_refused_with_the_place()
    {
        Assert.That(() => PeImage.Parse([], "empty.sys"), Throws.TypeOf<PeException>().With.Message.Contains("DOS header at 0x0"));
        Assert.That(() => PeImage.Parse(new byte[200], "zero.sys"), Throws.TypeOf<PeException>().With.Message.Contains("no MZ"));
        Assert.That(() => Parse(new PeFileBuilder(is64) { Machine = 0xAA64 }), Throws.TypeOf<PeException>().With.Message.Contains("machine 0xaa64"));
        Assert.That(() => Parse(new PeFileBuilder(is64) { Machine = is64 ? (ushort)0x14C : (ushort)0x8664 }),
            Throws.TypeOf<PeException>().With.Message.Contains("magic"));
        Assert.That(() => Parse(new PeFileBuilder(is64) { SizeOfImage = 0x1800 }), Throws.TypeOf<PeException>().With.Message.Contains("section .text"));
        Assert.That(() => Parse(new PeFileBuilder(is64) { SizeOfImage = 0x7000_0000 }), Throws.TypeOf<PeException>().With.Message.Contains("size of image"));
        var imports = new PeFileBuilder(is64);
        imports.SetDirectory(1, 0x1FF8, 40);
        imports.At(0x1FF8).Slice(0, 8).Fill(0x11);
        Assert.That(() => Parse(imports), Throws.TypeOf<PeException>().With.Message.Contains("import descriptor at 0x2004"));
        var relocations = new PeFileBuilder(is64);
        uint block = relocations.Reserve(12);
        relocations.Dword(block, 0x1000);
        relocations.Dword(block + 4, 10);
        relocations.At(block + 8)[1] = 0x40;
        relocations.SetDirectory(5, block, 10);
        Assert.That(() => Parse(relocations), Throws.TypeOf<PeException>().With.Message.Contains("type 4"));
    }

    [Test]
    public void An_image_with_small_alignment_lies_in_memory_as_in_the_file()
    {
        // Drivers of NT 5 were linked with 0x80; here 0x200, and so that file offset and address agree the file moves the section.
        byte[] file = new PeFileBuilder(is64) { SectionAlignment = 0x200, FileAlignment = 0x200 }.Build();
        Assert.That(() => PeImage.Parse(file, "small.sys"), Throws.TypeOf<PeException>().With.Message.Contains("small alignment"));
        int header = 0x80 + 24 + (is64 ? 112 : 96) + 128;
        BitConverter.TryWriteBytes(file.AsSpan(header + 12), 0x200);
        PeImage image = PeImage.Parse(file, "small.sys");
        AddressSpace space = Space();
        LoadedImage loaded = image.Load(space, HighAddress, static _ => null);
        Assert.That(loaded.Region.ProtectionAt(HighAddress), Is.EqualTo(Protection.All));
    }

    private static PeImage Parse(PeFileBuilder builder) => PeImage.Parse(builder.Build(), "test.sys");

    private AddressSpace Space() => new(is64 ? AddressWidth.Bits64 : AddressWidth.Bits32);
}
