using System.Text;

namespace Emulator.Cli;

/// <summary>A stream of UTF-8 whose text goes to a writer, for renderers that write bytes. The writer stays open.</summary>
internal sealed class Utf8TextStream(TextWriter output) : Stream
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        // A character may lie across two writes: the decoder keeps its first half.
        var text = new char[Encoding.UTF8.GetMaxCharCount(buffer.Length)];
        output.Write(text.AsSpan(0, _decoder.GetChars(buffer, text, flush: false)));
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override void Flush() => output.Flush();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
}
