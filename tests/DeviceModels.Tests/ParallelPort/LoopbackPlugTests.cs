using DeviceModels.ParallelPort.Peripherals;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class LoopbackPlugTests : ParallelPortFixture
{
    // STATUS bits in the order of the wires, and whether the register shows them inverted.
    private static readonly (byte Bit, bool Inverted)[] Wires = [(NotFault, false), (Selected, false), (PaperOut, false), (NotAck, false), (NotBusy, true)];

    [Test]
    public void With_the_data_wiring_D0_to_D4_come_back_on_the_status_lines([Range(0, 31)] int value)
    {
        Plug(new LoopbackPlug());
        Port.Write8(Control, Idle);
        Port.Write8(Data, (byte)value);
        int expected = 0;
        for (int i = 0; i < Wires.Length; i++)
        {
            if (((value >> i & 1) != 0) != Wires[i].Inverted) expected |= Wires[i].Bit;
        }
        Assert.That(Port.Read8(Status) & 0xf8, Is.EqualTo(expected));
    }

    [Test]
    public void With_the_control_wiring_the_control_lines_come_back([Range(0, 15)] int control)
    {
        Plug(new LoopbackPlug(LoopbackWiring.Control));
        Port.Write8(Control, (byte)control);
        int status = Port.Read8(Status);
        Assert.That((status & Selected) != 0, Is.EqualTo((control & Strobe) == 0));
        Assert.That((status & PaperOut) != 0, Is.EqualTo((control & AutoFeed) == 0));
        Assert.That((status & NotAck) != 0, Is.EqualTo((control & Init) != 0));
        Assert.That((status & NotBusy) != 0, Is.EqualTo((control & SelectIn) != 0), "inverted twice");
    }

    [Test]
    public void A_tester_raises_an_interrupt_through_the_plug()
    {
        Plug(new LoopbackPlug());
        Port.Write8(Data, 0);
        Port.Write8(Control, Idle | InterruptEnable);
        Port.Write8(Data, 0x08);
        Assert.That(Host.IntxAsserted, Is.True);
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Zero);
    }
}
