using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Memory;
using Emulator.Files;

namespace Emulator.DriverBench.Pe;

/// <summary>
/// A PE32 or PE32+ driver file, read and checked whole before anything of it is used (Microsoft PE/COFF specification,
/// revision 11). A malformed file gives one <see cref="PeException"/>.
/// </summary>
public sealed partial class PeImage
{
    private const uint LargestImage = 32 << 20;
    private const int LongestFile = 64 << 20;
    private const int MostSections = 96;
    private const int MostModules = 1024;
    private const int MostImports = 16384;
    private const int MostExports = 65536;
    private const int LongestName = 512;
    private const ulong DefaultCookie64 = 0x0000_2B99_2DDF_A232;
    private const uint DefaultCookie32 = 0xBB40_E64E;

    private readonly byte[] _mapped;
    private readonly List<(uint Rva, bool Is64)> _relocations = [];
    private readonly List<PeSection> _sections = [];
    private readonly List<PeImport> _imports = [];
    private readonly List<PeExport> _exports = [];
    private readonly (uint Rva, uint Size)[] _directories;

    private PeImage(byte[] file, string name)
    {
        Name = name;
        var headers = new Bounded(file, name, "the file");
        if (headers.U16(0, "DOS header") != 0x5A4D) throw Bad("not a PE file: no MZ at offset 0");
        uint pe = headers.U32(0x3C, "e_lfanew");
        if (headers.U32(pe, "PE signature") != 0x4550) throw Bad($"no PE signature at offset 0x{pe:x}, where e_lfanew points");
        Machine = (Machine)headers.U16(pe + 4, "COFF header");
        if (Machine is not (Machine.I386 or Machine.Amd64)) throw Bad($"machine 0x{(ushort)Machine:x} is neither x86 nor x64");
        int sectionCount = headers.U16(pe + 6, "COFF header");
        TimeDateStamp = headers.U32(pe + 8, "COFF header");
        uint optionalSize = headers.U16(pe + 20, "COFF header");
        Characteristics = (Characteristics)headers.U16(pe + 22, "COFF header");
        uint optional = pe + 24;
        var magic = (PEMagic)headers.U16(optional, "optional header");
        if (magic is not (PEMagic.PE32 or PEMagic.PE32Plus)) throw Bad($"optional header magic 0x{(ushort)magic:x} is neither PE32 nor PE32+");
        if ((magic == PEMagic.PE32Plus) != Is64Bit) throw Bad($"optional header magic 0x{(ushort)magic:x} does not fit machine 0x{(ushort)Machine:x}");
        uint fixedSize = Is64Bit ? 112u : 96u;
        if (optionalSize < fixedSize) throw Bad($"optional header of {optionalSize} bytes is shorter than {fixedSize}");
        EntryPointRva = headers.U32(optional + 16, "entry point");
        ImageBase = Is64Bit ? headers.U64(optional + 24, "image base") : headers.U32(optional + 28, "image base");
        SectionAlignment = headers.U32(optional + 32, "section alignment");
        FileAlignment = headers.U32(optional + 36, "file alignment");
        SizeOfImage = headers.U32(optional + 56, "size of image");
        SizeOfHeaders = headers.U32(optional + 60, "size of headers");
        StoredChecksum = headers.U32(optional + 64, "checksum");
        Subsystem = (Subsystem)headers.U16(optional + 68, "subsystem");
        DllCharacteristics = (DllCharacteristics)headers.U16(optional + 70, "DLL characteristics");
        ComputedChecksum = Checksum(file, optional + 64);

        uint directoryCount = Math.Min(headers.U32(optional + fixedSize - 4, "directory count"), 16);
        if (fixedSize + (directoryCount * 8) > optionalSize)
        {
            throw Bad($"{directoryCount} data directories do not fit an optional header of {optionalSize} bytes");
        }
        _directories = new (uint, uint)[16];
        for (uint i = 0; i < directoryCount; i++)
        {
            uint at = optional + fixedSize + (i * 8);
            _directories[i] = (headers.U32(at, "data directory"), headers.U32(at + 4, "data directory"));
        }
        CheckLayout(file.Length);
        _mapped = Map(file, headers, optional + optionalSize, sectionCount);
        var image = new Bounded(_mapped, name, "the image");
        if (EntryPointRva >= SizeOfImage) throw Bad($"entry point 0x{EntryPointRva:x} lies outside the image of 0x{SizeOfImage:x} bytes");
        ReadImports(image);
        ReadExports(image);
        ReadRelocations(image);
        ReadFunctions(image);
        ReadSecurityCookie(image);
    }

