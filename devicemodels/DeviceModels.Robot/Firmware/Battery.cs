namespace DeviceModels.Robot.Firmware;

/// <summary>
/// A battery that loses power times time, exactly: charge is counted in picojoules, which is milliwatts times nanoseconds.
/// </summary>
internal sealed class Battery(int capacityMilliwattHours)
{
    private const long PicojoulesPerMilliwattHour = 3_600_000_000_000;

    // The highest capacity, 100 Wh, is 3.6e17 pJ.
    private readonly long _capacity = capacityMilliwattHours * PicojoulesPerMilliwattHour;
    private long _charge, _settled, _low, _critical;

    /// <summary>Milliwatts drawn since the last change.</summary>
    public int Power { get; private set; }

    public BatteryLevel Level { get; private set; }

    /// <summary>Sets the charge, in parts of <paramref name="scale"/>.</summary>
    public void SetCharge(int level, int scale, long now)
    {
        (_charge, _settled) = (Part(level, scale), now);
        Level = LevelNow();
    }

    public void SetThresholds(int low, int critical, int scale)
    {
        (_low, _critical) = (Part(low, scale), Part(critical, scale));
        Level = LevelNow();
    }

    /// <summary>What is drawn from now on.</summary>
    public void SetPower(int milliwatts, long now)
    {
        Settle(now);
        Power = milliwatts;
    }

    /// <summary>Takes what was drawn until now.</summary>
    public void Settle(long now)
    {
        _charge = ChargeAt(now);
        _settled = now;
        Level = LevelNow();
    }

    /// <summary>When the charge reaches the next threshold, or the far future.</summary>
    public long NextChange()
    {
        long threshold = Math.Max(Below(_low), Math.Max(Below(_critical), Below(0)));
        if (threshold < 0 || Power == 0) return long.MaxValue;
        long left = _charge - threshold;
        return _settled + (left / Power) + (left % Power == 0 ? 0 : 1);
    }

    /// <summary>The charge in parts of <paramref name="scale"/>, rounded up: 0 means empty.</summary>
    public int Read(int scale, long now) => (int)((((Int128)ChargeAt(now) * scale) + _capacity - 1) / _capacity);

    private long Below(long threshold) => threshold < _charge ? threshold : -1;

    private long ChargeAt(long now)
    {
        // Longer than a full battery lasts need not be multiplied.
        long elapsed = Math.Min(now - _settled, Power == 0 ? 0 : (_charge / Power) + 1);
        return Math.Max(0, _charge - (elapsed * Power));
    }

    private long Part(int level, int scale) => (long)((Int128)_capacity * Math.Min(level, scale) / scale);

    private BatteryLevel LevelNow()
        => _charge == 0 ? BatteryLevel.Empty
            : _charge <= _critical ? BatteryLevel.Critical
            : _charge <= _low ? BatteryLevel.Low
            : BatteryLevel.Normal;
}
