namespace Emulator.DriverBench.Kernel;

/// <summary>A driver needs a function of NT that the bench lacks. The machine is of no further use.</summary>
public sealed class MissingFunctionException(string message) : Exception(message);
