using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Boot;

public sealed unsafe class LinuxLoaderTests
{
    private static BootFile Kernel(byte[] image) => new("vmlinuz", image);

    private static BootException Fails(byte[] image, Func<BootRequest, BootRequest>? change = null, ulong mebibytes = 64)
    {
        using var bench = new BootBench(mebibytes);
        BootRequest request = new(Kernel(image));
        return Assert.Throws<BootException>(() => BootLoader.Load(change?.Invoke(request) ?? request, bench.Target));
    }

    [Fact]
    public void EntersA64BitKernelInLongModeWithPagingOn()
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(new BootRequest(Kernel(Images.BzImage())) { CommandLine = "console=ttyS0" }, bench.Target);

        Assert.Equal(BootFormat.Linux, plan.Format);
        Assert.Equal(BootMode.Long, plan.Mode);
        Assert.Equal("Linux, boot protocol 2.15, 6.1.0-test", plan.Description);
        CpuState* s = bench.State;
        Assert.Equal(0x10_0200UL, s->Rip);
        Assert.Equal(0x9_0000UL, s->Rsi);
        Assert.Equal(CodeMode.Code64, s->Mode & CodeMode.SizeMask);
        Assert.Equal(Cr0.Pg | Cr0.Pe | Cr0.Et, s->Cr0);
        Assert.Equal(0x10, CpuState.Seg(s, Segment.Cs)->Selector);
        Assert.Equal(0x18, CpuState.Seg(s, Segment.Ss)->Selector);
        Assert.Equal(2u, s->SystemFlags);
        Assert.Equal(0x10_0000UL, Walk(bench, 0x10_0000));
        Assert.Equal(0xFFFF_F000UL, Walk(bench, 0xFFFF_F000));
    }

    /// <summary>Where the page tables in guest memory take a linear address.</summary>
    private static ulong Walk(BootBench bench, ulong linear)
    {
        ulong table = bench.State->Cr3;
        foreach (int shift in (int[])[39, 30])
            table = bench.Memory.Read<ulong>(table + ((linear >> shift) & 511) * 8) & ~0xFFFUL;
        ulong large = bench.Memory.Read<ulong>(table + ((linear >> 21) & 511) * 8);
        Assert.Equal(0x83UL, large & 0xFFF);
        return (large & ~0xFFFUL) | (linear & 0x1F_FFFF);
    }

    [Fact]
    public void EntersInProtectedModeOnRequestOrWithoutA64BitEntry()
    {
        byte[] kernel32 = Images.BzImage();
        Images.Put16(kernel32, 0x236, 0);
        foreach ((byte[] image, BootMode mode) in new[] { (Images.BzImage(), BootMode.Protected), (kernel32, BootMode.Auto) })
        {
            using var bench = new BootBench();
            BootPlan plan = BootLoader.Load(new BootRequest(Kernel(image)) { Mode = mode }, bench.Target);
            CpuState* s = bench.State;
            Assert.Equal(BootMode.Protected, plan.Mode);
            Assert.Equal(0x10_0000UL, s->Rip);
            Assert.Equal(CodeMode.Code32 | CodeMode.Flat | CodeMode.Stack32, s->Mode);
            Assert.Equal(0UL, s->Rbx | s->Rbp | s->Rdi | s->Efer);
            ulong code = bench.Memory.Read<ulong>(s->Gdtr.Base + 0x10);
            Assert.Equal(0x00CF_9B00_0000_FFFFUL, code);
        }
    }

    [Fact]
    public void CopiesTheCodeAndFillsTheParameters()
    {
        using var bench = new BootBench();
        byte[] image = Images.BzImage();
        byte[] disk = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 7))];
        var target = bench.Target with { HasTextDisplay = true };
        BootLoader.Load(new BootRequest(Kernel(image)) { CommandLine = "quiet x=1", InitialRamDisk = new("initrd", disk) }, target);

        Assert.Equal(image[(3 * 512)..], bench.Read(0x10_0000, 0x1000));
        Assert.Equal("quiet x=1", bench.Text(bench.Memory.Read<uint>(0x9_0228)));
        Assert.Equal(0xFF, bench.Memory.Read<byte>(0x9_0210));
        Assert.Equal(0xF_0010UL, bench.Memory.Read<ulong>(0x9_0070));
        Assert.Equal(80, bench.Memory.Read<byte>(0x9_0007));
        ulong at = bench.Memory.Read<uint>(0x9_0218);
        Assert.Equal((64UL << 20) - 0x2000, at);
        Assert.Equal((uint)disk.Length, bench.Memory.Read<uint>(0x9_021C));
        Assert.Equal(disk, bench.Read(at, disk.Length));
        Assert.Equal(4, bench.Memory.Read<byte>(0x9_01E8));
        Assert.Equal(BootBench.LowRam, bench.Memory.Read<ulong>(0x9_02D8));
        Assert.Equal(2u, bench.Memory.Read<uint>(0x9_02D0 + 20 + 16));
    }

    [Fact]
    public void KeepsTheInitialRamDiskBelowTheKernelsLimit()
    {
        byte[] image = Images.BzImage();
        Images.Put32(image, 0x22C, 0x1FF_FFFF);
        using var bench = new BootBench();
        BootLoader.Load(new BootRequest(Kernel(image)) { InitialRamDisk = new("initrd", new byte[100]) }, bench.Target);
        Assert.Equal(0x1FF_F000u, bench.Memory.Read<uint>(0x9_0218));
    }

    [Fact]
    public void LoadsAnOldZImageLowAndPassesTheCommandLineTheOldWay()
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(new BootRequest(Kernel(Images.BzImage(0x200, high: false))) { CommandLine = "root=1" }, bench.Target);
        Assert.Equal(0x1000UL, plan.EntryPoint);
        Assert.Equal(0xA33F, bench.Memory.Read<ushort>(0x9_0020));
        Assert.Equal("root=1", bench.Text(0x9_0000UL + bench.Memory.Read<ushort>(0x9_0022)));
    }

    [Fact]
    public void LoadsAGzippedImage()
    {
        using var packed = new MemoryStream();
        using (var gzip = new System.IO.Compression.GZipStream(packed, System.IO.Compression.CompressionMode.Compress, leaveOpen: true))
            gzip.Write(Images.BzImage());
        using var bench = new BootBench();
        Assert.Equal(BootFormat.Linux, BootLoader.Load(new BootRequest(Kernel(packed.ToArray())), bench.Target).Format);
        Assert.Equal(BootFailure.Invalid, Fails([0x1F, 0x8B, .. new byte[40]]).Failure);
    }

    [Fact]
    public void RefusesAProtocolBefore200()
    {
        BootException e = Fails(Images.BzImage(0x105));
        Assert.Equal(BootFailure.Unsupported, e.Failure);
        Assert.Contains("1.05", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x206)]
    [InlineData(0x230)]
    [InlineData(0x5FF)]
    [InlineData(0x1000)]
    public void RefusesATruncatedImage(int length)
    {
        BootException e = Fails(Images.BzImage()[..length]);
        Assert.Equal(BootFailure.Truncated, e.Failure);
        Assert.Contains("vmlinuz", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RefusesWhatMemoryDoesNotHold()
    {
        byte[] huge = Images.BzImage();
        Images.Put32(huge, 0x260, 0x7000_0000);
        Assert.Equal(BootFailure.TooLarge, Fails(huge).Failure);
        Assert.Equal(BootFailure.TooLarge, Fails(Images.BzImage(), mebibytes: 16).Failure);
        Assert.Equal(BootFailure.TooLarge, Fails(Images.BzImage(), r => r with { InitialRamDisk = new("initrd", new byte[60 << 20]) }).Failure);
        Assert.Equal(BootFailure.TooLarge, Fails(Images.BzImage(), r => r with { CommandLine = new string('x', 2048) }).Failure);
    }

    [Fact]
    public void RefusesFieldsThatCannotBeRight()
    {
        byte[] alignment = Images.BzImage();
        Images.Put32(alignment, 0x230, 3);
        Assert.Equal(BootFailure.Invalid, Fails(alignment).Failure);
        byte[] preferred = Images.BzImage();
        Images.Put64(preferred, 0x258, ulong.MaxValue);
        Assert.Equal(BootFailure.Unsupported, Fails(preferred).Failure);
        Assert.Equal(BootFailure.Invalid, Fails(Images.BzImage(), r => r with { CommandLine = "a\nb" }).Failure);
        Assert.Equal(BootFailure.Unsupported, Fails(Images.BzImage(), r => r with { Mode = BootMode.Real }).Failure);
    }
}
