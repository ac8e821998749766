using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Transport;

[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class UnixListenerTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromSeconds(30);

    private TemporaryFolder _folder = null!;

    private string SocketPath => _folder.File("dev.sock");

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void A_client_connects_and_both_see_who_the_other_is()
    {
        using UnixListener listener = UnixListener.Bind(SocketPath);
        using UnixStream client = UnixStream.Connect(SocketPath);
        using UnixStream server = listener.Accept(Generous)!;

        Assert.That(server.Peer, Is.EqualTo(client.Peer));
        Assert.That(server.Peer.Pid, Is.EqualTo(Environment.ProcessId));
        client.Send("hello"u8);
        Assert.That(server.Receive(new byte[16], default, out _), Is.EqualTo(5));
    }

    [Test]
    public void With_nobody_waiting_accept_returns_empty_handed()
    {
        using UnixListener listener = UnixListener.Bind(SocketPath);
        Assert.That(listener.TryAccept(out UnixStream? none, out _), Is.EqualTo(AcceptOutcome.NoneWaiting));
        Assert.That(none, Is.Null);
        Assert.That(listener.Accept(TimeSpan.FromMilliseconds(1)), Is.Null);
    }

    [Test]
    public void The_socket_is_for_its_owner_only()
    {
        using UnixListener listener = UnixListener.Bind(SocketPath);
        Assert.That(File.GetUnixFileMode(SocketPath), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
    }

    [Test]
    public void A_missing_folder_is_created_private_with_its_parents()
    {
        string path = _folder.File("a/b/dev.sock");
        using UnixListener listener = UnixListener.Bind(path);
        Assert.That(
            File.GetUnixFileMode(_folder.File("a/b")), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
    }

    [TestCase(UnixFileMode.GroupWrite), TestCase(UnixFileMode.OtherWrite), TestCase(UnixFileMode.OtherWrite | UnixFileMode.StickyBit)]
    public void A_folder_that_others_may_write_is_refused(UnixFileMode extra)
    {
        string folder = _folder.File("shared");
        Directory.CreateDirectory(folder);
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | extra);

        TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(Path.Combine(folder, "dev.sock")));
        Assert.That(error.Errno, Is.EqualTo(Errno.EPERM));
        Assert.That(error.Message, Does.Contain(folder).And.Contain("chmod go-w"));
    }

    [Test]
    public void A_folder_of_another_user_is_refused()
    {
        // The root folder is root's; root itself gets a folder that it gave away.
        string foreign = "/";
        if (Environment.UserName == "root")
        {
            foreign = _folder.File("foreign");
            Directory.CreateDirectory(foreign);
            using Process chown = Process.Start("chown", ["65534", foreign]);
            chown.WaitForExit();
        }
        TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(Path.Combine(foreign, "dev.sock")));
        Assert.That(error.Message, Does.Contain("another user"));
    }

    [Test]
    public void A_client_of_another_user_is_turned_away()
    {
        Assume.That(Environment.UserName, Is.EqualTo("root"), "only root can act as another user");
        using UnixListener listener = UnixListener.Bind(SocketPath);
        // Open the doors that keep other users out, so that only the check of the peer is left.
        File.SetUnixFileMode(_folder.Path, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(SocketPath, (UnixFileMode)0b110_110_110);
        UnixStream? stranger = null;
        var thread = new Thread(() =>
        {
            // The bare system call changes this thread alone, and the thread ends here.
            long number = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 147 : 117;
            Assert.That(SystemCall(number, 65534, 65534, 65534), Is.Zero);
            stranger = UnixStream.Connect(SocketPath);
        });
        thread.Start();
        thread.Join();

        Assert.That(listener.TryAccept(out UnixStream? accepted, out PeerCredentials peer), Is.EqualTo(AcceptOutcome.Refused));
        Assert.That(accepted, Is.Null);
        Assert.That(peer.Uid, Is.EqualTo(65534));
        Assert.That(stranger!.Receive(new byte[1], default, out _), Is.EqualTo(UnixStream.Closed));
        stranger.Dispose();
    }

    [Test]
    public void A_path_that_is_a_folder_or_empty_is_refused()
    {
        Assert.That(() => UnixListener.Bind(_folder.Path + "/"), Throws.TypeOf<TransportException>());
        Assert.That(() => UnixListener.Bind(""), Throws.ArgumentException);
        Assert.That(() => UnixListener.Bind(_folder.File("a\0b")), Throws.TypeOf<TransportException>());
    }

    [Test]
    public void A_path_of_107_bytes_works_and_of_108_is_refused_with_the_count()
    {
        string longest = _folder.File(new string('x', 107 - _folder.Path.Length - 1));
        using (UnixListener listener = UnixListener.Bind(longest))
        {
            using UnixStream client = UnixStream.Connect(longest);
        }
        TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(longest + "x"));
        Assert.That(error.Errno, Is.EqualTo(Errno.ENAMETOOLONG));
        Assert.That(error.Message, Does.Contain("108 bytes").And.Contain("107"));
        Assert.That(() => UnixStream.Connect(longest + "x"), Throws.TypeOf<TransportException>());
    }

    [Test]
    public void The_path_limit_counts_bytes_not_characters()
    {
        string path = _folder.File(new string('ä', (107 - _folder.Path.Length - 1) / 2 + 1));
        Assert.That(path, Has.Length.LessThan(107));
        Assert.That(() => UnixListener.Bind(path), Throws.TypeOf<TransportException>());
    }

    [Test]
    public void A_socket_that_a_dead_server_left_is_replaced()
    {
        LeaveStaleSocket();
        using UnixListener listener = UnixListener.Bind(SocketPath);
        using UnixStream client = UnixStream.Connect(SocketPath);
        using UnixStream? server = listener.Accept(Generous);
        Assert.That(server, Is.Not.Null);
    }

    [Test]
    public void A_socket_that_a_live_server_holds_is_refused_with_its_process_and_left_alone()
    {
        using UnixListener first = UnixListener.Bind(SocketPath);
        TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(SocketPath));
        Assert.That(error.Errno, Is.EqualTo(Errno.EADDRINUSE));
        Assert.That(error.Message, Does.Contain($"process {Environment.ProcessId}").And.Contain(SocketPath));

        using UnixStream client = UnixStream.Connect(SocketPath);
        using UnixStream? probe = first.Accept(Generous);
        using UnixStream? server = first.Accept(Generous);
        Assert.That(server, Is.Not.Null, "after the probe's connection comes the client's");
    }

    [Test]
    public void A_live_server_whose_queue_is_full_is_live()
    {
        using var busy = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        busy.Bind(new UnixDomainSocketEndPoint(SocketPath));
        busy.Listen(0);
        using var waiting = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        waiting.Connect(new UnixDomainSocketEndPoint(SocketPath));

        TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(SocketPath));
        Assert.That(error.Errno, Is.EqualTo(Errno.EADDRINUSE));
        TransportException late = Assert.Throws<TransportException>(() => UnixStream.Connect(SocketPath, TimeSpan.FromMilliseconds(1)));
        Assert.That(late.Errno, Is.EqualTo(Errno.ETIMEDOUT));
    }

    [Test]
    public void A_file_that_is_no_socket_is_refused_and_left_alone()
    {
        File.WriteAllText(SocketPath, "precious");
        TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(SocketPath));
        Assert.That(error.Errno, Is.EqualTo(Errno.EEXIST));
        Assert.That(File.ReadAllText(SocketPath), Is.EqualTo("precious"));
    }

    [Test]
    public void A_symbolic_link_is_refused_and_its_target_left_alone()
    {
        string target = _folder.File("target.sock");
        LeaveStaleSocket(target);
        File.CreateSymbolicLink(SocketPath, target);
        Assert.That(() => UnixListener.Bind(SocketPath), Throws.TypeOf<TransportException>());
        Assert.That(File.Exists(target), Is.True);
    }

    [Test]
    public void Disposing_removes_the_socket()
    {
        UnixListener.Bind(SocketPath).Dispose();
        Assert.That(File.Exists(SocketPath), Is.False);
    }

    [Test]
    public void Disposing_leaves_a_socket_that_somebody_else_put_there()
    {
        UnixListener first = UnixListener.Bind(SocketPath);
        File.Delete(SocketPath);
        using UnixListener second = UnixListener.Bind(SocketPath);
        first.Dispose();
        using UnixStream client = UnixStream.Connect(SocketPath);
        using UnixStream? server = second.Accept(Generous);
        Assert.That(server, Is.Not.Null);
    }

    [Test]
    public void Of_many_servers_that_start_at_once_over_a_stale_socket_one_wins()
    {
        for (int round = 0; round < 10; round++)
        {
            LeaveStaleSocket();
            var listeners = new UnixListener?[4];
            var threads = new Thread[listeners.Length];
            using var start = new Barrier(threads.Length);
            for (int i = 0; i < threads.Length; i++)
            {
                int index = i;
                threads[i] = new Thread(() =>
                {
                    start.SignalAndWait();
                    try
                    {
                        listeners[index] = UnixListener.Bind(SocketPath, 1, Generous);
                    }
                    catch (TransportException e) when (e.Errno == Errno.EADDRINUSE)
                    {
                        listeners[index] = null;
                    }
                });
                threads[i].Start();
            }
            Array.ForEach(threads, thread => thread.Join());
            Assert.That(listeners.Count(listener => listener is not null), Is.EqualTo(1));
            Array.ForEach(listeners, listener => listener?.Dispose());
        }
    }

    [Test]
    public void While_another_server_looks_at_the_folder_nobody_binds_there()
    {
        using (var folder = new FileDescriptor(Descriptors.Open(_folder.Path, FileAccess.Read)))
        {
            Assert.That(Descriptors.Lock(folder.Number), Is.True);
            TransportException error = Assert.Throws<TransportException>(() => UnixListener.Bind(SocketPath, 1, TimeSpan.Zero));
            Assert.That(error.Errno, Is.EqualTo(Errno.EBUSY));
            Assert.That(error.Message, Does.Contain(_folder.Path));
        }
        using UnixListener listener = UnixListener.Bind(SocketPath, 1, TimeSpan.Zero);
        Assert.That(File.Exists(SocketPath), Is.True);
    }

    [Test]
    public void Connecting_where_nothing_is_says_what_to_do()
    {
        TransportException missing = Assert.Throws<TransportException>(() => UnixStream.Connect(SocketPath));
        Assert.That(missing.Errno, Is.EqualTo(Errno.ENOENT));
        Assert.That(missing.Message, Does.Contain(SocketPath).And.Contain("ENOENT").And.Contain("is its server running?"));

        LeaveStaleSocket();
        TransportException stale = Assert.Throws<TransportException>(() => UnixStream.Connect(SocketPath));
        Assert.That(stale.Errno, Is.EqualTo(Errno.ECONNREFUSED));
        Assert.That(stale.Message, Does.Contain("start it again"));
    }

    [Test]
    public void No_descriptor_is_left_by_success_or_failure()
    {
        int growth = OpenFiles.Growth(8, () =>
        {
            using (UnixListener listener = UnixListener.Bind(SocketPath))
            {
                Assert.That(() => UnixListener.Bind(SocketPath), Throws.TypeOf<TransportException>());
                using UnixStream client = UnixStream.Connect(SocketPath);
                listener.Accept(Generous)?.Dispose();
                listener.Accept(Generous)?.Dispose();
            }
            Assert.That(() => UnixStream.Connect(SocketPath), Throws.TypeOf<TransportException>());
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    private void LeaveStaleSocket(string? path = null)
    {
        using var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        // .NET removes the file of a socket it bound, so bind under another name and move it.
        string other = _folder.File("bound");
        dead.Bind(new UnixDomainSocketEndPoint(other));
        File.Move(other, path ?? SocketPath);
    }

    [DllImport("libc", EntryPoint = "syscall")]
    private static extern long SystemCall(long number, long first, long second, long third);
}
