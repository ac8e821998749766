using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>Hands every event to several observers, in order: a recording and a live view, say.</summary>
public sealed class ObserverTee : IDeviceObserver
{
    private readonly IDeviceObserver[] _observers;

    public ObserverTee(params IDeviceObserver[] observers) => _observers = [.. observers];

    /// <summary>The one observer of several that may be absent: null for none, the observer itself for one, a tee for more.</summary>
    public static IDeviceObserver? Of(params IDeviceObserver?[] observers)
    {
        IDeviceObserver[] present = [.. observers.OfType<IDeviceObserver>()];
        return present.Length switch
        {
            0 => null,
            1 => present[0],
            _ => new ObserverTee(present),
        };
    }

    public void OnEvent(in DeviceEvent deviceEvent)
    {
        foreach (IDeviceObserver observer in _observers) observer.OnEvent(deviceEvent);
    }

    public void OnCode(int number, CodePlace place)
    {
        foreach (IDeviceObserver observer in _observers) observer.OnCode(number, place);
    }

    public void OnRemark(long time, string text)
    {
        foreach (IDeviceObserver observer in _observers) observer.OnRemark(time, text);
    }
}
