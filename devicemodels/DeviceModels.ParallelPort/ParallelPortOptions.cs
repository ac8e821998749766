namespace DeviceModels.ParallelPort;

/// <summary>Which card it is.</summary>
/// <param name="Ecp">With the ECP block in BAR1, and the identity of a card that has one.</param>
public sealed record ParallelPortOptions(bool Ecp = false);
