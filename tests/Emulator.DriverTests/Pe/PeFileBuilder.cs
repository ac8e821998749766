using System.Buffers.Binary;
using System.Text;

namespace Emulator.DriverTests.Pe;

/// <summary>
/// Builds small PE32 and PE32+ files byte by byte: what no linker at hand makes (forwarders, ordinals, cookies, TLS), and the
/// material to break. One section for everything, at 0x1000, which is at 0x200 in the file.
/// </summary>
internal sealed class PeFileBuilder(bool is64)
{
    public const uint SectionRva = 0x1000;
    private const int SectionAt = 0x200;
    private const int SectionSize = 0x1000;
    private const int PeAt = 0x80;

    private readonly byte[] _file = new byte[SectionAt + SectionSize];
    private readonly (uint Rva, uint Size)[] _directories = new (uint, uint)[16];
    private readonly List<(uint Rva, bool Wide)> _relocations = [];
    private uint _next = SectionRva + 0x100;

    public ulong ImageBase { get; } = is64 ? 0x1_4000_0000ul : 0x10000;
    public ushort Machine { get; set; } = is64 ? (ushort)0x8664 : (ushort)0x14C;
    public ushort Subsystem { get; set; } = 1;
    public ushort Characteristics { get; set; } = 0x22;
    public uint SizeOfImage { get; set; } = 0x2000;
    public uint SectionAlignment { get; set; } = 0x1000;
    public uint FileAlignment { get; set; } = 0x200;

    private int Pointer => is64 ? 8 : 4;

    public Span<byte> At(uint rva) => _file.AsSpan((int)(rva - SectionRva + SectionAt));

    public uint Reserve(int size)
    {
        uint rva = _next;
        _next += (uint)((size + 15) & ~15);
        return rva;
    }

    public uint AddText(string text)
    {
        uint rva = Reserve(text.Length + 1);
        Encoding.ASCII.GetBytes(text, At(rva));
        return rva;
    }

    public void SetDirectory(int index, uint rva, uint size) => _directories[index] = (rva, size);

    /// <summary>A pointer to another place in the image, with its relocation.</summary>
    public void WritePointer(uint rva, uint target)
    {
        Word(rva, ImageBase + target);
        _relocations.Add((rva, is64));
    }

    /// <summary>Imports of one module; a name that starts with # is an ordinal. The slots lie one behind the other from the answer on.</summary>
    public uint AddImports(string module, params string[] names)
    {
        uint descriptor = Reserve(40), thunks = Reserve((names.Length + 1) * Pointer), slots = Reserve((names.Length + 1) * Pointer);
        Dword(descriptor, thunks);
        Dword(descriptor + 12, AddText(module));
        Dword(descriptor + 16, slots);
        for (int i = 0; i < names.Length; i++)
        {
            ulong thunk = names[i][0] == '#' ? (1ul << ((8 * Pointer) - 1)) | ushort.Parse(names[i].AsSpan(1)) : AddText("\0\0" + names[i]);
            Word(thunks + (uint)(i * Pointer), thunk);
            Word(slots + (uint)(i * Pointer), thunk);
        }
        SetDirectory(1, descriptor, 40);
        return slots;
    }

    /// <summary>Exports: name (null: by ordinal only) and address, or a forwarder.</summary>
    public void AddExports(uint ordinalBase, params (string? Name, uint Rva, string? Forwarder)[] exports)
    {
        // The forwarders' texts have to lie inside the directory's range.
        uint directory = Reserve(40), addresses = Reserve(4 * exports.Length);
        (string? Name, int Index)[] named = [.. exports.Select((export, i) => (export.Name, i))
            .Where(export => export.Name is not null).OrderBy(export => export.Name, StringComparer.Ordinal)];
        uint names = Reserve(4 * Math.Max(named.Length, 1)), ordinals = Reserve(2 * Math.Max(named.Length, 1));
        for (int i = 0; i < exports.Length; i++) Dword(addresses + (uint)(4 * i), exports[i].Forwarder is { } text ? AddText(text) : exports[i].Rva);
        for (int i = 0; i < named.Length; i++)
        {
            Dword(names + (uint)(4 * i), AddText(named[i].Name!));
            BinaryPrimitives.WriteUInt16LittleEndian(At(ordinals + (uint)(2 * i)), (ushort)named[i].Index);
        }
        Dword(directory + 16, ordinalBase);
        Dword(directory + 20, (uint)exports.Length);
        Dword(directory + 24, (uint)named.Length);
        Dword(directory + 28, addresses);
        Dword(directory + 32, names);
        Dword(directory + 36, ordinals);
        SetDirectory(0, directory, _next - directory);
    }

