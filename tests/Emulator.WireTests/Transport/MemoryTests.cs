using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Microsoft.Win32.SafeHandles;

namespace Emulator.WireTests.Transport;

[TestFixture, Category("Wire")]
public sealed class MemoryTests
{
    private static readonly ulong Page = (ulong)Environment.SystemPageSize;

    [Test]
    public void Shared_memory_starts_at_zero_and_shows_what_any_mapping_writes()
    {
        using SharedMemory memory = SharedMemory.Create("test", 3 * Page);
        using MappedMemory all = memory.Map();
        using MappedMemory slice = MappedMemory.Map(memory.Handle, Page, Page, MappingAccess.ReadWrite);
        Assert.That(all.Span.IndexOfAnyExcept((byte)0), Is.Negative);
        all.Span[(int)Page + 5] = 0x42;
        Assert.That(slice.Span[5], Is.EqualTo(0x42));
        slice.GetSpan(6, 1)[0] = 0x43;
        Assert.That(all.GetSpan(Page + 6, 1)[0], Is.EqualTo(0x43));
        Assert.That((memory.Length, memory.Handle.Length), Is.EqualTo((3 * Page, 3 * Page)));
    }

    [Test]
    public void Shared_memory_is_sealed_at_its_size()
    {
        using SharedMemory memory = SharedMemory.Create("test", Page);
        Assert.That(memory.Handle.Seals, Is.EqualTo(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal));
        Assert.That(memory.Handle.IsRegularFile, Is.True);
        using MappedMemory mapping = memory.Map();
        Assert.That(mapping.CannotShrink, Is.True);
        using SafeFileHandle file = File.OpenHandle(
            $"/proc/self/fd/{memory.Handle.Number}", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Assert.That(() => RandomAccess.SetLength(file, 0), Throws.InstanceOf<Exception>());
        Assert.That(memory.Handle.Length, Is.EqualTo(Page));
    }

    [Test]
    public void A_mapping_outlives_the_descriptor()
    {
        SharedMemory memory = SharedMemory.Create("test", Page);
        using MappedMemory mapping = memory.Map();
        memory.Dispose();
        mapping.Span[0] = 1;
        Assert.That(mapping.Span[0], Is.EqualTo(1));
    }

    [Test]
    public void A_file_that_can_shrink_says_so()
    {
        using FileDescriptor file = TemporaryFile((long)Page);
        using MappedMemory mapping = MappedMemory.Map(file, 0, Page, MappingAccess.Read);
        Assert.That(mapping.CannotShrink, Is.False);
        Assert.That(file.Seals, Is.EqualTo(FileSeals.None));
    }

    [TestCase(0UL, 0UL, Errno.EINVAL, Description = "nothing")]
    [TestCase(1UL, 1UL, Errno.EINVAL, Description = "an offset inside a page")]
    [TestCase(0UL, 4097UL, Errno.EINVAL, Description = "one byte more than the file")]
    [TestCase(4096UL, 1UL, Errno.EINVAL, Description = "behind the file")]
    [TestCase(0UL, ulong.MaxValue, Errno.EINVAL, Description = "the largest length")]
    [TestCase(0xfffffffffffff000UL, 4096UL, Errno.EINVAL, Description = "a sum that overflows")]
    [TestCase(0x7ffffffffffff000UL, 4096UL, Errno.EINVAL, Description = "a sum that overflows a signed number")]
    [TestCase(0x8000000000000000UL, 4096UL, Errno.EINVAL, Description = "an offset that is negative to the kernel")]
    public void What_is_not_of_the_file_is_not_mapped(ulong offset, ulong length, int errno)
    {
        Assume.That(Page, Is.EqualTo(4096));
        using SharedMemory memory = SharedMemory.Create("test", 4096);
        Assert.That(MappedMemory.TryMap(memory.Handle, offset, length, MappingAccess.ReadWrite, out MappedMemory? none, out int reason), Is.False);
        Assert.That(none, Is.Null);
        Assert.That(reason, Is.EqualTo(errno));
        TransportException error =
            Assert.Throws<TransportException>(() => MappedMemory.Map(memory.Handle, offset, length, MappingAccess.ReadWrite));
        Assert.That(error.Errno, Is.EqualTo(errno));
    }

    [Test]
    public void Only_regular_files_are_mapped()
    {
        using EventFd eventFd = EventFd.Create();
        Assert.That(MappedMemory.TryMap(eventFd.Handle, 0, 1, MappingAccess.Read, out _, out int errno), Is.False);
        Assert.That(errno, Is.EqualTo(Errno.ENODEV));
        using var zero = new FileDescriptor(Descriptors.Open("/dev/zero", FileAccess.Read));
        Assert.That(MappedMemory.TryMap(zero, 0, 1, MappingAccess.Read, out _, out errno), Is.False);
        Assert.That(errno, Is.EqualTo(Errno.ENODEV));
    }

    [Test]
    public void A_file_open_for_reading_only_is_not_mapped_for_writing()
    {
        using SharedMemory memory = SharedMemory.Create("test", Page);
        using var readOnly = new FileDescriptor(Descriptors.Open($"/proc/self/fd/{memory.Handle.Number}", FileAccess.Read));
        Assert.That(MappedMemory.TryMap(readOnly, 0, Page, MappingAccess.ReadWrite, out _, out int errno), Is.False);
        Assert.That(errno, Is.EqualTo(Errno.EACCES));
        Assert.That(MappedMemory.TryMap(readOnly, 0, Page, MappingAccess.Read, out MappedMemory? mapping, out _), Is.True);
        mapping!.Dispose();
    }

    [Test]
    public void A_span_outside_of_the_mapping_is_refused()
    {
        using SharedMemory memory = SharedMemory.Create("test", Page);
        using MappedMemory mapping = memory.Map();
        Assert.That(mapping.GetSpan(Page, 0).Length, Is.Zero);
        Assert.That(() => mapping.GetSpan(Page, 1).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => mapping.GetSpan(Page + 1, 0).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => mapping.GetSpan(ulong.MaxValue, 1).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => mapping.GetSpan(0, -1).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => mapping.GetSpan(1, (int)Page).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void After_disposal_there_is_no_span_and_the_memory_is_unmapped()
    {
        using SharedMemory memory = SharedMemory.Create("emulator-unmap-test", Page);
        MappedMemory mapping = memory.Map();
        Assert.That(Mapped, Is.True);
        mapping.Dispose();
        Assert.That(() => mapping.GetSpan(0, 1).Length, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => mapping.Span.Length, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(Mapped, Is.False);

        static bool Mapped() => File.ReadAllText("/proc/self/maps").Contains("emulator-unmap-test", StringComparison.Ordinal);
    }

    [Test]
    public void A_reference_delays_the_unmapping()
    {
        using SharedMemory memory = SharedMemory.Create("test", Page);
        MappedMemory mapping = memory.Map();
        Span<byte> span = mapping.Span;
        bool held = false;
        mapping.DangerousAddRef(ref held);
        mapping.Dispose();
        span[0] = 0x42;
        Assert.That(span[0], Is.EqualTo(0x42));
        mapping.DangerousRelease();
    }

    [Test]
    public void More_than_two_gigabytes_can_be_mapped_and_reached()
    {
        const ulong Large = 0x1_0000_0000;
        using SharedMemory memory = SharedMemory.Create("large", Large + Page);
        using MappedMemory mapping = memory.Map();
        mapping.GetSpan(Large + 7, 1)[0] = 9;
        using MappedMemory end = MappedMemory.Map(memory.Handle, Large, Page, MappingAccess.Read);
        Assert.That(end.Span[7], Is.EqualTo(9));
        Assert.That(() => mapping.Span.Length, Throws.InvalidOperationException);
    }

    [Test]
    public void A_duplicate_is_another_descriptor_of_the_same_file()
    {
        using SharedMemory memory = SharedMemory.Create("test", Page);
        using FileDescriptor copy = memory.Handle.Duplicate();
        Assert.That(copy.Number, Is.Not.EqualTo(memory.Handle.Number));
        using MappedMemory one = memory.Map();
        using MappedMemory other = MappedMemory.Map(copy, 0, Page, MappingAccess.Read);
        one.Span[3] = 7;
        Assert.That(other.Span[3], Is.EqualTo(7));
    }

    [Test]
    public void Memory_leaves_nothing_open()
    {
        int growth = OpenFiles.Growth(8, () =>
        {
            using SharedMemory memory = SharedMemory.Create("test", Page);
            using MappedMemory mapping = memory.Map();
            MappedMemory.TryMap(memory.Handle, 0, 2 * Page, MappingAccess.Read, out _, out _);
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    private static FileDescriptor TemporaryFile(long length)
    {
        string path = Path.GetTempFileName();
        using (FileStream file = File.OpenWrite(path))
        {
            file.SetLength(length);
        }
        var descriptor = new FileDescriptor(Descriptors.Open(path, FileAccess.ReadWrite));
        File.Delete(path);
        return descriptor;
    }
}
