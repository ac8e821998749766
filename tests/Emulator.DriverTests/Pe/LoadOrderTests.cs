using Emulator.DriverBench.Pe;

namespace Emulator.DriverTests.Pe;

/// <summary>In which order images are loaded that import from each other.</summary>
[Category("Unit")]
internal sealed class LoadOrderTests
{
    [Test]
    public void Who_is_imported_from_comes_first_and_the_rest_stays_in_order()
    {
        PeImage top = Image("top.sys", "middle.sys"), middle = Image("Middle.sys", "BOTTOM.SYS"), bottom = Image("bottom.sys"), other = Image("other.sys");
        Assert.That(LoadOrder.Of([other, top, middle, bottom]), Is.EqualTo(new[] { other, bottom, middle, top }));
        Assert.That(LoadOrder.Of([bottom, middle, top, other]), Is.EqualTo(new[] { bottom, middle, top, other }));
    }

    [Test]
    public void One_that_imports_from_itself_is_none_of_its_own_circle()
    {
        PeImage alone = Image("alone.sys", "alone.sys");
        Assert.That(LoadOrder.Of([alone]), Is.EqualTo(new[] { alone }));
    }

    [Test]
    public void A_circle_is_refused_with_its_members()
        => Assert.That(() => LoadOrder.Of([Image("outside.sys", "a.sys"), Image("a.sys", "b.sys"), Image("b.sys", "c.sys"), Image("c.sys", "a.sys")]),
            Throws.TypeOf<PeException>().With.Message.EqualTo("a.sys: imports from itself by way of others: a.sys, b.sys, c.sys"));

    [Test]
    public void A_name_that_is_there_twice_is_refused()
        => Assert.That(() => LoadOrder.Of([Image("a.sys"), Image("A.SYS")]), Throws.TypeOf<PeException>().With.Message.Contains("is named twice"));

    private static PeImage Image(string name, params string[] modules)
    {
        var builder = new PeFileBuilder(is64: true);
        if (modules.Length > 0) builder.AddImports(modules[0], "Function");
        PeImage image = PeImage.Parse(builder.Build(), name);
        Assert.That(image.ImportedModules, Is.EqualTo(modules));
        return image;
    }
}
