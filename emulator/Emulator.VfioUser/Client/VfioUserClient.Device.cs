using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Client;

/// <content>Commands about the device as a whole.</content>
public sealed partial class VfioUserClient
{
    /// <summary>DEVICE_GET_INFO.</summary>
    public DeviceInfo GetDeviceInfo()
    {
        lock (_gate)
        {
            return Exchange<DeviceInfo>(Command.DeviceGetInfo, new DeviceInfo(DeviceInfo.Size, DeviceInfoFlags.None, 0, 0));
        }
    }

    /// <summary>DEVICE_RESET.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            Span<byte> head = stackalloc byte[MessageHeader.HeaderSize];
            Complete(Send(Command.DeviceReset, head, default, default), Command.DeviceReset);
        }
    }

    /// <summary>
    /// DEVICE_FEATURE, in full: <paramref name="flags"/> has the method and the feature's index. Returns the data of the reply, which for GET is at
    /// most <paramref name="room"/> bytes.
    /// </summary>
    public byte[] DeviceFeature(DeviceFeatureFlags flags, ReadOnlySpan<byte> data = default, int room = 0)
    {
        byte[] payload = new byte[Protocol.DeviceFeature.Size + data.Length];
        new DeviceFeature((uint)(Protocol.DeviceFeature.Size + Math.Max(room, data.Length)), flags).Write(payload);
        data.CopyTo(payload.AsSpan(Protocol.DeviceFeature.Size));
        using VfioUserMessage reply = Call(Command.DeviceFeature, payload);
        if (!Protocol.DeviceFeature.TryRead(reply.Payload, out _))
        {
            throw WrongLength(Command.DeviceFeature, reply.Payload.Length);
        }
        return reply.Payload[Protocol.DeviceFeature.Size..].ToArray();
    }
}
