using System.Runtime.Versioning;
using Emulator.Interrupts;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>INTx, MSI and MSI-X as SET_IRQS routes them.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class InterruptTests
{
    private const IrqSetFlags Attach = IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger;
    private const int InterruptDisable = 0x0400, InterruptStatus = 0x0008_0000;

    private ServedDevice _device = null!;
    private VfioUserClient _client = null!;

    [SetUp]
    public void Serve()
    {
        _device = new ServedDevice();
        _client = _device.ConnectClient();
    }

    [TearDown]
    public void Stop()
    {
        _client.Dispose();
        _device.Dispose();
    }

    private void SetLevel(int source, bool level) => _device.Invoke(() => _device.Card.Sources[source].Level = level);

    private void Pulse(int vector) => _device.Invoke(() => _device.Card.Interrupts.Pulse(vector));

    private ulong Pending => _client.Read64(CardFunction.Messages, CardFunction.PendingOffset);

    private InterruptKind Mode => _device.Invoke(() => _device.Card.Interrupts.Mode);

    // What the device thread did is done, so there is nothing to wait for.
    private static void AssertCount(EventFd eventFd, ulong expected)
    {
        eventFd.TryDrain(out ulong count);
        Assert.That(count, Is.EqualTo(expected));
    }

    private static IEnumerable<TestCaseData> Indices()
    {
        yield return new TestCaseData(IrqIndex.Intx, 7u, 1u);
        yield return new TestCaseData(IrqIndex.Msi, 9u, (uint)CardFunction.Vectors);
        yield return new TestCaseData(IrqIndex.MsiX, 1u, (uint)CardFunction.Vectors);
        yield return new TestCaseData(IrqIndex.Err, 1u, 1u);
        yield return new TestCaseData(IrqIndex.Req, 1u, 1u);
    }

    [TestCaseSource(nameof(Indices))]
    public void Each_index_says_what_it_offers(int index, uint flags, uint count)
        => Assert.That(_client.GetIrqInfo(index), Is.EqualTo(new IrqInfo(IrqInfo.Size, (IrqInfoFlags)flags, (uint)index, count)));

    [Test]
    public void INTx_masks_itself_until_it_is_unmasked_and_is_raised_again_while_high()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx);
        AssertCount(line, 0);
        SetLevel(0, true);
        AssertCount(line, 1);
        SetLevel(1, true);
        SetLevel(0, false);
        SetLevel(0, true);
        AssertCount(line, 0);
        _client.UnmaskInterrupts(IrqIndex.Intx);
        AssertCount(line, 1);
        SetLevel(0, false);
        SetLevel(1, false);
        _client.UnmaskInterrupts(IrqIndex.Intx);
        AssertCount(line, 0);
        SetLevel(2, true);
        AssertCount(line, 1);
    }

    [Test]
    public void A_masked_INTx_stays_silent_until_unmasked()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx);
        _client.MaskInterrupts(IrqIndex.Intx);
        SetLevel(0, true);
        AssertCount(line, 0);
        _client.UnmaskInterrupts(IrqIndex.Intx);
        AssertCount(line, 1);
    }

    [Test]
    public void A_level_that_is_high_already_signals_the_descriptor_attached()
    {
        SetLevel(0, true);
        using EventFd first = _client.AttachInterrupt(IrqIndex.Intx), second = EventFd.Create();
        AssertCount(first, 1);
        // Another descriptor on the line begins anew.
        _client.AttachInterrupts(IrqIndex.Intx, 0, [second]);
        AssertCount(second, 1);
        AssertCount(first, 0);
        _client.DisableInterrupts(IrqIndex.Intx);
        _client.UnmaskInterrupts(IrqIndex.Intx);
        AssertCount(second, 0);
    }

    [Test]
    public void A_readable_resample_descriptor_unmasks_INTx()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx), resample = EventFd.Create();
        _client.AttachUnmask(IrqIndex.Intx, 0, resample);
        SetLevel(0, true);
        AssertCount(line, 1);
        for (int i = 0; i < 10; i++)
        {
            // KVM signals it at the guest's EOI; the level is still high.
            resample.Signal();
            Assert.That(line.Wait(ServedDevice.Generous), Is.True);
            AssertCount(line, 1);
            AssertCount(resample, 0);
        }
        SetLevel(0, false);
        resample.Signal();
        Assert.That(SpinWait.SpinUntil(() => !resample.Wait(TimeSpan.Zero), ServedDevice.Generous), Is.True, "the server takes it");
        SetLevel(0, true);
        Assert.That(line.Wait(ServedDevice.Generous), Is.True, "it was unmasked");
    }

    [Test]
    public void A_resample_descriptor_is_replaced_and_dropped()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx), first = EventFd.Create(), second = EventFd.Create();
        _client.AttachUnmask(IrqIndex.Intx, 0, first);
        _client.AttachUnmask(IrqIndex.Intx, 0, second);
        SetLevel(0, true);
        AssertCount(line, 1);
        first.Signal();
        _device.Settle();
        AssertCount(line, 0);
        second.Signal();
        Assert.That(line.Wait(ServedDevice.Generous), Is.True);
        AssertCount(line, 1);
        _client.SetIrqs(IrqSetFlags.DataEventFd | IrqSetFlags.ActionUnmask, IrqIndex.Intx, 0, 1, default, default);
        second.Signal();
        _device.Settle();
        AssertCount(line, 0);
    }

    [Test]
    public void A_resample_descriptor_that_is_full_or_made_blocking_does_no_harm()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx), resample = EventFd.Create();
        _client.AttachUnmask(IrqIndex.Intx, 0, resample);
        Assert.That(Descriptors.MakeBlocking(resample.Handle.Number), Is.True);
        Assert.That(Descriptors.Add(resample.Handle.Number, ulong.MaxValue - 1), Is.True);
        _device.WaitUntil(() => !resample.Wait(TimeSpan.Zero), "the server drains it");
        _client.Read32(0, 0);
    }

    [Test]
    public void Interrupt_Disable_lowers_the_line_and_Interrupt_Status_shows_what_is_wanted()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx);
        _client.Write16(RegionIndex.Config, 4, InterruptDisable);
        SetLevel(0, true);
        AssertCount(line, 0);
        Assert.That(_client.Read32(RegionIndex.Config, 4) & InterruptStatus, Is.EqualTo(InterruptStatus));
        _client.Write16(RegionIndex.Config, 4, 0);
        AssertCount(line, 1);
        _client.Write16(RegionIndex.Config, 4, InterruptDisable);
        _client.UnmaskInterrupts(IrqIndex.Intx);
        AssertCount(line, 0);
        SetLevel(0, false);
        Assert.That(_client.Read32(RegionIndex.Config, 4) & InterruptStatus, Is.Zero);
    }

    [TestCase(IrqIndex.Msi), TestCase(IrqIndex.MsiX)]
    public void Vectors_signal_the_descriptors_they_are_routed_to(int index)
    {
        EventFd[] vectors = [.. Enumerable.Range(0, CardFunction.Vectors).Select(_ => EventFd.Create())];
        // All of MSI's vectors are allocated, so that each message is its own.
        _client.Write16(RegionIndex.Config, (ulong)_device.Card.Interrupts.Msi!.Offset + 2, 0x20);
        _client.AttachInterrupts(index, 0, vectors);
        Assert.That(Mode, Is.EqualTo((InterruptKind)index));
        for (int i = 0; i < vectors.Length; i++)
        {
            Pulse(i);
            SetLevel(i, true);
            SetLevel(i, false);
            for (int j = 0; j < vectors.Length; j++) AssertCount(vectors[j], i == j ? 2u : 0);
        }
        // MSI folds a vector beyond those into one of them; MSI-X has no entry for it.
        if (index == IrqIndex.MsiX) Pulse(CardFunction.Vectors);
        _client.DisableInterrupts(index);
        Pulse(0);
        SetLevel(1, true);
        Assert.That(vectors.Any(v => v.Wait(TimeSpan.Zero)), Is.False);
        Assert.That(Mode, Is.EqualTo(InterruptKind.Intx));
        Array.ForEach(vectors, v => v.Dispose());
    }

    [Test]
    public void A_masked_or_detached_vector_is_pending_until_it_can_go()
    {
        using EventFd zero = _client.AttachInterrupt(IrqIndex.MsiX), one = _client.AttachInterrupt(IrqIndex.MsiX, 1);
        _client.MaskInterrupts(IrqIndex.MsiX, 1);
        Pulse(1);
        Pulse(2);
        AssertCount(one, 0);
        Assert.That(Pending, Is.EqualTo(0b110));
        _client.UnmaskInterrupts(IrqIndex.MsiX, 1);
        AssertCount(one, 1);
        Assert.That(Pending, Is.EqualTo(0b100));
        using EventFd two = _client.AttachInterrupt(IrqIndex.MsiX, 2);
        AssertCount(two, 1);
        Assert.That(Pending, Is.Zero);

        _client.DetachInterrupts(IrqIndex.MsiX, 2);
        Pulse(2);
        AssertCount(two, 0);
        Assert.That(Pending, Is.EqualTo(0b100));
        _client.AttachInterrupts(IrqIndex.MsiX, 2, [two]);
        AssertCount(two, 1);
        AssertCount(zero, 0);
    }

    [Test]
    public void Masks_by_flags_concern_the_vectors_named()
    {
        EventFd[] vectors = [.. Enumerable.Range(0, CardFunction.Vectors).Select(_ => EventFd.Create())];
        _client.AttachInterrupts(IrqIndex.MsiX, 0, vectors);
        _client.SetIrqs(IrqSetFlags.DataBool | IrqSetFlags.ActionMask, IrqIndex.MsiX, 1, 3, [1, 0, 1], default);
        for (int i = 0; i < vectors.Length; i++) Pulse(i);
        Assert.That(Pending, Is.EqualTo(0b1010));
        _client.SetIrqs(IrqSetFlags.DataBool | IrqSetFlags.ActionUnmask, IrqIndex.MsiX, 0, 2, [1, 1], default);
        Assert.That(Pending, Is.EqualTo(0b1000));
        Assert.That(vectors.Select(v => v.TryDrain()), Is.EqualTo(new[] { true, true, true, false }));
        Array.ForEach(vectors, v => v.Dispose());
    }

    [Test]
    public void MSI_X_can_be_enabled_without_a_descriptor_and_routed_later()
    {
        ulong control = (ulong)_device.Card.Interrupts.MsiX!.Offset + 2;
        _client.Write16(RegionIndex.Config, 4, 0x0006);
        _client.Write16(RegionIndex.Config, control, 0x8000);
        // QEMU's way to enable: one vector, no descriptor.
        _client.DetachInterrupts(IrqIndex.MsiX, 0, 1);
        Assert.That(Mode, Is.EqualTo(InterruptKind.MsiX));
        Pulse(3);
        Assert.That(Pending, Is.EqualTo(0b1000));
        using EventFd three = _client.AttachInterrupt(IrqIndex.MsiX, 3);
        AssertCount(three, 1);
        _client.Write16(RegionIndex.Config, control, 0xc000);
        Pulse(3);
        AssertCount(three, 0);
        Assert.That(Pending, Is.EqualTo(0b1000), "the function mask holds it");
        _client.Write16(RegionIndex.Config, control, 0x8000);
        AssertCount(three, 1);
        _client.Write16(RegionIndex.Config, control, 0);
        Assert.That(Mode, Is.EqualTo(InterruptKind.MsiX), "the client still has a vector");
        _client.DisableInterrupts(IrqIndex.MsiX);
        Assert.That(Mode, Is.EqualTo(InterruptKind.Intx));
    }

    [Test]
    public void Detaching_the_last_vector_brings_INTx_back()
    {
        using EventFd vector = _client.AttachInterrupt(IrqIndex.MsiX, 1), line = _client.AttachInterrupt(IrqIndex.Intx);
        SetLevel(1, true);
        AssertCount(vector, 1);
        AssertCount(line, 0);
        _client.DetachInterrupts(IrqIndex.MsiX, 1);
        Assert.That(Mode, Is.EqualTo(InterruptKind.Intx));
        AssertCount(line, 1);
    }

    [Test]
    public void A_vector_can_be_pointed_elsewhere_at_any_time()
    {
        using EventFd first = _client.AttachInterrupt(IrqIndex.MsiX), second = EventFd.Create();
        Pulse(0);
        _client.AttachInterrupts(IrqIndex.MsiX, 0, [second]);
        Pulse(0);
        Pulse(0);
        AssertCount(first, 1);
        AssertCount(second, 2);
    }

    [TestCase(IrqIndex.Intx), TestCase(IrqIndex.Msi), TestCase(IrqIndex.MsiX), TestCase(IrqIndex.Err), TestCase(IrqIndex.Req)]
    public void A_trigger_by_the_client_loops_back(int index)
    {
        using EventFd signal = _client.AttachInterrupt(index);
        _client.TriggerInterrupts(index);
        AssertCount(signal, 1);
        _client.SetIrqs(IrqSetFlags.DataBool | IrqSetFlags.ActionTrigger, index, 0, 1, [0], default);
        AssertCount(signal, 0);
        _client.SetIrqs(IrqSetFlags.DataBool | IrqSetFlags.ActionTrigger, index, 0, 1, [1], default);
        AssertCount(signal, 1);
        _client.DisableInterrupts(index);
        _client.TriggerInterrupts(index);
        AssertCount(signal, 0);
    }

    [Test]
    public void A_full_blocking_eventfd_cannot_stall_the_server()
    {
        using var blocking = new FileDescriptor(Descriptors.BlockingEventFd());
        Assert.That(Descriptors.Add(blocking.Number, ulong.MaxValue - 1), Is.True);
        _client.SetIrqs(Attach, IrqIndex.MsiX, 0, 1, default, [blocking.Number]);
        _client.TriggerInterrupts(IrqIndex.MsiX);
        Assert.That(_client.Read32(0, 0), Is.EqualTo(CardRegisters.IdentificationValue));
    }

    [Test]
    public void An_eventfd_made_blocking_and_full_after_it_was_given_cannot_stall_the_server()
    {
        using EventFd eventFd = _client.AttachInterrupt(IrqIndex.MsiX);
        Assert.That(Descriptors.MakeBlocking(eventFd.Handle.Number), Is.True);
        Assert.That(Descriptors.Add(eventFd.Handle.Number, ulong.MaxValue - 1), Is.True);
        _client.TriggerInterrupts(IrqIndex.MsiX);
        Assert.That(_client.Read32(0, 0), Is.EqualTo(CardRegisters.IdentificationValue));
    }

    [Test]
    public void Attaching_detaching_and_leaving_leak_nothing()
    {
        _client.Dispose();
        int growth = OpenFiles.Growth(10, () =>
        {
            using (VfioUserClient client = _device.ConnectClient())
            {
                using EventFd line = client.AttachInterrupt(IrqIndex.Intx), resample = EventFd.Create(), vector = client.AttachInterrupt(IrqIndex.MsiX, 2);
                client.AttachUnmask(IrqIndex.Intx, 0, resample);
                client.AttachUnmask(IrqIndex.Intx, 0, resample);
                client.AttachInterrupts(IrqIndex.MsiX, 0, [vector, vector, vector]);
                client.DetachInterrupts(IrqIndex.MsiX, 0, 2);
            }
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void The_next_client_inherits_no_interrupt()
    {
        using EventFd line = _client.AttachInterrupt(IrqIndex.Intx), vector = _client.AttachInterrupt(IrqIndex.MsiX);
        _client.MaskInterrupts(IrqIndex.MsiX, 1);
        SetLevel(0, true);
        _client.Dispose();
        line.TryDrain();
        vector.TryDrain();
        using VfioUserClient next = _device.ConnectClient();
        Assert.That(Mode, Is.EqualTo(InterruptKind.Intx));
        using EventFd own = next.AttachInterrupt(IrqIndex.Intx);
        AssertCount(own, 0);
        SetLevel(0, true);
        AssertCount(own, 1);
        AssertCount(line, 0);
        next.DisableInterrupts(IrqIndex.Intx);
        using EventFd one = next.AttachInterrupt(IrqIndex.MsiX, 1);
        Pulse(1);
        AssertCount(one, 1);
        AssertCount(vector, 0);
    }
}
