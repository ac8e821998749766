namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>
/// Finds the ends of jobs in a stream of printer data: a Universal Exit Language after a job's content, with the PJL that
/// closes it, and a Ctrl-D at the end of a PostScript job. Every byte reaches the sink, unchanged and in order.
/// </summary>
internal sealed class JobSeparator(IPrintSink sink)
{
    private const byte EndOfTransmission = 0x04;

    // PJL lines are short; a longer one is no PJL.
    private readonly byte[] _held = new byte[256];
    private int _heldLength, _exitMatched, _line;
    private bool _isOpen, _hasContent, _inTrailer, _inCommands;
    private HeadKind _head;
    private int _headLength;

    // What the job starts with, as far as it decides the meaning of Ctrl-D.
    private enum HeadKind : byte { Undecided, PostScript, Other }

    /// <summary>Whether a job is under way.</summary>
    public bool IsOpen => _isOpen;

    public void Write(byte value)
    {
        if (_inTrailer) WriteTrailer(value);
        else WriteContent(value);
    }

    /// <summary>The job ends here, whatever state it is in.</summary>
    public void End()
    {
        PassHeld();
        if (_isOpen) sink.EndJob();
        (_isOpen, _hasContent, _inTrailer, _inCommands) = (false, false, false, false);
        (_exitMatched, _line, _headLength, _head) = (0, 0, 0, HeadKind.Undecided);
    }

    private void WriteContent(byte value)
    {
        Pass(value);
        Classify(value);
        if (value == EndOfTransmission && _head == HeadKind.PostScript) { End(); return; }
        // An Escape within the sequence starts it anew.
        ReadOnlySpan<byte> exit = PrintFormat.UniversalExit;
        if (value == exit[_exitMatched]) _exitMatched++;
        else _exitMatched = value == exit[0] ? 1 : 0;
        if (_exitMatched == exit.Length)
        {
            _exitMatched = 0;
            (_inTrailer, _inCommands, _line) = (_hasContent, !_hasContent, 0);
            return;
        }
        if (_exitMatched == 0) FollowCommands(value);
    }

    // After a leading exit sequence the printer reads PJL lines; what is no such line is content.
    private void FollowCommands(byte value)
    {
        if (!_inCommands)
        {
            _hasContent = true;
            return;
        }
        if (value == '\n')
        {
            _line = 0;
            return;
        }
        ReadOnlySpan<byte> mark = "@PJL"u8;
        if (_line < mark.Length && value != mark[_line]) (_inCommands, _hasContent) = (false, true);
        _line++;
    }

    private void Classify(byte value)
    {
        if (_head != HeadKind.Undecided || (_headLength == 0 && value == EndOfTransmission)) return;
        ReadOnlySpan<byte> mark = "%!"u8;
        if (value != mark[_headLength]) _head = HeadKind.Other;
        else if (++_headLength == mark.Length) _head = HeadKind.PostScript;
    }

    // What follows the closing exit sequence is held until it is clear whose it is: "@PJL EOJ" and "@PJL RESET" still
    // belong to the job, anything else begins the next one, with a further exit sequence before it.
    private void WriteTrailer(byte value)
    {
        _held[_heldLength++] = value;
        ReadOnlySpan<byte> held = _held.AsSpan(0, _heldLength), exit = PrintFormat.UniversalExit;
        while (held.StartsWith(exit)) held = held[exit.Length..];
        if (exit.StartsWith(held)) { MakeRoom(); return; }
        if (StartsAlike(held, "@PJL EOJ"u8) || StartsAlike(held, "@PJL RESET"u8))
        {
            if (value == '\n') PassHeld();
            else MakeRoom();
            return;
        }
        BeginNext();
    }

    private static bool StartsAlike(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word)
        => text[..Math.Min(text.Length, word.Length)].SequenceEqual(word[..Math.Min(text.Length, word.Length)]);

    // Only a host that plays with exit sequences fills the buffer.
    private void MakeRoom()
    {
        if (_heldLength == _held.Length) PassHeld();
    }

    private void BeginNext()
    {
        int length = _heldLength;
        _heldLength = 0;
        End();
        for (int i = 0; i < length; i++) WriteContent(_held[i]);
    }

    private void PassHeld()
    {
        for (int i = 0; i < _heldLength; i++) Pass(_held[i]);
        _heldLength = 0;
    }

    private void Pass(byte value)
    {
        _isOpen = true;
        sink.Write(value);
    }
}
