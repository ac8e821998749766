using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;
using static Emulator.WireTests.Client.ClientFixture;

namespace Emulator.WireTests.Client;

/// <summary>Interrupts and their eventfds.</summary>
[TestFixture, Category("Wire")]
public sealed class ClientInterruptTests
{
    [Test]
    public void Interrupts_are_attached_masked_triggered_and_disabled()
    {
        const IrqSetFlags Event = IrqSetFlags.DataEventFd;
        const IrqSetFlags None = IrqSetFlags.DataNone;
        IrqSet[] expected =
        [
            new(20, Event | IrqSetFlags.ActionTrigger, IrqIndex.MsiX, 3, 1),
            new(20, Event | IrqSetFlags.ActionUnmask, IrqIndex.Intx, 0, 1),
            new(20, None | IrqSetFlags.ActionMask, IrqIndex.Intx, 0, 1),
            new(20, None | IrqSetFlags.ActionUnmask, IrqIndex.Intx, 0, 1),
            new(20, None | IrqSetFlags.ActionTrigger, IrqIndex.Intx, 0, 1),
            new(20, Event | IrqSetFlags.ActionTrigger, IrqIndex.MsiX, 3, 1),
            new(20, None | IrqSetFlags.ActionTrigger, IrqIndex.MsiX, 0, 0),
            new(22, IrqSetFlags.DataBool | IrqSetFlags.ActionTrigger, IrqIndex.MsiX, 0, 2),
        ];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            for (int i = 0; i < expected.Length; i++)
            {
                MessageHeader request = p.Receive(out byte[] payload, out FileDescriptor[] descriptors);
                Assert.That(IrqSet.TryRead(payload, out IrqSet set), Is.True);
                Assert.That(set, Is.EqualTo(expected[i]));
                Assert.That(payload, Has.Length.EqualTo((int)set.ArgSize));
                Assert.That(descriptors, Has.Length.EqualTo(i < 2 ? 1 : 0));
                if (i == 0)
                {
                    using EventFd signal = EventFd.TryAdopt(descriptors[0])!;
                    signal.Signal();
                }
                Array.ForEach(descriptors, descriptor => descriptor.Dispose());
                p.Reply(request);
            }
        });
        using VfioUserClient client = peer.Connect(Patient);

        using EventFd interrupt = client.AttachInterrupt(IrqIndex.MsiX, 3);
        Assert.That(interrupt.Wait(Generous), Is.True);
        Assert.That(interrupt.TryDrain(out ulong count), Is.True);
        Assert.That(count, Is.EqualTo(1));
        client.AttachUnmask(IrqIndex.Intx, 0, interrupt);
        client.MaskInterrupts(IrqIndex.Intx);
        client.UnmaskInterrupts(IrqIndex.Intx);
        client.TriggerInterrupts(IrqIndex.Intx);
        client.DetachInterrupts(IrqIndex.MsiX, 3);
        client.DisableInterrupts(IrqIndex.MsiX);
        client.SetIrqs(IrqSetFlags.DataBool | IrqSetFlags.ActionTrigger, IrqIndex.MsiX, 0, 2, [0, 1], default);
        peer.Finish();
    }

    [Test]
    public void An_interrupt_that_cannot_be_attached_leaves_nothing_open()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Repeat(() =>
            {
                MessageHeader request = p.Receive(out _, out FileDescriptor[] descriptors);
                Array.ForEach(descriptors, descriptor => descriptor.Dispose());
                p.Send(request.ToErrorReply(Errno.EINVAL));
            });
        });
        using VfioUserClient client = peer.Connect(Patient);
        Assert.That(
            OpenFiles.Growth(8, () => Assert.That(() => client.AttachInterrupt(0), Throws.TypeOf<VfioUserException>())),
            Is.LessThanOrEqualTo(0));
        client.Dispose();
        peer.Finish();
    }
}
