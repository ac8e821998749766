using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <summary>Interlocked variables and lists, and lookaside lists. The bench has one processor: what NT does with its lock prefix, a call does here.</summary>
internal sealed class InterlockedServices(BenchMachine machine)
{
    private GuestMemory Guest => machine.Guest;
    private ulong Pointer => (ulong)machine.Layout.Pointer;

    public void AddTo(NtServices nt)
    {
        Fast("InterlockedIncrement", "p", a => Change(a[0], value => value + 1) + 1);
        Fast("InterlockedDecrement", "p", a => Change(a[0], value => value - 1) - 1);
        Fast("InterlockedExchange", "pu", a => Change(a[0], _ => (uint)a[1]));
        Fast("InterlockedExchangeAdd", "pu", a => Change(a[0], value => value + (uint)a[1]));
        Fast("InterlockedCompareExchange", "puu", a => Change(a[0], value => value == (uint)a[2] ? (uint)a[1] : value));
        foreach (string prefix in (string[])["ExInterlocked", "ExfInterlocked"])
        {
            Fast($"{prefix}AddUlong", "pup", a => Change(a[0], value => value + (uint)a[1]));
            Fast($"{prefix}InsertHeadList", "ppp", a => Insert(a[0], Guest.Pointer(a[0]), a[1], wasEmpty: a[0]));
            Fast($"{prefix}InsertTailList", "ppp", a => Insert(Guest.Pointer(a[0] + Pointer), a[0], a[1], wasEmpty: a[0]));
            Fast($"{prefix}RemoveHeadList", "pp", a => RemoveHead(a[0]));
            Fast($"{prefix}PushEntryList", "ppp", a => Push(a[0], a[1]));
            Fast($"{prefix}PopEntryList", "pp", a => Pop(a[0]));
        }
        nt.Add("ExInterlockedAddLargeInteger", "pqp", Irql.High, a => Change64(a[0], value => value + a[1]));
        Fast("ExInterlockedAddLargeStatistic", "pu", a => Change64(a[0], value => value + (uint)a[1]));
        Fast("ExInterlockedCompareExchange64", "ppp", a => CompareExchange64(a[0], Guest.U64(a[1]), Guest.U64(a[2])));
        nt.Add("InitializeSListHead", "p", Irql.High, a => { Guest.SetBytes(a[0], new byte[2 * (int)Pointer]); return 0; });
        nt.Add("ExQueryDepthSList", "p", Irql.High, a => Guest.U16(a[0] + Depth));
        Fast("ExInterlockedPushEntrySList", "ppp", a => PushSequenced(a[0], a[1]));
        Fast("ExInterlockedPopEntrySList", "pp", a => PopSequenced(a[0]));
        foreach (string prefix in (string[])["Exp", ""])
        {
            Fast($"{prefix}InterlockedPushEntrySList", "pp", a => PushSequenced(a[0], a[1]));
            Fast($"{prefix}InterlockedPopEntrySList", "p", a => PopSequenced(a[0]));
        }
        foreach ((string name, uint type) in new[] { ("NPaged", 0u), ("Paged", 1u) })
        {
            nt.Add($"ExInitialize{name}LookasideList", "pppupuw", Irql.Dispatch,
                a => InitializeLookaside(nt, a[0], a[1], a[2], type | (uint)a[3], (uint)a[4], (uint)a[5]));
            nt.Add($"ExDelete{name}LookasideList", "p", Irql.Dispatch, a => DeleteLookaside(a[0]));
        }

        void Fast(string name, string parameters, NtFunction function) => nt.Add(name, parameters, Irql.High, function, CallConvention.FastCall);
    }

    // SLIST_HEADER: x86 Next, Depth, Sequence; x64 Depth with the sequence, then Next.
    private ulong Depth => machine.Is64Bit ? 0u : 4u;
    private ulong Next => machine.Is64Bit ? 8u : 0u;

    private uint Change(ulong at, Func<uint, uint> change)
    {
        uint old = Guest.U32(at);
        Guest.SetU32(at, change(old));
        return old;
    }

    private ulong Change64(ulong at, Func<ulong, ulong> change)
    {
        ulong old = Guest.U64(at);
        Guest.SetU64(at, change(old));
        return old;
    }

    private ulong CompareExchange64(ulong at, ulong exchange, ulong comparand) => Change64(at, value => value == comparand ? exchange : value);

    /// <summary>The neighbour that was there, or 0 for a list that was empty.</summary>
    private ulong Insert(ulong before, ulong after, ulong entry, ulong wasEmpty)
    {
        ulong first = Guest.Pointer(wasEmpty), last = Guest.Pointer(wasEmpty + Pointer);
        Guest.SetPointer(entry, after);
        Guest.SetPointer(entry + Pointer, before);
        Guest.SetPointer(before, entry);
        Guest.SetPointer(after + Pointer, entry);
        if (first == wasEmpty) return 0;
        return before == wasEmpty ? first : last;
    }

    private ulong RemoveHead(ulong head)
    {
        ulong entry = Guest.Pointer(head);
        if (entry == head) return 0;
        ulong next = Guest.Pointer(entry);
        Guest.SetPointer(head, next);
        Guest.SetPointer(next + Pointer, head);
        return entry;
    }

    private ulong Push(ulong head, ulong entry)
    {
        ulong first = Guest.Pointer(head);
        Guest.SetPointer(entry, first);
        Guest.SetPointer(head, entry);
        return first;
    }

    private ulong Pop(ulong head)
    {
        ulong first = Guest.Pointer(head);
        if (first != 0) Guest.SetPointer(head, Guest.Pointer(first));
        return first;
    }

    private ulong PushSequenced(ulong head, ulong entry)
    {
        Guest.SetU16(head + Depth, (ushort)(Guest.U16(head + Depth) + 1));
        return Push(head + Next, entry);
    }

    private ulong PopSequenced(ulong head)
    {
        ulong first = Pop(head + Next);
        if (first != 0) Guest.SetU16(head + Depth, (ushort)(Guest.U16(head + Depth) - 1));
        return first;
    }

    /// <summary>A GENERAL_LOOKASIDE that keeps nothing, as under Driver Verifier: each entry is pool of its own, with pool's checks.</summary>
    private ulong InitializeLookaside(NtServices nt, ulong at, ulong allocate, ulong free, uint type, uint size, uint tag)
    {
        bool wide = machine.Is64Bit;
        Guest.SetBytes(at, new byte[wide ? 0x60 : 0x48]);
        Guest.SetU32(at + (wide ? 0x24u : 0x1C), type);
        Guest.SetU32(at + (wide ? 0x28u : 0x20), tag);
        Guest.SetU32(at + (wide ? 0x2Cu : 0x24), size);
        Guest.SetPointer(at + (wide ? 0x30u : 0x28), allocate != 0 ? allocate : nt.Find("ExAllocatePoolWithTag")!.Value);
        Guest.SetPointer(at + (wide ? 0x38u : 0x2C), free != 0 ? free : nt.Find("ExFreePool")!.Value);
        return 0;
    }

    private ulong DeleteLookaside(ulong at)
    {
        ulong free = Guest.Pointer(at + (machine.Is64Bit ? 0x38u : 0x2C));
        foreach (ulong entry in Guest.Chain(Guest.Pointer(at + Next), 0).ToList()) machine.Call(free, entry);
        return 0;
    }
}
