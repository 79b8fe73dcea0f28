using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Boot;

public sealed unsafe class MultibootLoaderTests
{
    private static BootFile Kernel(byte[] image) => new("/images/kernel 1", image);

    private static BootFailure Fails(byte[] image)
    {
        using var bench = new BootBench();
        return Assert.Throws<BootException>(() => BootLoader.Load(new BootRequest(Kernel(image)), bench.Target)).Failure;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LoadsElfAndEntersAsTheSpecificationSays(bool is64)
    {
        using var bench = new BootBench();
        byte[] image = Images.Elf(is64, multiboot: true);
        bench.Memory.Write(0x10_0100, (ReadOnlySpan<byte>)[1, 2, 3]);
        BootPlan plan = BootLoader.Load(new BootRequest(Kernel(image)) { CommandLine = "a=b" }, bench.Target);

        Assert.Equal(BootFormat.Multiboot, plan.Format);
        CpuState* s = bench.State;
        Assert.Equal(0x2BAD_B002UL, s->Rax);
        Assert.Equal(0x10_0010UL, s->Rip);
        Assert.Equal(Cr0.Pe | Cr0.Et, s->Cr0);
        Assert.True(bench.Memory.A20);
        Assert.Equal(image[0x1000..0x1100], bench.Read(0x10_0000, 0x100));
        Assert.Equal(new byte[0x300], bench.Read(0x10_0100, 0x300));
        Assert.Equal("kernel_1 a=b", bench.Text(bench.Memory.Read<uint>(s->Rbx + 16)));
        Assert.Equal("X86Virt", bench.Text(bench.Memory.Read<uint>(s->Rbx + 64)));
    }

    [Fact]
    public void ReportsMemory()
    {
        using var bench = new BootBench();
        BootLoader.Load(new BootRequest(Kernel(Images.Elf(false, multiboot: true))), bench.Target);
        ulong info = bench.State->Rbx;
        Assert.Equal((uint)(BootBench.LowRam >> 10), bench.Memory.Read<uint>(info + 4));
        Assert.Equal(63u << 10, bench.Memory.Read<uint>(info + 8));
        Assert.Equal(4u * 24, bench.Memory.Read<uint>(info + 44));
        uint map = bench.Memory.Read<uint>(info + 48);
        Assert.Equal(20u, bench.Memory.Read<uint>(map + 72));
        Assert.Equal(0x10_0000UL, bench.Memory.Read<ulong>(map + 76));
        Assert.Equal(63UL << 20, bench.Memory.Read<ulong>(map + 84));
        Assert.Equal(1u, bench.Memory.Read<uint>(map + 92));
    }

    [Fact]
    public void PassesModulesAlignedToPagesWithTheInitialRamDiskFirst()
    {
        using var bench = new BootBench();
        BootLoader.Load(new BootRequest(Kernel(Images.Elf(false, multiboot: true)))
        {
            InitialRamDisk = new("ramdisk", new byte[] { 1, 2, 3 }),
            Modules = [new BootModule(new("/x/second", new byte[] { 4, 5 }), "arg")],
        }, bench.Target);
        ulong info = bench.State->Rbx;
        Assert.Equal(2u, bench.Memory.Read<uint>(info + 20));
        uint table = bench.Memory.Read<uint>(info + 24);
        uint first = bench.Memory.Read<uint>(table), second = bench.Memory.Read<uint>(table + 16);
        Assert.Equal(0u, (first | second) & 0xFFF);
        Assert.Equal(first + 3, bench.Memory.Read<uint>(table + 4));
        Assert.Equal([1, 2, 3], bench.Read(first, 3));
        Assert.Equal([4, 5], bench.Read(second, 2));
        Assert.Equal("ramdisk", bench.Text(bench.Memory.Read<uint>(table + 8)));
        Assert.Equal("second arg", bench.Text(bench.Memory.Read<uint>(table + 24)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LoadsTheStringTableForTheKernelsSymbols(bool is64)
    {
        using var bench = new BootBench();
        BootLoader.Load(new BootRequest(Kernel(Images.Elf(is64, multiboot: true))), bench.Target);
        ulong info = bench.State->Rbx;
        Assert.NotEqual(0u, bench.Memory.Read<uint>(info) & (1 << 5));
        Assert.Equal(2u, bench.Memory.Read<uint>(info + 28));
        ulong section = bench.Memory.Read<uint>(info + 36) + (is64 ? 64UL : 40UL);
        ulong strings = is64 ? bench.Memory.Read<ulong>(section + 16) : bench.Memory.Read<uint>(section + 12);
        Assert.Equal("\0strtab\0"u8.ToArray(), bench.Read(strings, 8));
    }

    [Fact]
    public void LoadsByTheAddressesInTheHeader()
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(new BootRequest(Kernel(Images.MultibootByAddress())), bench.Target);
        Assert.Equal(0x20_0100UL, plan.EntryPoint);
        Assert.Equal(0xF4, bench.Memory.Read<byte>(0x20_0100));
        Assert.Equal(0x1BAD_B002u, bench.Memory.Read<uint>(0x20_0020));
        Assert.Equal(0x800UL, plan.Ranges.Single(r => r.Address == 0x20_0000).Length);
    }

    [Fact]
    public void RefusesWhatItCannotLoad()
    {
        byte[] image = Images.Elf(false, multiboot: true);
        Images.WriteMultiboot(image, 0x200, 8);
        Assert.Equal(BootFailure.Unsupported, Fails(image));
        Assert.Equal(BootFailure.TooLarge, Fails(Images.Elf(false, multiboot: true, physical: 0xB_8000)));
        byte[] entry = Images.MultibootByAddress();
        Images.Put32(entry, 0x5C, 0x30_0000);
        Assert.Equal(BootFailure.Invalid, Fails(entry));
        byte[] early = Images.MultibootByAddress();
        Images.Put32(early, 0x50, 0x10_0000);
        Assert.Equal(BootFailure.Invalid, Fails(early));
        Assert.Equal(BootFailure.Truncated, Fails(Images.Elf(true, multiboot: true)[..0x1080]));
    }

    [Fact]
    public void EntersAPvhKernelThroughItsNote()
    {
        using var bench = new BootBench();
        BootPlan plan = BootLoader.Load(new BootRequest(new("vmlinux", Images.Elf(true, pvh: true)))
        {
            CommandLine = "quiet",
            InitialRamDisk = new("initrd", new byte[] { 9, 8 }),
        }, bench.Target);
        Assert.Equal(BootFormat.Pvh, plan.Format);
        Assert.Equal(0x10_0020UL, bench.State->Rip);
        ulong info = bench.State->Rbx;
        Assert.Equal(0x336E_C578u, bench.Memory.Read<uint>(info));
        Assert.Equal("quiet", bench.Text(bench.Memory.Read<ulong>(info + 24)));
        Assert.Equal(0xF_0010UL, bench.Memory.Read<ulong>(info + 32));
        Assert.Equal(4u, bench.Memory.Read<uint>(info + 48));
        ulong modules = bench.Memory.Read<ulong>(info + 16);
        Assert.Equal([9, 8], bench.Read(bench.Memory.Read<ulong>(modules), 2));
    }
}
