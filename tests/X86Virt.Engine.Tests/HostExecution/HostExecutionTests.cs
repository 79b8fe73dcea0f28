using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.HostExecution;

/// <summary>What tests of host-executed instructions share.</summary>
internal static unsafe class HostExecution
{
    public const ulong Data = 0x8000;

    /// <summary>A processor whose operating system has switched everything on.</summary>
    public static BareCpu Cpu(bool decodedCache, int bitness = 64)
    {
        var cpu = new BareCpu(bitness, decodedCache);
        cpu.State->Cr4 |= Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Osxsave;
        cpu.State->Xcr0 = HostFeatures.StateComponents;
        X87State.Initialize(cpu.State);
        return cpu;
    }

    /// <summary>Runs code of so many instructions; the exception that stopped it, if any.</summary>
    public static Processor.Vector? Run(this BareCpu cpu, int instructions, Action<Assembler> write, int bitness = 64)
    {
        cpu.Run(BareCpu.Assemble(bitness, write), instructions);
        return cpu.FirstFault;
    }

    public static T Vector<T>(this BareCpu cpu, int number, int element = 0) where T : unmanaged
        => ((T*)(cpu.State->Vectors + number * CpuState.VectorSize))[element];

    public static void SetVector<T>(this BareCpu cpu, int number, int element, T value) where T : unmanaged
        => ((T*)(cpu.State->Vectors + number * CpuState.VectorSize))[element] = value;
}

