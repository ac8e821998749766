namespace Emulator.DriverBench.Pe;

/// <summary>The order in which NT loads drivers that import from each other.</summary>
public static class LoadOrder
{
    /// <summary>Puts every image behind those it imports from, and leaves the order alone otherwise.</summary>
    /// <exception cref="PeException">Two images have one name, or some import from each other in a circle.</exception>
    public static IReadOnlyList<PeImage> Of(IReadOnlyList<PeImage> images)
    {
        ArgumentNullException.ThrowIfNull(images);
        var byName = new Dictionary<string, PeImage>(StringComparer.OrdinalIgnoreCase);
        foreach (PeImage image in images)
        {
            if (!byName.TryAdd(image.Name, image)) throw new PeException(image.Name, "is named twice; a module is loaded once");
        }
        var order = new List<PeImage>();
        var waiting = new List<PeImage>();
        foreach (PeImage image in images) Add(image);
        return order;

        void Add(PeImage image)
        {
            if (order.Contains(image)) return;
            if (waiting.Contains(image))
            {
                string circle = string.Join(", ", waiting.SkipWhile(w => w != image).Select(w => w.Name));
                throw new PeException(image.Name, $"imports from itself by way of others: {circle}");
            }
            waiting.Add(image);
            foreach (string module in image.ImportedModules)
            {
                if (byName.TryGetValue(module, out PeImage? other) && other != image) Add(other);
            }
            waiting.Remove(image);
            order.Add(image);
        }
    }
}
