using Emulator.Nt.Objects;

namespace Emulator.Nt.Views;

/// <summary>Tells PDO, FDO and filters apart. The PDO has a device node, and its service name is the function driver.</summary>
internal static class StackRoles
{
    private const int None = -1;

    public static string NameOf(DeviceRole role) => role switch
    {
        DeviceRole.Physical => "PDO",
        DeviceRole.Functional => "FDO",
        DeviceRole.Filter => "Filter DO",
        _ => "DO",
    };

    public static DeviceRole RoleOf(int index, IReadOnlyList<DeviceObject> stack, int function)
    {
        if (index == stack.Count - 1) return stack[index].DeviceNode.IsNull ? DeviceRole.Unknown : DeviceRole.Physical;
        return index == function ? DeviceRole.Functional : function == None ? DeviceRole.Unknown : DeviceRole.Filter;
    }

    /// <summary>The FDO's place in a stack, top first, and what says so; -1 and null when nothing does.</summary>
    public static (int Index, string? Basis) FindFunction(
        IReadOnlyList<DeviceObject> stack, IReadOnlyList<DriverObject?> drivers, IReadOnlyList<DriverHalves?> halves, DeviceNode? node)
    {
        // Without a device node the bottom is no PDO, so nothing above it is an FDO.
        if (stack.Count < 2 || node is null) return (None, null);
        int[] above = [.. Enumerable.Range(0, stack.Count - 1)];
        if (node.ServiceName is { Length: > 0 } service)
        {
            int[] named = [.. above.Where(i => drivers[i] is { } driver && IsService(driver, service))];
            if (named.Length == 1) return (named[0], "the device node's service name");
        }
        if (above.Length == 1) return (above[0], "the only device above the PDO");
        int[] pairs = [.. above.Where(i => halves[i] is { GeneralModules.Count: > 0 })];
        return pairs.Length == 1 ? (pairs[0], "the only driver pair above the PDO") : (None, null);
    }

    private static bool IsService(DriverObject driver, string service)
        => service.Equals(driver.ServiceKeyName, StringComparison.OrdinalIgnoreCase)
            || (driver.Name is { } name && name[(name.LastIndexOf('\\') + 1)..].Equals(service, StringComparison.OrdinalIgnoreCase));
}
