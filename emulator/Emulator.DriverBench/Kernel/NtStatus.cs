namespace Emulator.DriverBench.Kernel;

/// <summary>The NTSTATUS values that the bench gives or looks for (ntstatus.h).</summary>
public static class NtStatus
{
    public const uint Success = 0, Timeout = 0x102, Pending = 0x103, ObjectNameExists = 0x4000_0000, InvalidParameter = 0xC000_000D, NoSuchDevice = 0xC000_000E,
        InvalidDeviceRequest = 0xC000_0010, MoreProcessingRequired = 0xC000_0016, ObjectNameNotFound = 0xC000_0034,
        ObjectNameCollision = 0xC000_0035, DeletePending = 0xC000_0056, InsufficientResources = 0xC000_009A, NotSupported = 0xC000_00BB,
        InfoLengthMismatch = 0xC000_0004, BufferTooSmall = 0xC000_0023, InvalidParameter4 = 0xC000_00F2, ObjectNameInvalid = 0xC000_0033,
        DeviceNotConnected = 0xC000_009D, DevicePowerFailure = 0xC000_009E, InvalidDeviceState = 0xC000_0184, DriverInternalError = 0xC000_0183,
        Unsuccessful = 0xC000_0001, Cancelled = 0xC000_0120, DeviceNotReady = 0xC000_00A3, DeviceBusy = 0x8000_0011;

    public const uint AccessViolation = 0xC000_0005, DatatypeMisalignment = 0x8000_0002, Breakpoint = 0x8000_0003, IllegalInstruction = 0xC000_001D,
        Unwind = 0xC000_0027, BadStack = 0xC000_0028, IntegerDivideByZero = 0xC000_0094, IntegerOverflow = 0xC000_0095, AssertionFailure = 0xC000_0420;

    public const uint InvalidHandle = 0xC000_0008, BufferOverflow = 0x8000_0005;

    /// <summary>NT_SUCCESS.</summary>
    public static bool IsSuccess(uint status) => (int)status >= 0;
}

/// <summary>The requests of a device's life (wdm.h).</summary>
public static class Irp
{
    public const byte Create = 0, Close = 2, Read = 3, Write = 4, DeviceControl = 14, InternalDeviceControl = 15, Cleanup = 18, Power = 22,
        SystemControl = 23, Pnp = 27;

    public const byte StartDevice = 0, QueryRemove = 1, Remove = 2, CancelRemove = 3, Stop = 4, QueryStop = 5, CancelStop = 6,
        QueryDeviceRelations = 7, QueryInterface = 8, QueryCapabilities = 9, FilterResourceRequirements = 0x0D, QueryId = 0x13, QueryDeviceState = 0x14,
        SurpriseRemoval = 0x17;

    public const byte SetPower = 2, QueryPower = 3;
}

/// <summary>Interrupt request levels; DIRQL is the bench's own choice.</summary>
public static class Irql
{
    public const byte Passive = 0, Apc = 1, Dispatch = 2, Device = 8, High = 15;
}
