namespace Emulator.Time;

/// <summary>
/// Time as a device counts it, in nanoseconds since the function was created. It stands still during a turn, so that one
/// turn sees one time and a recorded session replays exactly.
/// </summary>
public interface IDeviceClock
{
    /// <summary>Nanoseconds since the function was created.</summary>
    long Now { get; }

    /// <summary>A timer that runs <paramref name="expired"/> on the device thread, in a turn of its own.</summary>
    IDeviceTimer CreateTimer(Action expired);
}

/// <summary>A one-shot timer. Arming it again moves its deadline.</summary>
public interface IDeviceTimer
{
    bool IsArmed { get; }

    /// <summary>Expires once, <paramref name="delayNanoseconds"/> from now; a negative delay counts as zero.</summary>
    void Arm(long delayNanoseconds);
    void Cancel();
}