    /// <summary>A load configuration with a cookie of the linker's default value; the answer is where the cookie lies.</summary>
    public uint AddSecurityCookie()
    {
        uint configuration = Reserve(0x70), cookie = Reserve(8);
        Dword(configuration, 0x70);
        WritePointer(configuration + (is64 ? 88u : 60u), cookie);
        Word(cookie, is64 ? 0x0000_2B99_2DDF_A232ul : 0xBB40_E64Eul);
        SetDirectory(10, configuration, 0x70);
        return cookie;
    }

    public void Dword(uint rva, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(At(rva), value);

    public void Word(uint rva, ulong value)
    {
        if (is64) BinaryPrimitives.WriteUInt64LittleEndian(At(rva), value);
        else BinaryPrimitives.WriteUInt32LittleEndian(At(rva), (uint)value);
    }

    /// <summary>The file, with its relocations and a checksum that fits.</summary>
    public byte[] Build()
    {
        if (_relocations.Count > 0)
        {
            int size = 8 + (2 * ((_relocations.Count + 1) & ~1));
            uint block = Reserve(size);
            Dword(block, SectionRva);
            Dword(block + 4, (uint)size);
            for (int i = 0; i < _relocations.Count; i++)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(At(block + 8 + (uint)(2 * i)), (ushort)((_relocations[i].Wide ? 0xA000
                    : 0x3000) | (int)(_relocations[i].Rva - SectionRva)));
            }
            SetDirectory(5, block, (uint)size);
            _relocations.Clear();
        }
        using var writer = new BinaryWriter(new MemoryStream(_file));
        writer.Write((ushort)0x5A4D);
        writer.Seek(0x3C, SeekOrigin.Begin);
        writer.Write(PeAt);
        writer.Seek(PeAt, SeekOrigin.Begin);
        writer.Write(0x4550);
        writer.Write(Machine);
        writer.Write((ushort)1);
        writer.Write(0);
        writer.Write(0L);
        writer.Write((ushort)((is64 ? 112 : 96) + 128));
        writer.Write(Characteristics);
        writer.Write((ushort)(is64 ? 0x20B : 0x10B));
        writer.Write((ushort)0);
        writer.Write(SectionSize);
        writer.Write(0L);
        writer.Write(SectionRva);
        writer.Write(SectionRva);
        if (is64) writer.Write(ImageBase);
        else writer.Write((ImageBase << 32) | SectionRva);
        writer.Write(SectionAlignment);
        writer.Write(FileAlignment);
        writer.Write(0L);
        writer.Write(6);
        writer.Write(0);
        writer.Write(SizeOfImage);
        writer.Write(SectionAt);
        int checksumAt = (int)writer.BaseStream.Position;
        writer.Write(0);
        writer.Write(Subsystem);
        writer.Write((ushort)0x2160);
        writer.Write(new byte[is64 ? 36 : 20]);
        writer.Write(16);
        foreach ((uint rva, uint size) in _directories)
        {
            writer.Write(rva);
            writer.Write(size);
        }
        writer.Write(".text\0\0\0"u8);
        writer.Write(SectionSize);
        writer.Write(SectionRva);
        writer.Write(SectionSize);
        writer.Write(SectionAt);
        writer.Write(0L);
        writer.Write(0);
        writer.Write(0xE000_0020);
        uint sum = Checksum();
        BinaryPrimitives.WriteUInt32LittleEndian(_file.AsSpan(checksumAt), sum);
        return [.. _file];
    }

    /// <summary>The NT loader's sum: 16-bit words added with their carries, then the length.</summary>
    private uint Checksum()
    {
        uint sum = 0;
        for (int i = 0; i < _file.Length; i += 2)
        {
            if (i is >= PeAt + 24 + 64 and < PeAt + 24 + 68) continue;
            sum += BinaryPrimitives.ReadUInt16LittleEndian(_file.AsSpan(i));
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        return sum + (uint)_file.Length;
    }
}