    /// <summary>The file's name, for messages.</summary>
    public string Name { get; }
    public Machine Machine { get; }
    public bool Is64Bit => Machine == Machine.Amd64;
    public Characteristics Characteristics { get; }
    public DllCharacteristics DllCharacteristics { get; }
    public Subsystem Subsystem { get; }
    public uint TimeDateStamp { get; }

    /// <summary>Where the linker would like it to be.</summary>
    public ulong ImageBase { get; }

    /// <summary>In memory, in bytes, whole pages or less for images with a small section alignment.</summary>
    public uint SizeOfImage { get; }
    public uint SizeOfHeaders { get; }
    public uint SectionAlignment { get; }
    public uint FileAlignment { get; }

    /// <summary>0 when there is none.</summary>
    public uint EntryPointRva { get; }
    public uint StoredChecksum { get; }

    /// <summary>The checksum over the whole file, as the NT loader computes it.</summary>
    public uint ComputedChecksum { get; }

    /// <summary>NT loads a driver only when this holds.</summary>
    public bool IsChecksumValid => StoredChecksum == ComputedChecksum;
    public IReadOnlyList<PeSection> Sections => _sections;
    public IReadOnlyList<PeImport> Imports => _imports;
    public IReadOnlyList<PeExport> Exports => _exports;

    /// <summary>The modules it imports from, as the file spells them.</summary>
    public IEnumerable<string> ImportedModules => _imports.Select(i => i.Module).Distinct(StringComparer.OrdinalIgnoreCase);

    /// <summary>It was made for others to import from: NT gives it no DRIVER_OBJECT.</summary>
    public bool IsExportDriver => FindExport("DllInitialize") is { Forwarder: null };

    /// <summary>How many addresses change when the image moves.</summary>
    public int RelocationCount => _relocations.Count;

    /// <summary>It cannot be loaded anywhere but at <see cref="ImageBase"/>.</summary>
    public bool IsFixed => (Characteristics & Characteristics.RelocsStripped) != 0;

    /// <summary>Where the load configuration says the stack cookie lies; 0 when there is none.</summary>
    public uint SecurityCookieRva { get; private set; }

    /// <summary>Thread-local storage, which no driver may have.</summary>
    public bool HasTls => _directories[9].Rva != 0;

    /// <param name="file">The whole file.</param>
    /// <param name="name">For messages.</param>
    /// <exception cref="PeException">It is malformed; the message says what and where.</exception>
    public static PeImage Parse(byte[] file, string name)
    {
        ArgumentNullException.ThrowIfNull(file);
        return new PeImage(file, name);
    }

    /// <summary>Reads and parses a file.</summary>
    /// <exception cref="PeException">It is malformed, longer than 64 MiB or cannot be read.</exception>
    public static PeImage Open(string path)
    {
        try
        {
            return new PeImage(BoundedFile.ReadAllBytes(path, LongestFile), Path.GetFileName(path));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new PeException(path, $"cannot be read: {failure.Message}");
        }
    }

    /// <summary>What NT asks of a driver: native subsystem, a fitting checksum, no TLS, no managed code, an entry point.</summary>
    /// <exception cref="PeException">One of these is missing.</exception>
    public void CheckDriver(Machine machine)
    {
        if (Machine != machine) throw Bad($"built for {Machine}, but the bench runs {machine}");
        if (Subsystem != Subsystem.Native) throw Bad($"subsystem is {Subsystem}, not Native: not a driver");
        if ((Characteristics & Characteristics.ExecutableImage) == 0) throw Bad("not marked executable: the linker found errors");
        if (HasTls) throw Bad("has thread-local storage, which NT does not give drivers");
        if (_directories[14].Rva != 0) throw Bad("contains managed code");
        if (EntryPointRva == 0) throw Bad("has no entry point");
        if (!IsChecksumValid) throw Bad($"checksum is 0x{StoredChecksum:x}, the file gives 0x{ComputedChecksum:x}: link with -Wl,--wdmdriver or /RELEASE");
    }

