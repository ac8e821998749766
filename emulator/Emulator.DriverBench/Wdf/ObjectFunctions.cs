using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>What can be done with an object of any type; general objects, and memory objects.</summary>
internal sealed class ObjectFunctions(KmdfFramework framework)
{
    private const ulong MostMemory = 16 << 20;

    public void AddTo(FunctionTable table)
    {
        table.Add("WdfObjectCreate", "pp", Irql.Dispatch, (client, a) => Create(client, a[0], a[1]), allocates: true);
        table.Add("WdfObjectDelete", "p", Irql.Dispatch, (_, a) => Delete(Get(a[0])));
        table.Add("WdfObjectReferenceActual", "ppup", Irql.Dispatch, (_, a) => Reference(Get(a[0]), 1));
        table.Add("WdfObjectDereferenceActual", "ppup", Irql.Dispatch, (_, a) => Reference(Get(a[0]), -1));
        table.Add("WdfObjectAllocateContext", "ppp", Irql.Dispatch, (_, a) => AllocateContext(Get(a[0]), a[1], a[2]), allocates: true);
        // These two are __fastcall (wdfobject.h): drivers call them all the time.
        table.Add("WdfObjectGetTypedContextWorker", "pp", Irql.High, (_, a) => Get(a[0]).FindContext(framework.NotNull(a[1], "TypeInfo")),
            CallConvention.FastCall);
        table.Add("WdfObjectContextGetObject", "p", Irql.High, (client, a) => FindOwner(client, a[0]), CallConvention.FastCall);
        table.Add("WdfMemoryCreate", "puuppp", Irql.Dispatch, (client, a) => CreateMemory(client, a[0], a[3], a[4], a[5]), allocates: true);
        table.Add("WdfMemoryGetBuffer", "pp", Irql.Dispatch, (_, a) => Buffer(framework.Handles.Get<FxMemory>(a[0], "WDFMEMORY"), a[1]));
    }

    private FxObject Get(ulong handle) => framework.Handles.Get<FxObject>(handle, "WDFOBJECT");

    private ulong Create(FxClient client, ulong at, ulong target)
    {
        framework.NotNull(target, "Object");
        uint status = ObjectAttributes.Read(framework, at, AttributeRules.Any, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        framework.Machine.Guest.SetPointer(target, new FxObject(framework, client, "WDFOBJECT", ParentOf(client, attributes), attributes).Handle);
        return NtStatus.Success;
    }

    /// <summary>Without another, the driver is the parent.</summary>
    private FxObject? ParentOf(FxClient client, ObjectAttributes? attributes) => attributes is { Parent: not 0 } ? Get(attributes.Parent) : client.Driver;

    private ulong Delete(FxObject item)
    {
        if (item.IsFrameworkOwned) throw framework.Violation(WdfViolation.ObjectError, $"WdfObjectDelete of {item}, which only the framework deletes");
        item.Delete();
        return 0;
    }

    private static ulong Reference(FxObject item, int change)
    {
        if (change > 0) item.AddReference();
        else item.Release();
        return 0;
    }

    private ulong AllocateContext(FxObject item, ulong at, ulong target)
    {
        uint status = ObjectAttributes.Read(framework, at, AttributeRules.Required | AttributeRules.NoParent, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        if (attributes!.ContextType == 0) return NtStatus.ObjectNameInvalid;
        ulong context = item.FindContext(attributes.ContextType);
        bool exists = context != 0;
        if (!exists) context = item.AddContext(attributes);
        if (target != 0) framework.Machine.Guest.SetPointer(target, context);
        return exists ? NtStatus.ObjectNameExists : NtStatus.Success;
    }

    private ulong FindOwner(FxClient client, ulong context)
        => framework.Handles.Of(client).FirstOrDefault(o => o.Owns(context))?.Handle
            ?? throw framework.Violation(WdfViolation.InvalidHandle, $"{framework.Function} of 0x{context:x}, which is no context");

    private ulong CreateMemory(FxClient client, ulong at, ulong size, ulong target, ulong buffer)
    {
        framework.NotNull(target, "Memory");
        if (size == 0) return NtStatus.InvalidParameter;
        if (size > MostMemory) return NtStatus.InsufficientResources;
        uint status = ObjectAttributes.Read(framework, at, AttributeRules.Any, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        var memory = new FxMemory(framework, client, ParentOf(client, attributes), attributes, size);
        framework.Machine.Guest.SetPointer(target, memory.Handle);
        if (buffer != 0) framework.Machine.Guest.SetPointer(buffer, memory.Buffer);
        return NtStatus.Success;
    }

    private ulong Buffer(FxMemory memory, ulong size)
    {
        if (size != 0) framework.Machine.Guest.SetPointer(size, memory.Size);
        return memory.Buffer;
    }

    /// <summary>Memory that is freed with its object; an access past its end faults.</summary>
    private sealed class FxMemory : FxObject
    {
        public FxMemory(KmdfFramework framework, FxClient client, FxObject? parent, ObjectAttributes? attributes, ulong size)
            : base(framework, client, "WDFMEMORY", parent, attributes)
            => (Size, Buffer) = (size, framework.Machine.AllocateKernel((int)size, "WDFMEMORY"));

        public ulong Size { get; }
        public ulong Buffer { get; }

        protected override void OnRelease() => Machine.FreeKernel(Buffer, "WDFMEMORY");
    }
}
