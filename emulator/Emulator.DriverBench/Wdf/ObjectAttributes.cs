using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDF_EXECUTION_LEVEL.</summary>
internal enum ExecutionLevel
{
    Inherit = 1,
    Passive,
    Dispatch,
}

/// <summary>WDF_SYNCHRONIZATION_SCOPE.</summary>
internal enum SynchronizationScope
{
    Inherit = 1,
    Device,
    Queue,
    None,
}

/// <summary>What attributes may say of an object.</summary>
[Flags]
internal enum AttributeRules
{
    Any = 0,
    NoParent = 1,
    Levels = 2,
    Required = 4,

    /// <summary>Of the levels the execution level alone.</summary>
    Level = 8,
}

/// <summary>A WDF_OBJECT_ATTRIBUTES that was checked.</summary>
internal sealed record ObjectAttributes(ulong Cleanup, ulong Destroy, ExecutionLevel Level, SynchronizationScope Scope, ulong Parent,
    ulong ContextType, ulong ContextSize, string ContextName)
{
    private const ulong MostContext = 1 << 20;
    /// <summary>STATUS_WDF_OBJECT_ATTRIBUTES_INVALID.</summary>
    public const uint Invalid = 0xC020_0209;

    /// <summary>STATUS_WDF_PARENT_NOT_SPECIFIED.</summary>
    public const uint NoParent = 0xC020_0212;

    private const uint ParentNotAllowed = 0xC020_020F, ScopeInvalid = 0xC020_0210, LevelInvalid = 0xC020_0211;

    /// <summary>Reads them as FxValidateObjectAttributes does (wdfstatus.h has its answers).</summary>
    /// <param name="at">NULL when the driver gives none.</param>
    public static uint Read(KmdfFramework framework, ulong at, AttributeRules rules, out ObjectAttributes? attributes)
    {
        attributes = null;
        if (at == 0) return (rules & AttributeRules.Required) != 0 ? NoParent : NtStatus.Success;
        var reader = new StructReader(framework.Machine, at);
        uint size = reader.U32();
        ulong cleanup = reader.Pointer(), destroy = reader.Pointer();
        uint level = reader.U32(), scope = reader.U32();
        ulong parent = reader.Pointer(), largerSize = reader.Pointer(), type = reader.Pointer(), contextSize = 0;
        string name = "";
        if (size != reader.Size) return framework.WrongSize("WDF_OBJECT_ATTRIBUTES", size, reader.Size);
        if (type != 0)
        {
            var info = new StructReader(framework.Machine, type);
            uint typeSize = info.U32();
            ulong nameAt = info.Pointer();
            contextSize = info.Pointer();
            // UniqueType; what 1.0 had not: EvtDriverGetUniqueContextType.
            info.Pointer();
            uint oldSize = info.Size;
            info.Pointer();
            if (typeSize != info.Size && typeSize != oldSize) return framework.WrongSize("WDF_OBJECT_CONTEXT_TYPE_INFO", typeSize, info.Size);
            if (contextSize > 0 && nameAt == 0) return Invalid;
            name = nameAt == 0 ? "" : framework.Machine.Space.ReadString8(nameAt) ?? "";
        }
        if (largerSize > 0 && (type == 0 || largerSize < contextSize)) return Invalid;
        if (parent != 0 && (rules & AttributeRules.NoParent) != 0) return ParentNotAllowed;
        if (level is < 1 or > 3 || scope is < 1 or > 4) return Invalid;
        bool isScoped = (SynchronizationScope)scope is not (SynchronizationScope.Inherit or SynchronizationScope.None);
        if (isScoped && (rules & AttributeRules.Levels) == 0) return ScopeInvalid;
        if ((ExecutionLevel)level != ExecutionLevel.Inherit && (rules & (AttributeRules.Levels | AttributeRules.Level)) == 0) return LevelInvalid;
        if (Math.Max(largerSize, contextSize) > MostContext) return NtStatus.InsufficientResources;
        attributes = new ObjectAttributes(cleanup, destroy, (ExecutionLevel)level, (SynchronizationScope)scope, parent, type,
            Math.Max(largerSize, contextSize), name);
        return NtStatus.Success;
    }
}