    public PeExport? FindExport(string name) => _exports.Find(export => export.Name == name);

    public PeExport? FindExport(uint ordinal) => _exports.Find(export => export.Ordinal == ordinal);

    /// <summary>Maps the image, relocates it, writes the addresses of its imports and sets its stack cookie.</summary>
    /// <param name="space">Of the machine's width.</param>
    /// <param name="address">Page-aligned.</param>
    /// <param name="resolver">Finds imports; all that it does not find are named in one message.</param>
    /// <exception cref="PeException">The image cannot lie there or an import is missing.</exception>
    public LoadedImage Load(AddressSpace space, ulong address, PeImportResolver resolver)
    {
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(resolver);
        if (Is64Bit != (space.Width == AddressWidth.Bits64)) throw Bad($"{Machine} code does not go into a {(int)space.Width}-bit address space");
        if (address != ImageBase && IsFixed) throw Bad($"has no relocations: it can only be loaded at 0x{ImageBase:x}");
        uint length = (SizeOfImage + AddressSpace.PageSize - 1) & ~(uint)(AddressSpace.PageSize - 1);
        if (address % AddressSpace.PageSize != 0 || !space.IsFree(address, length)) throw Bad($"0x{length:x} bytes at 0x{address:x} are not free");

        var backing = new RamBacking((int)length);
        Span<byte> bytes = backing.Bytes;
        _mapped.CopyTo(bytes);
        Relocate(bytes, address - ImageBase);
        List<PeImport> missing = [];
        foreach (PeImport import in _imports)
        {
            if (resolver(import) is not { } target) missing.Add(import);
            else if (Is64Bit) BinaryPrimitives.WriteUInt64LittleEndian(bytes[(int)import.SlotRva..], target);
            else BinaryPrimitives.WriteUInt32LittleEndian(bytes[(int)import.SlotRva..], (uint)target);
        }
        if (missing.Count > 0)
        {
            throw Bad($"imports that nothing offers: {string.Join(", ", missing)}");
        }
        SetSecurityCookie(bytes, address);

        MemoryRegion region = space.MapRam(address, backing, 0, (int)length, IsSmallAligned ? Protection.All : Protection.None, Name);
        if (!IsSmallAligned)
        {
            space.Protect(address, SizeOfHeaders, Protection.Read);
            foreach (PeSection section in _sections)
            {
                if (section.Length > 0) space.Protect(address + section.Rva, section.Length, section.Protection);
            }
        }
        return new LoadedImage(this, space, region);
    }

    // ---- inside ----

    /// <summary>Sections closer together than a page: memory looks like the file, and every page allows all (as NT maps it).</summary>
    private bool IsSmallAligned => SectionAlignment < AddressSpace.PageSize;

    private PeException Bad(string what) => new(Name, what);

    private static uint Checksum(byte[] file, uint fieldOffset)
    {
        ulong sum = 0;
        for (int i = 0; i < file.Length; i += 2)
        {
            // The field itself counts as zero. It is 4-aligned in the file whenever the headers are; when not, bytes are masked singly.
            uint low = IsField(i) ? 0u : file[i];
            uint high = i + 1 >= file.Length || IsField(i + 1) ? 0u : file[i + 1];
            sum += low | (high << 8);
        }
        while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
        return (uint)sum + (uint)file.Length;

        bool IsField(int offset) => (uint)offset - fieldOffset < 4;
    }

