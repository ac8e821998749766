namespace Emulator.DriverBench.Pe;

/// <content>The functions of x64 images, as unwinding needs them.</content>
public sealed partial class PeImage
{
    private readonly List<PeFunction> _functions = [];

    /// <summary>The x64 function with unwind data that an address relative to the image base lies in; null for leaves and on x86.</summary>
    public PeFunction? FindFunction(uint rva)
    {
        int low = 0, high = _functions.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            PeFunction function = _functions[middle];
            if (rva >= function.Begin && rva < function.End) return function;
            if (rva < function.Begin) high = middle - 1;
            else low = middle + 1;
        }
        return null;
    }

    /// <summary>The exception directory (.pdata), which x64 alone has in this form.</summary>
    private void ReadFunctions(Bounded image)
    {
        (uint at, uint size) = _directories[3];
        if (!Is64Bit || at == 0) return;
        _ = image.Slice(at, size, "exception directory");
        for (uint entry = at; entry + 12 <= at + size; entry += 12)
        {
            var function = new PeFunction(
                image.U32(entry, "exception directory"), image.U32(entry + 4, "exception directory"), image.U32(entry + 8, "exception directory"), entry);
            if (function.Begin == 0 && function.End == 0) continue;
            if (function.Begin >= function.End || function.End > SizeOfImage)
            {
                throw Bad($"the exception directory names a function at 0x{function.Begin:x}..0x{function.End:x} of an image of 0x{SizeOfImage:x} bytes");
            }
            _functions.Add(function);
        }
        _functions.Sort((one, other) => one.Begin.CompareTo(other.Begin));
    }
}
