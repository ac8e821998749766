using System.Buffers.Binary;
using Emulator.Observation;
using Emulator.Testing;
using Emulator.Tracing;
using static Emulator.Tests.Tracing.TestTrace;

namespace Emulator.Tests.Tracing;

[Category("Unit")]
public sealed class RecorderTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Test]
    public void Every_kind_of_event_comes_back_as_it_was()
    {
        var events = new List<DeviceEvent>();
        foreach (DeviceEventKind kind in Enum.GetValues<DeviceEventKind>())
        {
            // It becomes a part of the access behind it; see CodeTests.
            if (kind == DeviceEventKind.Code) continue;
            events.Add(new DeviceEvent(events.Count, kind, 7, true, 4, 0x1122334455667788, 0x99aabbccddeeff00));
            events.Add(new DeviceEvent(events.Count, kind, 0, false, int.MaxValue, ulong.MaxValue, ulong.MaxValue));
            events.Add(new DeviceEvent(events.Count, kind, 255, false, 0, 0, 0));
        }
        byte[] file = Record(recorder =>
        {
            IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
            foreach (DeviceEvent e in events) observer.OnEvent(e);
        });
        Assert.That(ReadAll(file).Select(e => e.Event), Is.EqualTo(events));
    }

    [Test]
    public void A_record_has_the_layout_the_document_gives()
    {
        byte[] file = Record(recorder => recorder.Attach("card", "test-card", TestCard.Detached())
            .OnEvent(new DeviceEvent(0x0102030405060708, DeviceEventKind.DmaWrite, 5, true, 0x11121314, 0x2122232425262728, 0x3132333435363738)));
        // The file ends with: records header, record, end header.
        ReadOnlySpan<byte> header = file.AsSpan(file.Length - 64, 16), record = file.AsSpan(file.Length - 48, 32), end = file.AsSpan(file.Length - 16);
        Assert.That(header.ToArray(), Is.EqualTo((byte[])[.. "RECS"u8, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        Assert.That(end.ToArray(), Is.EqualTo((byte[])[.. "END "u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        Assert.That(record.ToArray(), Is.EqualTo((byte[])
        [
            8, 7, 6, 5, 4, 3, 2, 1,
            4, 5, 1, 0, 0x14, 0x13, 0x12, 0x11,
            0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21,
            0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31,
        ]));
        Assert.That(file.AsSpan(0, 12).ToArray(), Is.EqualTo((byte[])[0x89, .. "EMT\r\n"u8, 0x1a, (byte)'\n', 1, 0, 1, 0]));
    }

    [Test]
    public void The_description_comes_back_as_it_was()
    {
        TestCard card = TestCard.Detached();
        byte[] file = Record(recorder => recorder.Attach("card", "test-card", card));
        using TraceReader reader = Open(file);
        DeviceDescription expected = DeviceDescription.Of("card", "test-card", card, reader.Devices[0].Description.StartNs);
        Assert.That(DescriptionJson.Write(reader.Devices[0].Description), Is.EqualTo(DescriptionJson.Write(expected)));
        Assert.That(reader.IsTruncated, Is.False);
        Assert.That(reader.Started, Is.EqualTo(DateTimeOffset.UtcNow).Within(TimeSpan.FromHours(1)));
    }

    [Test]
    public void A_remark_keeps_its_place_among_the_events()
    {
        byte[] file = Record(recorder =>
        {
            IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
            observer.OnRemark(5, "first");
            observer.OnEvent(Event(5, value: 1));
            observer.OnRemark(5, "second");
            observer.OnRemark(5, "third");
            observer.OnEvent(Event(5, value: 2));
            observer.OnRemark(5, "fourth");
        });
        Assert.That(ReadAll(file).Select(e => e.Remark ?? $"{e.Event.Value}"), Is.EqualTo((string[])["first", "1", "second", "third", "2", "fourth"]));
    }

    [Test]
    public void A_long_remark_is_cut_and_the_trace_stays_readable()
    {
        byte[] file = Record(recorder => recorder.Attach("card", "test-card", TestCard.Detached()).OnRemark(0, new string('x', 100_000)));
        Assert.That(ReadAll(file).Single().Remark, Is.EqualTo(new string('x', 8192)));
    }

    [Test]
    public void A_full_ring_waits_for_a_slow_file_and_loses_nothing()
    {
        const int Capacity = 16, Count = 10_000;
        var stream = new GatedStream();
        long produced = 0;
        using (var recorder = new TraceRecorder(stream, "memory", capacity: Capacity))
        {
            IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
            var device = new Thread(() =>
            {
                for (int i = 0; i < Count; i++)
                {
                    observer.OnEvent(Event(i, value: (ulong)i));
                    Volatile.Write(ref produced, i + 1);
                }
            });
            device.Start();
            Assert.That(SpinWait.SpinUntil(() => Volatile.Read(ref produced) == Capacity, Limit));
            stream.Gate.Set();
            Assert.That(device.Join(Limit));
        }
        Assert.That(ReadAll(stream.Written.ToArray()).Select(e => (int)e.Event.Value), Is.EqualTo(Enumerable.Range(0, Count)));
    }

    [Test]
    public void Several_devices_on_threads_of_their_own_lose_nothing()
    {
        const int Devices = 4, Count = 20_000;
        byte[] file = Record(
            recorder =>
            {
                Thread Device(int number)
                {
                    IDeviceObserver observer = recorder.Attach($"card{number}", "test-card", TestCard.Detached());
                    return new Thread(() =>
                    {
                        for (int i = 0; i < Count; i++) observer.OnEvent(Event(i, value: (ulong)i));
                    });
                }

                Thread[] threads = [.. Enumerable.Range(0, Devices).Select(Device)];
                foreach (Thread thread in threads) thread.Start();
                foreach (Thread thread in threads) Assert.That(thread.Join(Limit));
            },
            capacity: 256);
        foreach (IGrouping<TracedDevice, TraceEntry> device in ReadAll(file).GroupBy(e => e.Device))
            Assert.That(device.Select(e => (int)e.Event.Value), Is.EqualTo(Enumerable.Range(0, Count)), device.Key.Name);
    }

    [Test]
    public void An_event_allocates_nothing()
    {
        using var recorder = new TraceRecorder(Stream.Null, "null", capacity: 1024);
        IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
        void Run()
        {
            for (int i = 0; i < 100_000; i++) observer.OnEvent(Event(i));
        }

        Assert.That(Allocations.BytesOf(Run), Is.Zero);
    }

    [Test]
    public void Events_reach_the_file_while_the_recording_goes_on()
    {
        string path = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():n}.trace");
        try
        {
            using var recorder = new TraceRecorder(path);
            recorder.Attach("card", "test-card", TestCard.Detached()).OnEvent(Event(1, value: 0x42));
            bool IsThere()
            {
                if (new FileInfo(path).Length == 0) return false;
                using TraceReader reader = TraceReader.Open(path);
                return reader.IsTruncated && reader.Read().Any(e => e.Event.Value == 0x42);
            }

            Assert.That(SpinWait.SpinUntil(IsThere, Limit));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public void A_full_disk_stops_the_recording_with_one_line_and_the_device_goes_on()
    {
        var failures = new List<string>();
        var stream = new FullDisk(room: 20_000);
        var recorder = new TraceRecorder(stream, "lab.trace", failures.Add, capacity: 64);
        IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
        for (int i = 0; i < 100_000; i++) observer.OnEvent(Event(i, value: (ulong)i));
        observer.OnRemark(0, "late");
        recorder.Dispose();
        Assert.That(recorder.IsStopped);
        Assert.That(failures, Has.Count.EqualTo(1));
        Assert.That(failures[0], Does.StartWith("cannot write the trace 'lab.trace': No space left on device").And.Not.Contains('\n'));
        using TraceReader reader = Open(stream.Written.ToArray());
        Assert.That(reader.IsTruncated);
        int[] values = [.. reader.Read().Select(e => (int)e.Event.Value)];
        Assert.That(values, Is.EqualTo(Enumerable.Range(0, values.Length)).And.Not.Empty);
    }

    [Test]
    public void After_Dispose_a_device_goes_on_unrecorded()
    {
        IDeviceObserver? observer = null;
        byte[] file = Record(recorder => observer = recorder.Attach("card", "test-card", TestCard.Detached()), capacity: 16);
        for (int i = 0; i < 1000; i++) observer!.OnEvent(Event(i));
        observer!.OnRemark(0, "late");
        Assert.That(ReadAll(file), Is.Empty);
    }

    [Test]
    public void Dispose_can_be_called_again_and_Attach_afterwards_is_refused()
    {
        var recorder = new TraceRecorder(Stream.Null, "null");
        recorder.Dispose();
        recorder.Dispose();
        Assert.That(() => recorder.Attach("card", "test-card", TestCard.Detached()), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void A_device_name_is_unique_in_a_trace()
    {
        using var recorder = new TraceRecorder(Stream.Null, "null");
        recorder.Attach("card", "test-card", TestCard.Detached());
        Assert.That(() => recorder.Attach("card", "test-card", TestCard.Detached()), Throws.ArgumentException.With.Message.Contains("'card'"));
    }

    [Test]
    public void A_file_that_cannot_be_made_is_named_in_one_line()
        => Assert.That(
            () => new TraceRecorder("/dev/null/lab.trace"),
            Throws.TypeOf<IOException>().With.Message.StartsWith("cannot write the trace '/dev/null/lab.trace': "));

    [Test]
    public void A_recorded_session_reads_as_the_session_it_was()
    {
        TraceCapture? capture = null;
        byte[] file = Record(recorder =>
        {
            var host = new FakePciHost();
            var card = new TestCard(host.Slot);
            capture = TraceCapture.Attach(card, "card");
            card.Observer = new ObserverTee(capture, recorder.Attach("card", "test-card", card));
            host.Plug(card);
            host.Bar(0).Write32(4, 0x80030123);
            host.Bar(3).Read8(0);
        });
        Assert.That(Text(ReadAll(file)), Is.EqualTo(capture!.NormalisedText).And.Contains("MODE=Ecp"));
    }

    private sealed class GatedStream : WrittenStream
    {
        public ManualResetEventSlim Gate { get; } = new();

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Assert.That(Gate.Wait(Limit));
            Written.Write(buffer);
        }
    }

    private sealed class FullDisk(int room) : WrittenStream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            int fits = Math.Min(buffer.Length, room - (int)Written.Length);
            Written.Write(buffer[..fits]);
            if (fits < buffer.Length) throw new IOException("No space left on device");
        }
    }

    private abstract class WrittenStream : Stream
    {
        public MemoryStream Written { get; } = new();
        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