    private void CheckLayout(int fileLength)
    {
        if (SectionAlignment == 0 || !uint.IsPow2(SectionAlignment) || FileAlignment == 0 || !uint.IsPow2(FileAlignment))
        {
            throw Bad($"section alignment 0x{SectionAlignment:x} or file alignment 0x{FileAlignment:x} is not a power of two");
        }
        if (SectionAlignment < FileAlignment) throw Bad($"section alignment 0x{SectionAlignment:x} is smaller than file alignment 0x{FileAlignment:x}");
        if (IsSmallAligned && SectionAlignment != FileAlignment)
        {
            throw Bad($"section alignment 0x{SectionAlignment:x} is below a page but differs from file alignment 0x{FileAlignment:x}");
        }
        if (SizeOfImage is 0 or > LargestImage) throw Bad($"size of image 0x{SizeOfImage:x} is zero or above the limit of 0x{LargestImage:x}");
        if (SizeOfHeaders > SizeOfImage || SizeOfHeaders > fileLength) throw Bad($"headers of 0x{SizeOfHeaders:x} bytes reach beyond the image or the file");
        if (ImageBase % 0x10000 != 0) throw Bad($"image base 0x{ImageBase:x} is not a multiple of 64 KiB");
        if (!Is64Bit && ImageBase + SizeOfImage > 1ul << 32) throw Bad($"image base 0x{ImageBase:x} leaves no room for 0x{SizeOfImage:x} bytes");
    }

    private byte[] Map(byte[] file, Bounded headers, uint table, int count)
    {
        if (count > MostSections) throw Bad($"{count} sections are more than {MostSections}");
        var mapped = new byte[SizeOfImage];
        file.AsSpan(0, (int)SizeOfHeaders).CopyTo(mapped);
        ulong end = SizeOfHeaders;
        for (uint i = 0; i < count; i++)
        {
            uint at = table + (i * 40);
            ReadOnlySpan<byte> nameBytes = headers.Slice(at, 8, "section header");
            string name = Text(nameBytes);
            uint virtualSize = headers.U32(at + 8, "section header");
            uint rva = headers.U32(at + 12, "section header");
            uint rawSize = headers.U32(at + 16, "section header");
            uint raw = headers.U32(at + 20, "section header");
            var characteristics = (SectionCharacteristics)headers.U32(at + 36, "section header");
            uint length = virtualSize == 0 ? rawSize : virtualSize;
            if (rva < end || rva % SectionAlignment != 0)
            {
                throw Bad($"section {name} at 0x{rva:x} overlaps what is before it or is not aligned to 0x{SectionAlignment:x}");
            }
            if ((ulong)rva + length > SizeOfImage) throw Bad($"section {name} at 0x{rva:x}, 0x{length:x} bytes, reaches beyond the image of 0x{SizeOfImage:x}");
            if (rawSize != 0 && (ulong)raw + rawSize > (ulong)file.Length)
            {
                throw Bad($"section {name} has its data at 0x{raw:x}..0x{(ulong)raw + rawSize:x} of a file of 0x{file.Length:x} bytes");
            }
            if (IsSmallAligned && rawSize != 0 && raw != rva)
            {
                throw Bad($"section {name} is at 0x{raw:x} in the file and 0x{rva:x} in memory, which small alignment forbids");
            }
            // What a section has in the file beyond its size in memory is padding; only up to the next page is it visible.
            uint copied = Math.Min(rawSize, (uint)Math.Min(Rounded(length), SizeOfImage - rva));
            file.AsSpan((int)raw, rawSize == 0 ? 0 : (int)copied).CopyTo(mapped.AsSpan((int)rva));
            end = IsSmallAligned ? (ulong)rva + length : rva + Rounded(length);
            _sections.Add(new PeSection(name, rva, length, characteristics));
        }
        return mapped;
    }

    private static ulong Rounded(uint length) => ((ulong)length + AddressSpace.PageSize - 1) & ~(ulong)(AddressSpace.PageSize - 1);

    private void ReadImports(Bounded image)
    {
        (uint at, _) = _directories[1];
        if (at == 0) return;
        uint pointer = Is64Bit ? 8u : 4u;
        for (int modules = 0; ; at += 20, modules++)
        {
            if (modules > MostModules) throw Bad($"imports from more than {MostModules} modules");
            uint names = image.U32(at, "import descriptor");
            uint moduleRva = image.U32(at + 12, "import descriptor");
            uint slots = image.U32(at + 16, "import descriptor");
            if (moduleRva == 0 && slots == 0) return;
            string module = image.String(moduleRva, LongestName, "name of an imported module");
            if (names == 0) names = slots;
            for (uint i = 0; ; i++)
            {
                ulong thunk = Is64Bit ? image.U64(names + (i * pointer), $"imports of {module}") : image.U32(names + (i * pointer), $"imports of {module}");
                if (thunk == 0) break;
                if (_imports.Count == MostImports) throw Bad($"more than {MostImports} imports");
                // The slot is written when loading: it has to be inside, too.
                _ = image.Slice(slots + (i * pointer), pointer, $"import addresses of {module}");
                bool byOrdinal = thunk >> (Is64Bit ? 63 : 31) != 0;
                if (!byOrdinal && thunk > uint.MaxValue) throw Bad($"import {i} of {module} names a function at 0x{thunk:x}");
                string? name = byOrdinal ? null : image.String((uint)thunk + 2, LongestName, $"name of import {i} of {module}");
                _imports.Add(new PeImport(module, name, byOrdinal ? (ushort)thunk : (ushort)0, slots + (i * pointer)));
            }
        }
    }

