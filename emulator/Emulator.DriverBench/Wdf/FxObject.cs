using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>
/// A framework object: its place in the tree, its typed contexts in guest memory, and its end. Cleanup callbacks run from the leaves to
/// the root, then destroy callbacks, each when the last reference to its object is gone.
/// </summary>
internal class FxObject
{
    private readonly List<FxObject> _children = [];
    private readonly List<Context> _contexts = [];
    private FxObject? _parent;
    private int _references = 1;
    private bool _disposed, _deleted;

    public FxObject(KmdfFramework framework, FxClient client, string type, FxObject? parent, ObjectAttributes? attributes)
    {
        (Framework, Client, Type, _parent) = (framework, client, type, parent);
        Handle = framework.Handles.Add(this);
        parent?._children.Add(this);
        if (attributes is not null) AddContext(attributes);
    }

    public KmdfFramework Framework { get; }
    public BenchMachine Machine => Framework.Machine;
    public GuestMemory Guest => Framework.Machine.Guest;
    public FxClient Client { get; }

    /// <summary>"WDFQUEUE".</summary>
    public string Type { get; }
    public ulong Handle { get; }
    public FxObject? Parent => _parent;

    /// <summary>Only the framework deletes it.</summary>
    public bool IsFrameworkOwned { get; init; }

    public override string ToString() => $"the {Type} 0x{Handle:x}";

    /// <summary>The address of a context of a type; 0 when it has none.</summary>
    public ulong FindContext(ulong type) => _contexts.Find(c => c.Type == type && type != 0)?.Address ?? 0;

    public bool Owns(ulong context) => _contexts.Exists(c => c.Address == context);

    /// <summary>Adds the context and the callbacks of attributes.</summary>
    public ulong AddContext(ObjectAttributes attributes)
    {
        ulong address = 0, size = attributes.ContextSize;
        // MEMORY_ALLOCATION_ALIGNMENT: no more, so that the end lies against the page behind.
        uint alignment = (uint)Machine.Layout.Pointer * 2;
        if (size > 0) Machine.Kernel.AllocateBlock(size, alignment, $"context {attributes.ContextName} of {ToString()}", guardBefore: false, out address);
        _contexts.Add(new Context(attributes.ContextType, address, attributes.ContextName) { Cleanup = attributes.Cleanup, Destroy = attributes.Destroy });
        return address;
    }

    /// <summary>Of queues and devices: what holds for the callbacks of objects below them that are to be serialized with theirs.</summary>
    public virtual CallbackConstraints? Constraints => null;

    /// <summary>It is the other, or below it in the tree.</summary>
    public bool IsWithin(FxObject other) => this == other || (_parent?.IsWithin(other) ?? false);

    public void AddReference() => _references++;

    public void Release()
    {
        if (--_references > 0) return;
        foreach (Context context in _contexts)
        {
            ulong destroy = context.Destroy;
            context.Destroy = 0;
            Framework.Raise(Client, "EvtDestroyCallback", Type, destroy, Handle);
        }
        OnRelease();
        foreach (Context context in _contexts.Where(c => c.Address != 0)) Machine.FreeKernel(context.Address, $"context {context.Name} of {ToString()}");
        Framework.Handles.Forget(this);
    }

    /// <summary>Runs the cleanup callbacks of its children and its own; the objects stay.</summary>
    public void Clean()
    {
        if (_disposed) return;
        _disposed = true;
        foreach (FxObject child in _children.ToArray()) child.Clean();
        OnCleanup();
        foreach (Context context in _contexts)
        {
            ulong cleanup = context.Cleanup;
            context.Cleanup = 0;
            Framework.Raise(Client, "EvtCleanupCallback", Type, cleanup, Handle);
        }
    }

    /// <summary>Ends its children, which were cleaned up.</summary>
    public void DestroyChildren()
    {
        foreach (FxObject child in _children.ToArray()) child.Destroy();
        _children.Clear();
    }

    /// <summary>WdfObjectDelete.</summary>
    public void Delete()
    {
        if (_deleted) return;
        Clean();
        _parent?._children.Remove(this);
        Destroy();
    }

    /// <summary>The framework's own part of the cleanup.</summary>
    protected virtual void OnCleanup()
    {
    }

    /// <summary>Nobody holds it any more.</summary>
    protected virtual void OnRelease()
    {
    }

    private void Destroy()
    {
        if (_deleted) return;
        _deleted = true;
        _parent = null;
        DestroyChildren();
        Release();
    }

    private sealed record Context(ulong Type, ulong Address, string Name)
    {
        public ulong Cleanup { get; set; }
        public ulong Destroy { get; set; }
    }
}

/// <summary>
/// Handles that drivers hold. As in the framework, no handle is an address that can be read; no two are the same, so that one whose
/// object is gone is known as such.
/// </summary>
internal sealed class HandleTable(KmdfFramework framework)
{
    private const ulong Spacing = 16;
    private readonly Dictionary<ulong, FxObject> _live = [];
    private readonly Dictionary<ulong, string> _gone = [];
    private readonly ulong _start = framework.Machine.Is64Bit ? 0xFFFF_FAC0_0000_0000 : 0x9200_0000;
    private ulong _count;

    public ulong Add(FxObject item)
    {
        ulong handle = Next();
        _live.Add(handle, item);
        return handle;
    }

    /// <summary>A handle of nothing: a PWDFDEVICE_INIT.</summary>
    public ulong Next() => framework.Machine.Is64Bit ? ~(_start + (_count++ * Spacing)) : (uint)~(_start + (_count++ * Spacing));

    public void Forget(FxObject item)
    {
        _live.Remove(item.Handle);
        _gone[item.Handle] = item.Type;
    }

    public IReadOnlyList<FxObject> Of(FxClient client) => [.. _live.Values.Where(o => o.Client == client)];

    /// <summary>The object of a handle.</summary>
    /// <exception cref="BugCheckException">It has none, or one of another type.</exception>
    public T Get<T>(ulong handle, string type) where T : FxObject
    {
        if (_live.TryGetValue(handle, out FxObject? found)) return found as T ?? throw Bad($"0x{handle:x}, which is a {found.Type}");
        if (handle == 0) throw Bad("NULL");
        if (!_gone.TryGetValue(handle, out string? gone)) throw Bad($"0x{handle:x}, which is no handle");
        throw Bad($"0x{handle:x}, a {gone} that is {(gone == "WDFREQUEST" ? "completed" : "deleted")} already");

        BugCheckException Bad(string what) => framework.Violation(WdfViolation.InvalidHandle, $"{framework.Function} for a {type} with {what}");
    }
}
