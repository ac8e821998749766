using Emulator.VfioUser.Protocol;

namespace Emulator.Fuzz;

/// <summary>The kinds of descriptors a client might pass.</summary>
internal enum FuzzDescriptor : byte { Memory, EventFd, File, Socket }

internal enum FuzzStepKind : byte
{
    /// <summary>Bytes go to the server; mostly one message.</summary>
    Send,
    /// <summary>A command the server sent is answered as it should be.</summary>
    AnswerCommand,
    /// <summary>A reply of the right ID, with wrong bytes after it.</summary>
    AnswerWrongly,
}

/// <summary>What a hostile client does next.</summary>
internal sealed record FuzzStep(FuzzStepKind Kind, byte[] Bytes, FuzzDescriptor[] Descriptors)
{
    /// <summary>"RegionWrite 36 bytes [Memory]: 0100...", so that it can be sent again by hand.</summary>
    public override string ToString()
    {
        if (Kind == FuzzStepKind.AnswerCommand) return "answer a command of the server";
        if (Kind == FuzzStepKind.AnswerWrongly) return $"answer a command of the server wrongly: {Convert.ToHexString(Bytes)}";
        string name = MessageHeader.TryRead(Bytes, out MessageHeader header) ? $"{header.Command}" : "bytes";
        string descriptors = Descriptors.Length == 0 ? "" : $" [{string.Join(", ", Descriptors)}]";
        const int Most = 96;
        string bytes = Convert.ToHexString(Bytes.AsSpan(0, Math.Min(Bytes.Length, Most)));
        return $"{name}, {Bytes.Length} bytes{descriptors}: {bytes}{(Bytes.Length > Most ? "..." : "")}";
    }
}
