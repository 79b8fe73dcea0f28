using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.HostExecution;

public unsafe class AvxTests
{
    private const ulong Data = HostExecution.Data;

    private static bool HostHas(InstructionSets sets) => (HostFeatures.InstructionSets & sets) == sets;

    /// <summary>Maps low memory with 4 KiB pages, the one at <paramref name="absent"/> not present.</summary>
    private static void RemovePage(BareCpu cpu, ulong absent)
    {
        cpu.Memory.Write(0x2000, 0x3003UL);
        cpu.Memory.Write(0x3000, 0x4003UL);
        for (ulong i = 0; i < 256; i++)
            cpu.Memory.Write(0x4000 + i * 8, i << 12 == absent ? 0 : (i << 12) | 3);
        cpu.Cpu.FlushTlb(keepGlobal: false);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void ShortFormsClearTheUpperHalf(bool decodedCache)
    {
        if (!HostHas(InstructionSets.Avx))
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        for (int i = 0; i < 4; i++)
            cpu.SetVector(3, i, 0x1111_1111_1111_1111UL * (ulong)(i + 1));
        cpu.SetVector(7, 2, 0x77UL);
        cpu.SetVector(8, 2, 0x88UL);
        cpu.SetVector(9, 2, 0x99UL);
        Assert.Null(cpu.Run(4, a =>
        {
            a.vpaddd(ymm1, ymm3, ymm3);
            a.vpaddd(xmm7, xmm3, xmm3);
            a.vmovdqa(xmm8, xmm3);
            a.paddd(xmm9, xmm3);
        }));
        Assert.Equal(0x8888_8888_8888_8888UL, cpu.Vector<ulong>(1, 3));
        Assert.Equal(0x4444_4444_4444_4444UL, cpu.Vector<ulong>(7, 1));
        Assert.Equal(0UL, cpu.Vector<ulong>(7, 2));
        Assert.Equal(0UL, cpu.Vector<ulong>(8, 2));
        Assert.Equal(0x99UL, cpu.Vector<ulong>(9, 2));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void FourthRegisterOperandComesFromTheImmediate(bool decodedCache)
    {
        if (!HostHas(InstructionSets.Avx))
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(12, 0, 0x8000_0000u);
        cpu.SetVector(2, 0, 0x22u);
        cpu.SetVector(2, 1, 0x22u);
        cpu.SetVector(13, 0, 0x1313u);
        cpu.Memory.Write(Data, 0x44u);
        Assert.Null(cpu.Run(3, a =>
        {
            a.vblendvps(xmm1, xmm2, __[Data], xmm12);
            a.vblendvps(xmm4, xmm2, xmm13, xmm12);
            a.vblendvps(xmm5, xmm2, xmm13, xmm11);
        }));
        Assert.Equal(0x22_0000_0044UL, cpu.Vector<ulong>(1));
        Assert.Equal(0x22_0000_1313UL, cpu.Vector<ulong>(4));
        Assert.Equal(0x22_0000_0022UL, cpu.Vector<ulong>(5));
    }

    [Theory]
    [InlineData(0UL, 7UL, true, Processor.Vector.InvalidOpcode)]
    [InlineData(Cr4.Osxsave, 3UL, true, Processor.Vector.InvalidOpcode)]
    [InlineData(Cr4.Osxsave, 7UL, true, Processor.Vector.DeviceNotAvailable)]
    public void SwitchedOffUnitFaults(ulong cr4, ulong xcr0, bool ts, Processor.Vector expected)
    {
        if (!HostHas(InstructionSets.Avx))
            return;
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.State->Cr4 = (cpu.State->Cr4 & ~Cr4.Osxsave) | cr4;
        cpu.State->Xcr0 = xcr0;
        cpu.State->Cr0 |= ts ? Cr0.Ts : 0;
        Assert.Equal(expected, cpu.Run(1, a => a.vaddps(xmm0, xmm1, xmm2)));
    }

    [Fact]
    public void VexIsUndefinedInRealMode()
    {
        using BareCpu cpu = HostExecution.Cpu(false, 16);
        Assert.NotNull(cpu.Run(1, a => a.vaddps(xmm0, xmm1, xmm2), 16));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void MaskedElementsDoNotFault(bool decodedCache)
    {
        if (!HostHas(InstructionSets.Avx))
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        RemovePage(cpu, Data + 0x1000);
        cpu.Memory.Write(Data + 0xFF8, 0x0000_0022_0000_0011UL);
        cpu.State->Rsi = Data + 0xFF8;
        cpu.SetVector(1, 1, 0x8000_0000u);
        Assert.Null(cpu.Run(2, a =>
        {
            a.vmaskmovps(ymm2, ymm1, __[rsi]);
            a.vmaskmovps(__[rsi], ymm1, ymm1);
        }));
        Assert.Equal(0x0000_0022_0000_0000UL, cpu.Vector<ulong>(2));
        Assert.Equal(0x8000_0000_0000_0011UL, cpu.Memory.Read<ulong>(Data + 0xFF8));

        cpu.SetVector(1, 2, 0x8000_0000u);
        Assert.Equal(Processor.Vector.PageFault, cpu.Run(1, a => a.vmaskmovps(__[rsi], ymm1, ymm2)));
        Assert.Equal(0x8000_0000_0000_0011UL, cpu.Memory.Read<ulong>(Data + 0xFF8));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void BytesAreStoredByMask(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(Data + 3, ulong.MaxValue);
        cpu.State->Rdi = Data + 3;
        cpu.SetVector(1, 0, 0x0807_0605_0403_0201UL);
        cpu.SetVector(2, 0, 0x8000_0000_0000_8080UL);
        Assert.Null(cpu.Run(1, a => a.maskmovdqu(xmm1, xmm2)));
        Assert.Equal(0x08FF_FFFF_FFFF_0201UL, cpu.Memory.Read<ulong>(Data + 3));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void GatherKeepsWhatItDidBeforeAFault(bool decodedCache)
    {
        if (!HostHas(InstructionSets.Avx2))
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        RemovePage(cpu, Data + 0x1000);
        cpu.Memory.Write(Data + 0x10, 0xAAAAu);
        cpu.Memory.Write(Data + 0x20, 0xBBBBu);
        cpu.State->Rsi = Data;
        int[] offsets = [4, 8, 0x400, 4];
        for (int i = 0; i < 4; i++)
        {
            cpu.SetVector(2, i, offsets[i]);
            cpu.SetVector(3, i, uint.MaxValue);
            cpu.SetVector(1, i + 4, 0x5555u);
        }
        Assert.Equal(Processor.Vector.PageFault, cpu.Run(1, a => a.vpgatherdd(xmm1, __[rsi + xmm2 * 4], xmm3)));
        Assert.Equal(0x0000_BBBB_0000_AAAAUL, cpu.Vector<ulong>(1));
        Assert.Equal(0UL, cpu.Vector<ulong>(3));
        Assert.Equal(ulong.MaxValue, cpu.Vector<ulong>(3, 1));
        Assert.Equal(Data + 0x1000, cpu.Cpu.ExceptionHistory.ToList()[0].Address);
        Assert.Equal(BareCpu.CodeAddress, cpu.State->Rip);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void GatherClearsMaskAndUpperHalf(bool decodedCache)
    {
        if (!HostHas(InstructionSets.Avx2))
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(Data - 8, 0x1234UL);
        cpu.State->Rsi = Data;
        cpu.SetVector(2, 0, -8L);
        cpu.SetVector(3, 0, ulong.MaxValue);
        cpu.SetVector(1, 1, 0x77UL);
        cpu.SetVector(1, 2, 0x5555UL);
        Assert.Null(cpu.Run(1, a => a.vpgatherqq(xmm1, __[rsi + xmm2], xmm3)));
        Assert.Equal(0x1234UL, cpu.Vector<ulong>(1));
        Assert.Equal(0x77UL, cpu.Vector<ulong>(1, 1));
        Assert.Equal(0UL, cpu.Vector<ulong>(1, 2));
        Assert.Equal(0UL, cpu.Vector<ulong>(3));
    }

    [Fact]
    public void ZeroUpperAndZeroAll()
    {
        if (!HostHas(InstructionSets.Avx))
            return;
        using BareCpu cpu = HostExecution.Cpu(true);
        for (int i = 0; i < 16; i++)
        {
            cpu.SetVector(i, 0, 1UL);
            cpu.SetVector(i, 3, 2UL);
        }
        Assert.Null(cpu.Run(1, a => a.vzeroupper()));
        Assert.Equal((1UL, 0UL), (cpu.Vector<ulong>(15), cpu.Vector<ulong>(15, 3)));
        Assert.Null(cpu.Run(1, a => a.vzeroall()));
        Assert.Equal(0UL, cpu.Vector<ulong>(15));
    }
}
