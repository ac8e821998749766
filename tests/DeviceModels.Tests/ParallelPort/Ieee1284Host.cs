using Emulator.Testing;

namespace DeviceModels.Tests.ParallelPort;

/// <summary>
/// The host's half of IEEE 1284 over the three SPP registers, with the waits a system's driver has: the peripheral gets
/// 35 ms for each of its answers.
/// </summary>
internal sealed class Ieee1284Host(FakePciHost host)
{
    public const byte Nibble = 0x00, Byte = 0x01, DeviceId = 0x04, EcpMode = 0x10, EcpRle = 0x30, Epp = 0x40, ExtensionLink = 0x80;
    private const int Data = 0, StatusPort = 1, ControlPort = 2;
    private const byte Strobe = 0x01, AutoFeed = 0x02, Init = 0x04, SelectIn = 0x08, Reverse = 0x20;
    private const byte NotBusy = 0x80, NotAck = 0x40, PaperOut = 0x20, Selected = 0x10, NotFault = 0x08;

    private byte _control = Init | SelectIn;

    private TestRegion Port => host.Bar(0);

    public byte Status => Port.Read8(StatusPort);

    /// <summary>nFault is low: the peripheral has data, or asks for the reverse channel.</summary>
    public bool HasData => (Status & NotFault) == 0;

    /// <summary>Clears and sets CONTROL bits.</summary>
    public void Control(int clear, int set)
    {
        _control = (byte)((_control & ~clear) | set);
        Port.Write8(ControlPort, _control);
    }

    /// <summary>Waits up to 35 ms.</summary>
    public bool Wait(int mask, int value)
    {
        for (int i = 0; i < 7_000; i++)
        {
            if ((Status & mask) == value) return true;
            host.Clock.Advance(5_000);
        }
        return false;
    }

    /// <summary>Asks for a mode. Null when nobody answers, false when it is refused.</summary>
    public bool? Negotiate(byte request)
    {
        Control(Strobe | AutoFeed | SelectIn | Reverse, SelectIn);
        Port.Write8(Data, request);
        host.Clock.Advance(400_000);
        Control(SelectIn | AutoFeed, AutoFeed);
        if (!Wait(NotFault | Selected | PaperOut | NotAck, NotFault | Selected | PaperOut))
        {
            Control(SelectIn | AutoFeed, SelectIn);
            return null;
        }
        Control(Strobe, Strobe);
        host.Clock.Advance(5_000);
        Control(Strobe | AutoFeed, 0);
        if (!Wait(NotAck, NotAck)) return Refused();
        bool flag = (Status & Selected) != 0;
        if (flag == (request == Nibble)) return Refused();
        if ((request & ~DeviceId) is EcpMode or EcpRle)
        {
            Control(AutoFeed, AutoFeed);
            Assert.That(Wait(PaperOut, PaperOut), Is.True, "event 31");
        }
        return true;
    }

    private bool Refused()
    {
        Terminate();
        return false;
    }

    /// <summary>Events 22 to 28. Whether the peripheral kept step.</summary>
    public bool Terminate()
    {
        Control(SelectIn | AutoFeed | Reverse, SelectIn);
        bool low = Wait(NotAck, 0);
        Control(AutoFeed, AutoFeed);
        bool high = Wait(NotAck, NotAck);
        Control(AutoFeed, 0);
        return low && high;
    }

    /// <summary>Reads in nibble mode until the peripheral has no more, at most <paramref name="count"/> bytes.</summary>
    public byte[] ReadNibbles(int count)
    {
        var bytes = new List<byte>();
        while (bytes.Count < count && HasData) bytes.Add((byte)(ReadNibble() | (ReadNibble() << 4)));
        return [.. bytes];
    }

    public int ReadNibble()
    {
        Control(AutoFeed, AutoFeed);
        Assert.That(Wait(NotAck, 0), Is.True, "event 9");
        byte status = Status;
        Control(AutoFeed, 0);
        Assert.That(Wait(NotAck, NotAck), Is.True, "event 11");
        return (status >> 3 & 7) | ((status & NotBusy) != 0 ? 0 : 8);
    }

    /// <summary>Reads in byte mode.</summary>
    public byte[] ReadBytes(int count)
    {
        var bytes = new List<byte>();
        while (bytes.Count < count && HasData)
        {
            Control(0, Reverse);
            Control(AutoFeed, AutoFeed);
            Assert.That(Wait(NotAck, 0), Is.True, "event 9");
            bytes.Add(Port.Read8(Data));
            Control(AutoFeed, 0);
            Assert.That(Wait(NotAck, NotAck), Is.True, "event 11");
            Control(Strobe, Strobe);
            Control(Strobe, 0);
        }
        return [.. bytes];
    }

    /// <summary>Writes a byte on the forward ECP channel by hand. False when the peripheral stalls.</summary>
    public bool WriteEcp(byte value, bool isCommand = false)
    {
        Control(AutoFeed | Strobe, Init | (isCommand ? AutoFeed : 0));
        Port.Write8(Data, value);
        Control(Strobe, Strobe);
        if (!Wait(NotBusy, 0)) return false;
        Control(Strobe, 0);
        return Wait(NotBusy, NotBusy);
    }

    /// <summary>Events 38 to 40.</summary>
    public void ReverseEcp()
    {
        Control(0, AutoFeed);
        Control(0, Reverse);
        host.Clock.Advance(5_000);
        Control(Init, 0);
        Assert.That(Wait(PaperOut, 0), Is.True, "event 40");
    }

    /// <summary>Events 47 to 49.</summary>
    public void ForwardEcp()
    {
        Control(0, Init | AutoFeed);
        Assert.That(Wait(PaperOut, PaperOut), Is.True, "event 49");
        Control(Reverse, 0);
    }

    /// <summary>Reads raw items of the reverse ECP channel: bytes, and commands as negative numbers.</summary>
    public List<int> ReadEcp(int count)
    {
        var items = new List<int>();
        while (items.Count < count && (Status & NotAck) == 0)
        {
            byte value = Port.Read8(Data);
            items.Add((Status & NotBusy) == 0 ? value : -value - 1);
            Control(AutoFeed, 0);
            Assert.That(Wait(NotAck, NotAck), Is.True, "event 45");
            Control(0, AutoFeed);
        }
        return items;
    }
}
