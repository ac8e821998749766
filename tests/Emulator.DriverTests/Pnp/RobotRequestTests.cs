using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>What programs ask of a robot (robot.h), and what they must not.</summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[TestFixture(Machine.Amd64, "KmdfRobot")]
[TestFixture(Machine.I386, "KmdfRobot")]
[Category("Driver")]
internal sealed class RobotRequestTests(Machine architecture, string robot)
{
    private const uint GetState = 0x0022_6004, Execute = 0x0022_e008, Stop = 0x0022_a00c, SetWatchdog = 0x0022_a010, FeedWatchdog = 0x0022_a014;
    private const uint Nop = 0, Velocity = 3, Tool = 5, Light = 6, Unknown = 9;
    private const uint Ok = 1, Aborted = 4, Invalid = 5, WatchdogExpired = 8;
    private const uint BufferTooSmall = 0xC000_0023, IoDeviceError = 0xC000_0185;
    private const uint EventProgram = 5, Moving = 0x4, ToolFlag = 0x8;

    private RobotBench _bench = null!;
    private BenchFile _file = null!;

    [SetUp]
    public void Start()
    {
        _bench = new RobotBench(architecture, robot, InterruptGrant.Messages);
        Assert.That(_bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        _file = _bench.Node.Open();
    }

    [TearDown]
    public void End()
    {
        _file.Close();
        _bench.End();
    }

    [Test]
    public void A_program_longer_than_the_robots_queue_is_carried_out_whole()
    {
        byte[] program = RobotBench.Program([.. Enumerable.Range(0, 300).Select(i => (i % 3 == 0 ? Nop : Light, i % 3 == 0 ? 0 : i, 0))]);
        BenchRequest write = _file.Write(program);
        Assert.That(write.Wait(), Is.True);
        Assert.That((write.Status, write.Information), Is.EqualTo((NtStatus.Success, (ulong)program.Length)));
    }

    [Test]
    public void Programs_of_several_writers_run_one_after_the_other()
    {
        BenchRequest[] writes = [.. Enumerable.Range(1, 5).Select(i => _file.Write(RobotBench.Program((RobotBench.Wait, 10 * i, 0), (Light, i, 0))))];
        for (int i = 0; i < writes.Length; i++)
        {
            Assert.That(writes[i].Wait(), Is.True);
            Assert.That(writes[i].Status, Is.EqualTo(NtStatus.Success));
            Assert.That(writes.Skip(i + 1).Select(w => w.IsCompleted), Is.All.False);
        }
    }

    [TestCase(RobotBench.Drive, 100, int.MaxValue)]
    [TestCase(RobotBench.Drive, int.MinValue, 100)]
    [TestCase(RobotBench.Drive, 100, 0)]
    [TestCase(RobotBench.Turn, int.MaxValue, 100)]
    [TestCase(Velocity, 501, 0)]
    [TestCase(Velocity, 0, int.MinValue)]
    [TestCase(Tool, 2, 0)]
    [TestCase(Light, -1, 0)]
    [TestCase(RobotBench.Wait, int.MaxValue, 0)]
    [TestCase(RobotBench.Wait, -1, 0)]
    [TestCase(Nop, 1, 0)]
    [TestCase(Unknown, 0, 0)]
    [TestCase(uint.MaxValue, 0, 0)]
    public void A_command_out_of_range_is_invalid_and_the_robot_goes_on(uint opcode, int argument0, int argument1)
    {
        Assert.That(Carry(opcode, argument0, argument1), Is.EqualTo(Invalid));
        Assert.That(Carry(Nop, 0, 0), Is.EqualTo(Ok));
    }

    [Test]
    public void A_program_that_fails_tells_how_far_it_came_and_makes_an_event()
    {
        BenchRequest write = _file.Write(RobotBench.Program((Light, 1, 0), (Light, 2, 0), (RobotBench.Drive, 0, 0), (Light, 3, 0)));
        Assert.That(write.Wait(), Is.True);
        Assert.That((write.Status, write.Information), Is.EqualTo((NtStatus.Success, 32UL)));
        Assert.That(_file.Write(RobotBench.Program((Unknown, 0, 0))).Status, Is.EqualTo(IoDeviceError));
        byte[] events = _file.Read(1024).Output;
        (uint, uint, uint)[] programs = [.. Enumerable.Range(0, events.Length / 16)
            .Select(i => (U32(events, 16 * i), U32(events, (16 * i) + 4), U32(events, (16 * i) + 12)))
            .Where(e => e.Item1 == EventProgram)];
        // Type, result, and the tag of the command that failed.
        Assert.That(programs, Is.EqualTo(new[] { (EventProgram, Invalid, 2u), (EventProgram, Invalid, 0u) }));
    }

    [Test]
    public void State_is_told_in_the_terms_of_the_header_whatever_the_robots_bits()
    {
        Assert.That(Carry(Tool, 1, 0), Is.EqualTo(Ok));
        Assert.That(Carry(Velocity, 100, 100), Is.EqualTo(Ok));
        _bench.Machine.Advance(200_000_000);
        byte[] state = _file.Control(GetState, outputLength: 44).Output;
        Assert.That(U32(state, 0) & (Moving | ToolFlag), Is.EqualTo(Moving | ToolFlag));
        Assert.That((int)U32(state, 4), Is.InRange(1, 40), "left odometer, mm");
        Assert.That(_file.Control(Stop).Status, Is.EqualTo(NtStatus.Success));
        Assert.That(U32(_file.Control(GetState, outputLength: 44).Output, 0) & Moving, Is.Zero);
    }

    [Test]
    public void Stop_ends_the_running_program_and_lets_the_next_go_on()
    {
        BenchRequest running = Send(RobotBench.Wait, 10_000, 0), next = Send(Light, 1, 0);
        Assert.That(_file.Control(Stop).Status, Is.EqualTo(NtStatus.Success));
        Assert.That(U32(running.Output, 8), Is.EqualTo(Aborted));
        Assert.That(next.Wait(), Is.True);
        Assert.That(U32(next.Output, 8), Is.EqualTo(Ok));
    }

    [Test]
    public void The_watchdog_ends_a_program_unless_it_is_fed()
    {
        Assert.That(_file.Control(SetWatchdog, BitConverter.GetBytes(100)).Status, Is.EqualTo(NtStatus.Success));
        BenchRequest wait = Send(RobotBench.Wait, 10_000, 0);
        _bench.Machine.Advance(80_000_000);
        Assert.That(_file.Control(FeedWatchdog).Status, Is.EqualTo(NtStatus.Success));
        _bench.Machine.Advance(80_000_000);
        Assert.That(wait.IsCompleted, Is.False);
        Assert.That(wait.Wait(), Is.True);
        Assert.That(U32(wait.Output, 8), Is.EqualTo(WatchdogExpired));
        Assert.That(_file.Control(SetWatchdog, BitConverter.GetBytes(0)).Status, Is.EqualTo(NtStatus.Success));
        Assert.That(_file.Control(SetWatchdog, BitConverter.GetBytes(uint.MaxValue)).Status, Is.EqualTo(NtStatus.InvalidParameter));
    }

    [TestCase(RobotBench.GetInfo, 0, 71, BufferTooSmall)]
    [TestCase(GetState, 0, 0, BufferTooSmall)]
    [TestCase(Execute, 16, 19, BufferTooSmall)]
    [TestCase(Execute, 15, 20, NtStatus.InvalidParameter)]
    [TestCase(SetWatchdog, 3, 0, NtStatus.InvalidParameter)]
    [TestCase(0x0022_2000u, 0, 0, NtStatus.InvalidDeviceRequest)]
    public void A_request_with_too_little_room_or_of_no_known_code_is_refused(uint code, int inputLength, int outputLength, uint status)
        => Assert.That(_file.Control(code, new byte[inputLength], outputLength).Status, Is.EqualTo(status));

    [Test]
    public void A_write_that_is_no_whole_number_of_commands_is_refused_and_an_empty_one_is_done()
    {
        Assert.That(_file.Write(new byte[15]).Status, Is.EqualTo(NtStatus.InvalidParameter));
        Assert.That(_file.Write(new byte[16 * 4097]).Status, Is.EqualTo(NtStatus.InvalidParameter));
        Assert.That(_file.Write([]).Status, Is.EqualTo(NtStatus.Success));
        Assert.That(_file.Read(15).Status, Is.EqualTo(BufferTooSmall));
        Assert.That(_file.Read(0).Status, Is.EqualTo(NtStatus.Success));
    }

    private BenchRequest Send(uint opcode, int argument0, int argument1)
        => _file.Control(Execute, RobotBench.Program((opcode, argument0, argument1)), outputLength: 20);

    private uint Carry(uint opcode, int argument0, int argument1)
    {
        BenchRequest request = Send(opcode, argument0, argument1);
        Assert.That(request.Wait(), Is.True);
        Assert.That((request.Status, request.Information), Is.EqualTo((NtStatus.Success, 20UL)));
        return U32(request.Output, 8);
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));
}
