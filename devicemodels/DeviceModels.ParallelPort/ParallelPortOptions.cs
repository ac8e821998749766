namespace DeviceModels.ParallelPort;

/// <summary>Which card it is.</summary>
/// <param name="Ecp">With the ECP block in BAR1, and the identity of a card that has one.</param>
/// <param name="Interrupt">
/// Whether INTA is wired, as it is on the real cards. Without it a system's driver polls. A driver whose interrupt handler
/// touches no register, as that of Linux, must poll under a QEMU without KVM: there the line falls at the next access to a
/// BAR only, and without one the guest would be interrupted for ever.
/// </param>
public sealed record ParallelPortOptions(bool Ecp = false, bool Interrupt = true);
