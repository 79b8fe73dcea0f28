using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Boot;

public sealed unsafe class FlatLoaderTests
{
    private static readonly byte[] Code = [0x90, 0x90, 0xF4];

    private static BootRequest Flat(BootMode mode = BootMode.Auto, ulong? address = null) => new(new BootFile("code.bin", Code)) { Format = BootFormat.Flat, Mode = mode, LoadAddress = address };

    [Fact]
    public void EntersRealModeLikeABootSectorByDefault()
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(Flat(), bench.Target);
        CpuState* s = bench.State;
        Assert.Equal((BootMode.Real, 0x7C00UL), (plan.Mode, plan.EntryPoint));
        Assert.Equal(0x7C00UL, CpuState.Seg(s, Segment.Cs)->Base + s->Rip);
        Assert.Equal(0x7C00UL, s->Rsp);
        Assert.Equal(CodeMode.Code16, s->Mode);
        Assert.Equal(Cr0.Et, s->Cr0);
        Assert.Equal(Code, bench.Read(0x7C00, 3));
    }

    [Fact]
    public void AnswersFirmwareServicesWithNotSupported()
    {
        using var bench = new BootBench();
        BootLoader.Load(Flat(), bench.Target);
        uint service = bench.Memory.Read<uint>(0x13 * 4);
        Assert.Equal(0x0000_0500u, service);
        Assert.Equal(0xCF, bench.Read(service, 11)[^1]);
        Assert.Equal(BootBench.LowRam >> 10, bench.Memory.Read<ushort>(0x413));
        Assert.Equal(BootBench.LowRam >> 4, bench.Memory.Read<ushort>(0x40E));
    }

    [Theory]
    [InlineData(0x2_3450UL)]
    [InlineData(0x8_0000UL)]
    public void ReachesHigherRealModeAddressesThroughTheCodeSegment(ulong address)
    {
        using var bench = new BootBench();
        BootLoader.Load(Flat(BootMode.Real, address), bench.Target);
        CpuState* s = bench.State;
        Assert.Equal(address, CpuState.Seg(s, Segment.Cs)->Base + s->Rip);
        Assert.Equal((ulong)CpuState.Seg(s, Segment.Cs)->Selector << 4, CpuState.Seg(s, Segment.Cs)->Base);
    }

    [Theory]
    [InlineData(BootMode.Protected, CodeMode.Code32)]
    [InlineData(BootMode.Long, CodeMode.Code64)]
    public void EntersFlatModesAtOneMebibyteWithAStack(BootMode mode, CodeMode expected)
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(Flat(mode), bench.Target);
        CpuState* s = bench.State;
        Assert.Equal(0x10_0000UL, s->Rip);
        Assert.Equal(expected, s->Mode & CodeMode.SizeMask);
        BootRange stack = plan.Ranges.Single(r => r.What == "stack");
        Assert.InRange(s->Rsp, stack.Address + stack.Length - 16, stack.Address + stack.Length - 1);
    }

    [Fact]
    public void KeepsItsTablesOffTheImage()
    {
        using var bench = new BootBench();
        byte[] image = new byte[0x9_0000];
        Array.Fill(image, (byte)0xCC);
        BootLoader.Load(new BootRequest(new BootFile("big.bin", image)) { Format = BootFormat.Flat, Mode = BootMode.Long, LoadAddress = 0x8000 }, bench.Target);
        Assert.Equal(image, bench.Read(0x8000, image.Length));
    }

    [Fact]
    public void TakesAnotherEntryPointInsideTheImageOnly()
    {
        using var bench = new BootBench();
        Assert.Equal(0x10_0002UL, BootLoader.Load(Flat(address: 0x10_0000) with { EntryPoint = 0x10_0002 }, bench.Target).EntryPoint);
        var e = Assert.Throws<BootException>(() => BootLoader.Load(Flat(address: 0x10_0000) with { EntryPoint = 0x10_0003 }, bench.Target));
        Assert.Equal(BootFailure.Invalid, e.Failure);
    }

    [Theory]
    [InlineData(0xA_0000UL)]
    [InlineData(0x400_0000UL)]
    [InlineData(0x3FF_FFFEUL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL)]
    public void RefusesAddressesWithoutRam(ulong address)
    {
        using var bench = new BootBench();
        var e = Assert.Throws<BootException>(() => BootLoader.Load(Flat(BootMode.Protected, address), bench.Target));
        Assert.Equal(BootFailure.TooLarge, e.Failure);
    }

    [Theory]
    [InlineData(false, BootMode.Protected)]
    [InlineData(true, BootMode.Long)]
    public void RunsElfProgramsInTheModeTheyAreMadeFor(bool is64, BootMode mode)
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(new BootRequest(new BootFile("program", Images.Elf(is64, linear: 0x10_0000))), bench.Target);
        Assert.Equal((BootFormat.Elf, mode, 0x10_0010UL), (plan.Format, plan.Mode, plan.EntryPoint));
    }

    [Fact]
    public void TellsUnknownImagesFromFlatBinaries()
    {
        using var bench = new BootBench();
        byte[] noise = new byte[40000];
        new Random(1).NextBytes(noise);
        var request = new BootRequest(new BootFile("noise", noise));
        Assert.Equal(BootFailure.Unrecognised, Assert.Throws<BootException>(() => BootLoader.Load(request, bench.Target)).Failure);
        Assert.Equal(BootFormat.Flat, BootLoader.Load(request with { LoadAddress = 0x8000 }, bench.Target).Format);
    }

    [Fact]
    public void RefusesAnAddressForAnImageThatHasItsOwn()
    {
        using var bench = new BootBench();
        var request = new BootRequest(new BootFile("program", Images.Elf(false, linear: 0x10_0000))) { LoadAddress = 0x20_0000 };
        Assert.Equal(BootFailure.Unsupported, Assert.Throws<BootException>(() => BootLoader.Load(request, bench.Target)).Failure);
        Assert.Equal(BootFormat.Flat, BootLoader.Load(request with { Format = BootFormat.Flat }, bench.Target).Format);
    }

    [Fact]
    public void SaysWhyAFileCannotBeRead()
    {
        string folder = Directory.CreateTempSubdirectory().FullName, path = Path.Combine(folder, "empty");
        File.WriteAllBytes(path, []);
        Assert.Equal(BootFailure.Empty, Assert.Throws<BootException>(() => BootFile.Read(path)).Failure);
        Assert.Equal(BootFailure.Unreadable, Assert.Throws<BootException>(() => BootFile.Read(folder)).Failure);
        Assert.Equal(BootFailure.Unreadable, Assert.Throws<BootException>(() => BootFile.Read(path + ".missing")).Failure);
        File.WriteAllBytes(path, [1, 2, 3, 4]);
        Assert.Equal(BootFailure.TooLarge, Assert.Throws<BootException>(() => BootFile.Read(path, 3)).Failure);
        Assert.Equal([1, 2, 3, 4], BootFile.Read(path, 4).Content.ToArray());
        Directory.Delete(folder, recursive: true);
    }
}