public unsafe class SseTests
{
    [Theory, InlineData(false), InlineData(true)]
    public void RegisterAndMemoryForms(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(HostExecution.Data, 0x0000_0002_0000_0001UL);
        cpu.Memory.Write(HostExecution.Data + 8, 0x0000_0004_0000_0003UL);
        cpu.SetVector(9, 2, 0xABCDUL);
        Assert.Null(cpu.Run(4, a =>
        {
            a.movdqa(xmm9, __[HostExecution.Data]);
            a.paddd(xmm9, __[HostExecution.Data]);
            a.pshufd(xmm3, xmm9, 0x1B);
            a.movups(__[HostExecution.Data + 0x101], xmm3);
        }));
        Assert.Equal(0x0000_0004_0000_0002UL, cpu.Vector<ulong>(9));
        Assert.Equal(0xABCDUL, cpu.Vector<ulong>(9, 2));
        Assert.Equal(0x0000_0006_0000_0008UL, cpu.Memory.Read<ulong>(HostExecution.Data + 0x101));
        Assert.Equal(0x0000_0002_0000_0004UL, cpu.Memory.Read<ulong>(HostExecution.Data + 0x109));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void GeneralRegistersGoInAndOut(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        Assert.Null(cpu.Run(7, a =>
        {
            a.mov(r14, -7L);
            a.cvtsi2sd(xmm15, r14);
            a.cvttsd2si(rbx, xmm15);
            a.movmskpd(r12d, xmm15);
            a.mov(ecx, 0x1234);
            a.pinsrw(xmm1, ecx, 3);
            a.pextrw(esi, xmm1, 3);
        }));
        Assert.Equal(-7.0, cpu.Vector<double>(15));
        Assert.Equal(unchecked((ulong)-7L), cpu.State->Rbx);
        Assert.Equal(1UL, cpu.State->Gpr[12]);
        Assert.Equal(0x1234UL, cpu.State->Rsi);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void ComparisonsSetStatusFlags(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(0, 0, 1.0);
        cpu.SetVector(1, 0, 2.0);
        cpu.State->StatusFlags = Flags.Of | Flags.Sf | Flags.Af | Flags.Zf;
        Assert.Null(cpu.Run(1, a => a.comisd(xmm0, xmm1)));
        Assert.Equal(Flags.Cf, cpu.State->StatusFlags);
        cpu.SetVector(1, 0, double.NaN);
        Assert.Null(cpu.Run(1, a => a.ucomisd(xmm0, xmm1)));
        Assert.Equal(Flags.Cf | Flags.Pf | Flags.Zf, cpu.State->StatusFlags);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void ImplicitOperandsOfStringComparison(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(HostExecution.Data, "hello, world\0\0\0\0"u8.ToArray());
        cpu.SetVector(2, 0, (ulong)',');
        cpu.State->Rcx = ulong.MaxValue;
        Assert.Null(cpu.Run(1, a => a.pcmpistri(xmm2, __[HostExecution.Data], 0)));
        Assert.Equal(5UL, cpu.State->Rcx);
        Assert.Equal(Flags.Cf | Flags.Zf | Flags.Sf, cpu.State->StatusFlags & ~Flags.Of);

        cpu.State->Rax = 1;
        cpu.State->Rdx = 4;
        Assert.Null(cpu.Run(1, a => a.pcmpestri(xmm2, __[HostExecution.Data], 0)));
        Assert.Equal(16UL, cpu.State->Rcx);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void BlendTakesItsMaskFromXmm0(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(0, 0, 0x80UL);
        cpu.SetVector(5, 0, 0x1111UL);
        cpu.SetVector(6, 0, 0x2222UL);
        Assert.Null(cpu.Run(1, a => a.pblendvb(xmm5, xmm6)));
        Assert.Equal(0x1122UL, cpu.Vector<ulong>(5));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void MisalignedOperandIsGeneralProtection(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        Assert.Equal(Processor.Vector.GeneralProtection, cpu.Run(1, a => a.paddd(xmm0, __[HostExecution.Data + 8])));
        Assert.Equal(BareCpu.CodeAddress, cpu.State->Rip);
    }

    [Theory]
    [InlineData(Cr0.Em, Cr4.Osfxsr, Processor.Vector.InvalidOpcode)]
    [InlineData(Cr0.Em | Cr0.Ts, Cr4.Osfxsr, Processor.Vector.InvalidOpcode)]
    [InlineData(0, 0, Processor.Vector.InvalidOpcode)]
    [InlineData(Cr0.Ts, Cr4.Osfxsr, Processor.Vector.DeviceNotAvailable)]
    public void SwitchedOffUnitFaults(ulong cr0, ulong cr4, Processor.Vector expected)
    {
        foreach (bool decodedCache in new[] { false, true })
        {
            using BareCpu cpu = HostExecution.Cpu(decodedCache);
            cpu.State->Cr0 |= cr0;
            cpu.State->Cr4 = (cpu.State->Cr4 & ~Cr4.Osfxsr) | cr4;
            // Before the page fault that the operand would raise.
            Assert.Equal(expected, cpu.Run(1, a => a.addps(xmm0, __[rax + 0x7FFF_0000])));
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void FlagsAccumulateInMxcsr(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(0, 0, 1.0);
        cpu.SetVector(1, 0, 3.0);
        Assert.Null(cpu.Run(1, a => a.divsd(xmm0, xmm1)));
        Assert.Equal(0x1FA0u, cpu.State->Mxcsr);
        cpu.SetVector(1, 0, 0.0);
        Assert.Null(cpu.Run(1, a => a.divsd(xmm0, xmm1)));
        Assert.Equal(0x1FA4u, cpu.State->Mxcsr);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void GuestRoundingModeIsUsedAndTheHostsKept(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.State->Mxcsr = 0x1F80 | 0x4000;
        cpu.SetVector(0, 0, 1.5);
        Assert.Null(cpu.Run(1, a => a.cvtsd2si(eax, xmm0)));
        Assert.Equal(2UL, cpu.State->Rax);
        Assert.Equal(1.0 / 3.0, BitConverter.Int64BitsToDouble(0x3FD5555555555555));
        Assert.Equal(0x3FD5555555555555, BitConverter.DoubleToInt64Bits(Quotient(1.0, 3.0)));
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static double Quotient(double a, double b) => a / b;

    [Theory]
    [InlineData(true, Processor.Vector.SimdFloatingPoint)]
    [InlineData(false, Processor.Vector.InvalidOpcode)]
    public void UnmaskedExceptionWritesNoDestination(bool reported, Processor.Vector expected)
    {
        foreach (bool decodedCache in new[] { false, true })
        {
            using BareCpu cpu = HostExecution.Cpu(decodedCache);
            if (!reported)
                cpu.State->Cr4 &= ~Cr4.Osxmmexcpt;
            cpu.State->Mxcsr = 0x1F80 & ~(1u << 9);
            cpu.SetVector(0, 0, 1.0);
            Assert.Equal(expected, cpu.Run(1, a => a.divsd(xmm0, xmm1)));
            Assert.Equal(1.0, cpu.Vector<double>(0));
            Assert.Equal(0x1D84u, cpu.State->Mxcsr);
            Assert.Equal(BareCpu.CodeAddress, cpu.State->Rip);
        }
    }
}
