using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Emulator.Testing;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.DriverTests.Pe;

/// <summary>A driver file comes from anywhere: whatever is in it, it loads or is refused with one line.</summary>
[Category("Unit")]
internal sealed class PeFuzzTests
{
    private static readonly byte[] Rich64 = Rich(is64: true);
    private static readonly byte[] Rich32 = Rich(is64: false);

    [Test]
    public void Any_change_to_a_file_loads_or_is_refused_with_one_line([Values] bool is64)
    {
        byte[] file = is64 ? Rich64 : Rich32;
        // Headers and directories are where the structure is; values near the limits are where mistakes are.
        Gen<int> place = Gen.OneOf(Gen.Choose(0, 0x200), Gen.Choose(0x300, 0x600), Gen.Choose(0, file.Length - 1));
        Gen<uint> value = Gen.OneOf(
            Gen.Elements(0u, 1u, 2u, 0x1Fu, 0xFFFu, 0x1000u, 0x1FFFu, 0x2000u, 0x7FFF_FFFFu, 0x8000_0000u, 0xFFFF_FFF0u, 0xFFFF_FFFFu),
            Gen.Choose(0, 0x3000).Select(number => (uint)number), Gen.Choose(int.MinValue, int.MaxValue).Select(number => (uint)number));
        Gen<(int, uint, int)> change = from at in place from what in value from size in Gen.Elements(1, 2, 4) select (at, what, size);
        Prop.ForAll(change.ListOf().ToArbitrary(), changes =>
        {
            byte[] changed = [.. file];
            foreach ((int at, uint what, int size) in changes)
            {
                BitConverter.GetBytes(what).AsSpan(0, Math.Min(size, changed.Length - at)).CopyTo(changed.AsSpan(at));
            }
            LoadsOrIsRefused(changed);
        }).Check(FixedSeed.Config.WithMaxTest(5000).WithEndSize(12));
    }

    [Test]
    public void A_file_cut_anywhere_is_refused_with_one_line([Values] bool is64)
    {
        byte[] file = is64 ? Rich64 : Rich32;
        for (int length = 0; length < file.Length; length++) Assert.That(LoadsOrIsRefused(file[..length]), Is.False, $"cut at {length}");
    }

    [Test]
    public void The_file_itself_loads([Values] bool is64) => Assert.That(LoadsOrIsRefused(is64 ? Rich64 : Rich32), Is.True);

    private static bool LoadsOrIsRefused(byte[] file)
    {
        try
        {
            PeImage image = PeImage.Parse(file, "fuzz.sys");
            LoadedImage loaded = image.Load(new AddressSpace(image.Is64Bit ? AddressWidth.Bits64 : AddressWidth.Bits32), 0x4000_0000, static _ => 0x1234);
            loaded.AddTo(new SymbolTable());
            loaded.DiscardInitialization();
            return true;
        }
        catch (PeException refused)
        {
            Assert.That(refused.Message, Does.StartWith("fuzz.sys: ").And.Not.Contains("\n"));
            Assert.That(refused.Message.All(character => character is >= ' ' and < (char)0x7F), Is.True, refused.Message);
            return false;
        }
    }

    private static byte[] Rich(bool is64)
    {
        var builder = new PeFileBuilder(is64);
        builder.AddImports("ntoskrnl.exe", "IoCreateDevice", "#17", "KeBugCheckEx");
        builder.AddExports(1, ("Zeta", 0x1010, null), (null, 0x1020, null), ("Alpha", 0, "OTHER.Function"));
        builder.WritePointer(0x1040, 0x1234);
        builder.AddSecurityCookie();
        return builder.Build();
    }
}