    private void ReadExports(Bounded image)
    {
        (uint at, uint size) = _directories[0];
        if (at == 0) return;
        uint ordinalBase = image.U32(at + 16, "export directory");
        uint functions = image.U32(at + 20, "export directory");
        uint names = image.U32(at + 24, "export directory");
        uint addressTable = image.U32(at + 28, "export directory");
        uint nameTable = image.U32(at + 32, "export directory");
        uint ordinalTable = image.U32(at + 36, "export directory");
        if (functions > MostExports || names > MostExports) throw Bad($"{Math.Max(functions, names)} exports are more than {MostExports}");
        var nameOf = new Dictionary<uint, List<string>>();
        for (uint i = 0; i < names; i++)
        {
            uint index = image.U16(ordinalTable + (i * 2), "export ordinals");
            string name = image.String(image.U32(nameTable + (i * 4), "export names"), LongestName, $"name of export {i}");
            if (index >= functions) throw Bad($"export {name} has index {index} of {functions}");
            if (!nameOf.TryGetValue(index, out List<string>? list)) nameOf.Add(index, list = []);
            list.Add(name);
        }
        for (uint i = 0; i < functions; i++)
        {
            uint rva = image.U32(addressTable + (i * 4), "export addresses");
            if (rva == 0) continue;
            if (rva >= SizeOfImage) throw Bad($"export #{ordinalBase + i} is at 0x{rva:x}, outside the image");
            // An address inside the directory itself is the text "MODULE.Function".
            string? forwarder = rva - at < size ? image.String(rva, LongestName, $"forwarder of export #{ordinalBase + i}") : null;
            foreach (string? name in nameOf.TryGetValue(i, out List<string>? list) ? list : [null!])
            {
                _exports.Add(new PeExport(name, ordinalBase + i, forwarder is null ? rva : 0, forwarder));
            }
        }
    }

    private void ReadRelocations(Bounded image)
    {
        (uint at, uint size) = _directories[5];
        if (at == 0 || size == 0 || IsFixed) return;
        _ = image.Slice(at, size, "relocations");
        ulong end = (ulong)at + size;
        while (at + 8 <= end)
        {
            uint page = image.U32(at, "relocation block");
            uint blockSize = image.U32(at + 4, "relocation block");
            // Some linkers end the table with an empty block.
            if (page == 0 && blockSize == 0) return;
            if (blockSize < 8 || at + (ulong)blockSize > end) throw Bad($"relocation block at 0x{at:x} has {blockSize} bytes");
            for (uint entry = at + 8; entry + 2 <= at + blockSize; entry += 2)
            {
                ushort value = image.U16(entry, "relocation");
                uint target = page + (value & 0xFFFu);
                switch (value >> 12)
                {
                    case 0:
                        break;
                    case 3 or 10:
                        bool is64 = value >> 12 == 10;
                        _ = image.Slice(target, is64 ? 8u : 4u, $"relocation target 0x{target:x}");
                        _relocations.Add((target, is64));
                        break;
                    default:
                        throw Bad($"relocation at 0x{entry:x} has type {value >> 12}; only ABSOLUTE, HIGHLOW and DIR64 are known");
                }
            }
            at += blockSize;
        }
    }

