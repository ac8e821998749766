using System.Buffers.Binary;
using System.Text;
using Emulator.Nt;

namespace Emulator.Tests.Nt;

/// <summary>
/// A kernel's memory in which a test lays out objects byte by byte. The offsets are the published ones of wdm.h and of the kernels' symbols, written
/// here a second time on purpose.
/// </summary>
internal sealed class FakeNt(bool is64) : INtMemory
{
    private const int PageSize = 0x1000;
    private readonly Dictionary<ulong, byte[]> _pages = [];
    private ulong _nextText = is64 ? 0xfffff8a0_00100000 : 0xe1001000;

    public bool Is64Bit { get; } = is64;

    public int Reads { get; private set; }

    /// <summary>Addresses of whole objects, for those who want to break them.</summary>
    public List<ulong> Objects { get; } = [];

    public bool TryRead(ulong address, Span<byte> destination)
    {
        Reads++;
        for (int i = 0; i < destination.Length; i++)
        {
            ulong at = address + (ulong)i;
            if (!_pages.TryGetValue(at / PageSize, out byte[]? page)) return false;
            destination[i] = page[at % PageSize];
        }
        return true;
    }

    public void Write(ulong address, params ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            ulong at = address + (ulong)i;
            if (!_pages.TryGetValue(at / PageSize, out byte[]? page)) _pages.Add(at / PageSize, page = new byte[PageSize]);
            page[at % PageSize] = bytes[i];
        }
    }

    public void Write16(ulong address, int value) => Write(address, (byte)value, (byte)(value >> 8));

    public void Write32(ulong address, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Write(address, bytes);
    }

    public void WritePointer(ulong address, ulong value)
    {
        Write32(address, (uint)value);
        if (Is64Bit) Write32(address + 4, (uint)(value >> 32));
    }

    /// <summary>x64's offset or x86's.</summary>
    public ulong At(ulong address, int on64, int on86) => address + (ulong)(Is64Bit ? on64 : on86);

    public void WriteText(ulong address, string text)
    {
        byte[] bytes = Encoding.Unicode.GetBytes(text);
        Write16(address, bytes.Length);
        Write16(address + 2, bytes.Length);
        WritePointer(At(address, 8, 4), bytes.Length == 0 ? 0 : _nextText);
        Write(_nextText, bytes);
        _nextText += (ulong)((bytes.Length + 15) & ~15);
    }

    public ulong AddDriver(
        ulong address, string name, ulong start, ulong init = 0, ulong startIo = 0, ulong unload = 0, ulong addDevice = 0, params ulong[] entries)
    {
        Objects.Add(address);
        int size = Is64Bit ? 0x150 : 0xA8;
        ulong extension = address + (ulong)size;
        Write(address, new byte[size + 0x28]);
        Write16(address, 4);
        Write16(address + 2, size);
        WritePointer(At(address, 0x18, 0x0C), start);
        WritePointer(At(address, 0x30, 0x18), extension);
        WriteText(At(address, 0x38, 0x1C), name);
        WritePointer(At(address, 0x58, 0x2C), init);
        WritePointer(At(address, 0x60, 0x30), startIo);
        WritePointer(At(address, 0x68, 0x34), unload);
        for (int i = 0; i < entries.Length; i++) WritePointer(At(address, 0x70 + 8 * i, 0x38 + 4 * i), entries[i]);
        WritePointer(extension, address);
        WritePointer(At(extension, 8, 4), addDevice);
        WriteText(At(extension, 0x18, 0x0C), name[(name.LastIndexOf('\\') + 1)..]);
        return address;
    }

    /// <summary>Adds a device at the head of its driver's list, and on top of another one.</summary>
    public ulong AddDevice(ulong address, ulong driver, ulong below = 0, string? name = null)
    {
        Objects.Add(address);
        int size = Is64Bit ? 0x150 : 0xB8;
        ulong extension = address + 0x200;
        Write(address, new byte[0x280]);
        Write16(address, 3);
        Write16(address + 2, size + 0x40);
        Write32(address + 4, 1);
        WritePointer(address + 8, driver);
        ulong list = At(driver, 8, 4);
        Span<byte> first = stackalloc byte[8];
        first.Clear();
        Assert.That(TryRead(list, first[..(Is64Bit ? 8 : 4)]), Is.True);
        WritePointer(At(address, 0x10, 0x0C), BinaryPrimitives.ReadUInt64LittleEndian(first));
        WritePointer(list, address);
        WritePointer(At(address, 0x40, 0x28), address + (ulong)size);
        Span<byte> depth = stackalloc byte[1];
        depth.Clear();
        if (below != 0)
        {
            Assert.That(TryRead(At(below, 0x4C, 0x30), depth), Is.True);
            WritePointer(At(below, 0x18, 0x10), address);
        }
        Write(At(address, 0x4C, 0x30), (byte)(depth[0] + 1));
        WritePointer(At(address, 0x138, 0xB0), extension);
        Write16(extension, 13);
        WritePointer(At(extension, 8, 4), address);
        WritePointer(At(extension, 0x30, 0x18), below);
        if (name is not null) AddName(address, name);
        return address;
    }

    // OBJECT_HEADER with its name information right before it: InfoMask on x64, NameInfoOffset on x86 (NT 5.2).
    private void AddName(ulong body, string name)
    {
        ulong header = body - (ulong)(Is64Bit ? 0x30 : 0x18);
        Write(At(header, 0x1A, 0x0C), (byte)(Is64Bit ? 0x02 : 0x10));
        WriteText(Is64Bit ? header - 0x20 + 8 : header - 0x10 + 4, name);
    }

    /// <summary>Adds a device node at the end of its parent's children.</summary>
    public ulong AddNode(ulong address, ulong parent, ulong pdo, string path, string service, uint state, bool reactOs = false)
    {
        Objects.Add(address);
        Write(address, new byte[0x1A0]);
        (int pdoAt, int pathAt, int serviceAt, int stateAt) =
            Is64Bit ? (0x20, 0x28, 0x38, 0x12C) : reactOs ? (0x98, 0xA4, 0xAC, 0x28) : (0x88, 0x94, 0x9C, 0x18);
        WritePointer(At(address, 0x10, 8), parent);
        WritePointer(address + (ulong)pdoAt, pdo);
        WriteText(address + (ulong)pathAt, path);
        WriteText(address + (ulong)serviceAt, service);
        Write32(address + (ulong)stateAt, state);
        Write32(address + (ulong)stateAt + 4, 0x307);
        if (pdo != 0) WritePointer(At(pdo + 0x200, 0x28, 0x14), address);
        if (parent == 0) return address;
        ulong link = At(parent, 8, 4);
        while (ReadPointer(link) is var next and not 0) link = next;
        WritePointer(link, address);
        return address;
    }

    public ulong AddModule(ulong address, ulong next, ulong start, uint size, string file)
    {
        Objects.Add(address);
        Write(address, new byte[0x80]);
        WritePointer(address, next);
        WritePointer(At(address, 0x30, 0x18), start);
        Write32(At(address, 0x40, 0x20), size);
        WriteText(At(address, 0x48, 0x24), $@"\SystemRoot\system32\{file}");
        WriteText(At(address, 0x58, 0x2C), file);
        return address;
    }

    private ulong ReadPointer(ulong address)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Assert.That(TryRead(address, bytes[..(Is64Bit ? 8 : 4)]), Is.True);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }
}

/// <summary>Symbols a test states one by one; a module holds the 1 MiB its name was given for, and the addresses of its functions.</summary>
internal sealed class FakeSymbols : INtSymbols
{
    private const ulong ModuleSize = 0x100000;
    private readonly Dictionary<ulong, string> _functions = [];
    private readonly List<(ulong Start, string Name)> _modules = [];

    public void AddModule(ulong start, string name) => _modules.Add((start, name));

    public ulong Add(ulong address, string symbol)
    {
        _functions[address] = symbol;
        return address;
    }

    public string? Describe(ulong address) => _functions.TryGetValue(address, out string? symbol) ? symbol : ModuleOf(address);

    public string? ModuleOf(ulong address)
    {
        if (_functions.TryGetValue(address, out string? symbol)) return symbol[..symbol.IndexOf('!', StringComparison.Ordinal)];
        return _modules.Where(m => address - m.Start < ModuleSize).Select(m => m.Name).FirstOrDefault();
    }
}
