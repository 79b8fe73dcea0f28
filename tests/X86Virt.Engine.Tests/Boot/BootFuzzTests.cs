using X86Virt.Engine.Boot;
using Xunit;

namespace X86Virt.Engine.Tests.Boot;

/// <summary>Whatever the bytes of an image are: it loads, or a <see cref="BootException"/> says why not.</summary>
public sealed class BootFuzzTests
{
    private const int Rounds = 3000;

    public static TheoryData<string> Kinds => ["linux", "zimage", "elf32", "elf64", "multiboot32", "multiboot64", "address", "pvh"];

    private static byte[] Make(string kind) => kind switch
    {
        "linux" => Images.BzImage(),
        "zimage" => Images.BzImage(0x200, high: false),
        "elf32" => Images.Elf(false),
        "elf64" => Images.Elf(true),
        "multiboot32" => Images.Elf(false, multiboot: true),
        "multiboot64" => Images.Elf(true, multiboot: true),
        "address" => Images.MultibootByAddress(),
        _ => Images.Elf(true, pvh: true),
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void MutatedImagesLoadOrAreRefused(string kind)
    {
        var random = new Random(2006);
        using var bench = new BootBench(32);
        int loaded = 0, refused = 0;
        for (int i = 0; i < Rounds; i++)
        {
            byte[] image = Mutate(Make(kind), random);
            var request = new BootRequest(new BootFile("mutant", image)) { CommandLine = "x", InitialRamDisk = kind.StartsWith("elf", StringComparison.Ordinal) ? null : new("initrd", new byte[0x2000]) };
            try
            {
                BootPlan plan = BootLoader.Load(request, bench.Target);
                Assert.All(plan.Ranges, r => Assert.True(r.Address + r.Length <= 32 << 20));
                loaded++;
            }
            catch (BootException e)
            {
                Assert.Matches(@"^(mutant|initrd): .+\. .+\.$", e.Message);
                refused++;
            }
        }
        Assert.True(loaded > 0 && refused > 0, $"{loaded} loaded and {refused} refused: the mutations do not try both");
    }

    /// <summary>Cuts the image short or writes telling values over a few header bytes.</summary>
    private static byte[] Mutate(byte[] image, Random random)
    {
        ReadOnlySpan<long> telling = [0, 1, -1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_F000, 0x10_0000, long.MinValue, long.MaxValue];
        if (random.Next(4) == 0)
            return image[..random.Next(1, image.Length)];
        int header = Math.Min(image.Length, 0x300) - 8;
        for (int n = random.Next(1, 4); n > 0; n--)
        {
            int at = random.Next(8) == 0 ? random.Next(image.Length - 8) : random.Next(header);
            long value = random.Next(2) == 0 ? telling[random.Next(telling.Length)] : random.NextInt64();
            int size = 1 << random.Next(4);
            BitConverter.GetBytes(value).AsSpan(0, size).CopyTo(image.AsSpan(at & -size));
        }
        return image;
    }
}
