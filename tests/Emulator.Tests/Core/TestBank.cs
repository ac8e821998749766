using Emulator.Registers;

namespace Emulator.Tests.Core;

/// <summary>A bank a test fills as it likes.</summary>
internal sealed class TestBank : RegisterBank
{
    private readonly byte _unmapped;

    public TestBank(int length = 16, AccessSizes sizes = AccessSizes.Any, byte unmapped = 0) : base("BANK", length)
        => (AccessSizes, _unmapped) = (sizes, unmapped);

    public override byte Unmapped => _unmapped;

    public new Register Add(string name, int offset, int size, string summary = "") => base.Add(name, offset, size, summary);

    public new Register[] AddArray(string name, int offset, int size, int count, int stride, Action<Register> define, string summary = "")
        => base.AddArray(name, offset, size, count, stride, define, summary);
}
