namespace Emulator.VfioUser.Protocol;

/// <summary>The version implemented here, and the values the specification fixes or defaults to.</summary>
public static class ProtocolLimits
{
    /// <summary>Major version: both sides must agree.</summary>
    public const ushort MajorVersion = 0;
    /// <summary>Highest minor version known here (2 brought DEVICE_FEATURE and migration data); the lower of both sides counts.</summary>
    public const ushort MinorVersion = 2;
    /// <summary>max_data_xfer_size when a peer names none, in bytes.</summary>
    public const int DefaultMaxDataTransferSize = 1024 * 1024;
    /// <summary>Largest max_data_xfer_size that QEMU accepts, in bytes; the largest offered or honoured here.</summary>
    public const int MaximumMaxDataTransferSize = 64 * 1024 * 1024;
    /// <summary>max_msg_fds when a peer names none.</summary>
    public const int DefaultMaxMessageFds = 1;
    /// <summary>max_dma_maps when a peer names none.</summary>
    public const int DefaultMaxDmaMaps = 65535;
    /// <summary>pgsizes when a peer names none: 4 KiB pages only.</summary>
    public const ulong DefaultPageSizes = 4096;
    /// <summary>Most descriptors Linux carries in one message (SCM_MAX_FD).</summary>
    public const int KernelMaxMessageFds = 253;
}