    private void Relocate(Span<byte> bytes, ulong delta)
    {
        if (delta == 0) return;
        foreach ((uint rva, bool is64) in _relocations)
        {
            Span<byte> target = bytes[(int)rva..];
            if (is64) BinaryPrimitives.WriteUInt64LittleEndian(target, BinaryPrimitives.ReadUInt64LittleEndian(target) + delta);
            else BinaryPrimitives.WriteUInt32LittleEndian(target, BinaryPrimitives.ReadUInt32LittleEndian(target) + (uint)delta);
        }
    }

    private void ReadSecurityCookie(Bounded image)
    {
        (uint at, uint size) = _directories[10];
        uint offset = Is64Bit ? 88u : 60u;
        uint pointer = Is64Bit ? 8u : 4u;
        if (at == 0 || size < offset + pointer) return;
        // The structure's own size counts as well: older linkers write a shorter one.
        if (image.U32(at, "load configuration") < offset + pointer) return;
        ulong address = Is64Bit ? image.U64(at + offset, "load configuration") : image.U32(at + offset, "load configuration");
        if (address == 0) return;
        if (address - ImageBase >= SizeOfImage) throw Bad($"security cookie at 0x{address:x} lies outside the image");
        SecurityCookieRva = (uint)(address - ImageBase);
        _ = image.Slice(SecurityCookieRva, pointer, "security cookie");
    }

    /// <summary>NT replaces the cookie a linker wrote; code built with /GS refuses to start otherwise. The same load gives the same cookie.</summary>
    private void SetSecurityCookie(Span<byte> bytes, ulong address)
    {
        if (SecurityCookieRva == 0) return;
        Span<byte> cookie = bytes[(int)SecurityCookieRva..];
        ulong fresh = (address ^ TimeDateStamp) * 0x9E37_79B9_7F4A_7C15;
        if (Is64Bit)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(cookie) != DefaultCookie64) return;
            // The two upper bytes stay zero, so that no string copy can forge it.
            fresh >>= 16;
            BinaryPrimitives.WriteUInt64LittleEndian(cookie, fresh is 0 or DefaultCookie64 ? DefaultCookie64 + 1 : fresh);
        }
        else
        {
            uint old = BinaryPrimitives.ReadUInt32LittleEndian(cookie);
            // 0xBB40 alone is what drivers for the first NT with cookies carry.
            if (old is not (DefaultCookie32 or 0xBB40)) return;
            uint narrow = (uint)(fresh >> 32);
            BinaryPrimitives.WriteUInt32LittleEndian(cookie, narrow is 0 or DefaultCookie32 or 0xBB40 ? DefaultCookie32 + 1 : narrow);
        }
    }

    private static string Text(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf((byte)0);
        return string.Create(end < 0 ? bytes.Length : end, bytes, static (span, source) =>
        {
            // Names go into messages: what is no printable ASCII must not.
            for (int i = 0; i < span.Length; i++) span[i] = source[i] is >= 0x20 and < 0x7F ? (char)source[i] : '?';
        });
    }

    /// <summary>Bytes that are only read inside their bounds; what is outside is a fault of the file.</summary>
    private readonly ref struct Bounded(byte[] bytes, string file, string whole)
    {
        public ReadOnlySpan<byte> Slice(uint offset, uint length, string what)
        {
            if (offset > bytes.Length || length > bytes.Length - offset)
            {
                throw new PeException(file, $"{what} at 0x{offset:x}, 0x{length:x} bytes, lies outside {whole} of 0x{bytes.Length:x} bytes");
            }
            return bytes.AsSpan((int)offset, (int)length);
        }

        public ushort U16(uint offset, string what) => BinaryPrimitives.ReadUInt16LittleEndian(Slice(offset, 2, what));

        public uint U32(uint offset, string what) => BinaryPrimitives.ReadUInt32LittleEndian(Slice(offset, 4, what));

        public ulong U64(uint offset, string what) => BinaryPrimitives.ReadUInt64LittleEndian(Slice(offset, 8, what));

        public string String(uint offset, int limit, string what)
        {
            ReadOnlySpan<byte> rest = Slice(offset, 1, what);
            rest = bytes.AsSpan((int)offset, (int)Math.Min((uint)limit, (uint)bytes.Length - offset));
            if (rest.IndexOf((byte)0) < 0) throw new PeException(file, $"{what} at 0x{offset:x} does not end within {rest.Length} bytes");
            return Text(rest);
        }
    }
}
