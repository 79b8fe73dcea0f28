using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.HostExecution;

/// <summary>FXSAVE, XSAVE, FNSAVE and their kin: what lies where, and what comes back.</summary>
public unsafe class StateImageTests
{
    private const ulong Data = HostExecution.Data;

    [Theory, InlineData(false), InlineData(true)]
    public void FxsaveLayout(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.State->Mxcsr = 0x1FA0;
        cpu.SetVector(0, 0, 0x1111UL);
        cpu.SetVector(15, 1, 0xFFFFUL);
        cpu.Memory.Write(Data + 464, 0x5A5A_5A5A_5A5A_5A5AUL);
        Assert.Null(cpu.Run(3, a =>
        {
            a.fld1();
            a.fldpi();
            a.fxsave64(__[Data]);
        }));
        Assert.Equal(0x37F, cpu.Memory.Read<ushort>(Data));
        Assert.Equal(0x3000, cpu.Memory.Read<ushort>(Data + 2));
        Assert.Equal(0xC0, cpu.Memory.Read<ushort>(Data + 4));
        Assert.Equal(BareCpu.CodeAddress + 2, cpu.Memory.Read<ulong>(Data + 8));
        Assert.Equal(0x1FA0u, cpu.Memory.Read<uint>(Data + 24));
        Assert.Equal(0xFFFFu, cpu.Memory.Read<uint>(Data + 28));
        Assert.Equal(0xC90F_DAA2_2168_C235UL, cpu.Memory.Read<ulong>(Data + 32));
        Assert.Equal(0x8000_0000_0000_0000UL, cpu.Memory.Read<ulong>(Data + 48));
        Assert.Equal(0x3FFFUL, cpu.Memory.Read<ulong>(Data + 56));
        Assert.Equal(0x1111UL, cpu.Memory.Read<ulong>(Data + 160));
        Assert.Equal(0xFFFFUL, cpu.Memory.Read<ulong>(Data + 160 + 15 * 16 + 8));
        Assert.Equal(0x5A5A_5A5A_5A5A_5A5AUL, cpu.Memory.Read<ulong>(Data + 464));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void FxrstorBringsBackWhatFxsaveStored(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(6, 1, 0x66UL);
        Assert.Null(cpu.Run(8, a =>
        {
            a.fld1();
            a.fldpi();
            a.fxsave(__[Data]);
            a.fninit();
            a.pxor(xmm6, xmm6);
            a.fxrstor(__[Data]);
            a.fstp(__qword_ptr[Data + 0x400]);
            a.fstp(__qword_ptr[Data + 0x408]);
        }));
        Assert.Equal(Math.PI, BitConverter.UInt64BitsToDouble(cpu.Memory.Read<ulong>(Data + 0x400)));
        Assert.Equal(1.0, BitConverter.UInt64BitsToDouble(cpu.Memory.Read<ulong>(Data + 0x408)));
        Assert.Equal(0x66UL, cpu.Vector<ulong>(6, 1));
    }

    [Theory]
    [InlineData(8UL, 0x1F80u)]
    [InlineData(0UL, 0x1_0000u)]
    public void BadImageIsGeneralProtection(ulong misalignment, uint mxcsr)
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.Memory.Write(Data + 24, mxcsr);
        Assert.Equal(Processor.Vector.GeneralProtection, cpu.Run(1, a => a.fxrstor(__[Data + misalignment])));
        Assert.Equal(0x1F80u, cpu.State->Mxcsr);
    }

    [Fact]
    public void ReservedMxcsrBitsAreGeneralProtection()
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.Memory.Write(Data, 0x2_1F80u);
        Assert.Equal(Processor.Vector.GeneralProtection, cpu.Run(1, a => a.ldmxcsr(__[Data])));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void XsaveStoresWhatIsAskedForAndInUse(bool decodedCache)
    {
        if ((HostFeatures.StateComponents & 4) == 0)
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(1, 3, 0xABUL);
        cpu.SetVector(1, 0, 0xCDUL);
        cpu.Memory.Write(Data + 512, 0x1UL);
        cpu.State->Rax = 6;
        cpu.State->Rdx = 0;
        Assert.Null(cpu.Run(1, a => a.xsave64(__[Data])));
        Assert.Equal(7UL, cpu.Memory.Read<ulong>(Data + 512));
        Assert.Equal(0xCDUL, cpu.Memory.Read<ulong>(Data + 160 + 16));
        Assert.Equal(0xABUL, cpu.Memory.Read<ulong>(Data + 576 + 16 + 8));
        Assert.Equal(0, cpu.Memory.Read<ushort>(Data));

        cpu.SetVector(1, 3, 0UL);
        cpu.SetVector(1, 0, 0UL);
        cpu.SetVector(4, 3, 0xEEUL);
        Assert.Null(cpu.Run(1, a => a.xrstor64(__[Data])));
        Assert.Equal(0xABUL, cpu.Vector<ulong>(1, 3));
        Assert.Equal(0xCDUL, cpu.Vector<ulong>(1, 0));
        Assert.Equal(0UL, cpu.Vector<ulong>(4, 3));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void XsavecWritesTheCompactedFormat(bool decodedCache)
    {
        if ((HostFeatures.StateComponents & 4) == 0)
            return;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.SetVector(2, 2, 0x22UL);
        cpu.State->Rax = 7;
        cpu.State->Rdx = 0;
        Assert.Null(cpu.Run(1, a => a.xsavec64(__[Data])));
        Assert.Equal(4UL, cpu.Memory.Read<ulong>(Data + 512));
        Assert.Equal(0x8000_0000_0000_0007UL, cpu.Memory.Read<ulong>(Data + 520));
        Assert.Equal(0x22UL, cpu.Memory.Read<ulong>(Data + 576 + 32));

        cpu.State->Mxcsr = 0x1FBF;
        cpu.SetVector(2, 2, 0UL);
        cpu.SetVector(3, 0, 3UL);
        Assert.Null(cpu.Run(1, a => a.xrstor64(__[Data])));
        Assert.Equal(0x22UL, cpu.Vector<ulong>(2, 2));
        Assert.Equal(0UL, cpu.Vector<ulong>(3));
        Assert.Equal(0x1F80u, cpu.State->Mxcsr);
    }

    [Theory]
    [InlineData(512UL, 0x100UL)]
    [InlineData(520UL, 0x1UL)]
    [InlineData(528UL, 0x1UL)]
    public void BadXsaveHeaderIsGeneralProtection(ulong offset, ulong value)
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.Memory.Write(Data + 24, 0x1F80u);
        cpu.Memory.Write(Data + offset, value);
        cpu.State->Rax = 3;
        cpu.State->Rdx = 0;
        Assert.Equal(Processor.Vector.GeneralProtection, cpu.Run(1, a => a.xrstor(__[Data])));
    }

    [Theory]
    [InlineData(1UL, 0UL, 3UL, null)]
    [InlineData(0UL, 0UL, 2UL, Processor.Vector.GeneralProtection)]
    [InlineData(0UL, 0UL, 5UL, Processor.Vector.GeneralProtection)]
    [InlineData(0UL, 1UL, 3UL, Processor.Vector.GeneralProtection)]
    [InlineData(0UL, 0UL, 1UL << 40 | 3, Processor.Vector.GeneralProtection)]
    public void XsetbvChecks(ulong allowed, ulong index, ulong value, Processor.Vector? expected)
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.State->Rax = (uint)value;
        cpu.State->Rdx = value >> 32;
        cpu.State->Rcx = index;
        Assert.Equal(expected, cpu.Run(1, a => a.xsetbv()));
        Assert.Equal(allowed != 0 ? value : HostFeatures.StateComponents, cpu.State->Xcr0);
    }

    [Fact]
    public void EnvironmentIn32BitProtectedMode()
    {
        using BareCpu cpu = HostExecution.Cpu(true, 32);
        cpu.Memory.Write(Data, 1.0f);
        Assert.Null(cpu.Run(2, a =>
        {
            a.fld(__dword_ptr[Data]);
            a.fnstenv(__[Data + 0x100]);
        }, 32));
        Assert.Equal(0xFFFF_037Fu, cpu.Memory.Read<uint>(Data + 0x100));
        Assert.Equal(0xFFFF_3800u, cpu.Memory.Read<uint>(Data + 0x104));
        Assert.Equal(0xFFFF_3FFFu, cpu.Memory.Read<uint>(Data + 0x108));
        Assert.Equal((uint)BareCpu.CodeAddress, cpu.Memory.Read<uint>(Data + 0x10C));
        Assert.Equal(8, cpu.Memory.Read<ushort>(Data + 0x110));
        Assert.Equal((uint)Data, cpu.Memory.Read<uint>(Data + 0x114));
        Assert.Equal(0xFFFF_0010u, cpu.Memory.Read<uint>(Data + 0x118));
    }

    [Fact]
    public void EnvironmentIn16BitRealMode()
    {
        using BareCpu cpu = HostExecution.Cpu(false, 16);
        *CpuState.Seg(cpu.State, Segment.Cs) = new SegmentRegister { Limit = uint.MaxValue, Attributes = CpuState.Seg(cpu.State, Segment.Cs)->Attributes };
        Assert.Null(cpu.Run(3, a =>
        {
            a.fld1();
            a.fnstenv(__[0x8100]);
            a.fldenv(__[0x8100]);
        }, 16));
        Assert.Equal(0x037F, cpu.Memory.Read<ushort>(0x8100));
        Assert.Equal(0x3FFF, cpu.Memory.Read<ushort>(0x8104));
        Assert.Equal(0, cpu.Memory.Read<ushort>(0x8106));
        Assert.Equal(0x1000, cpu.Memory.Read<ushort>(0x8108) & 0xF000);
        Assert.Equal(0x80, X87State.Tags(cpu.State));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void FnsaveInitialisesAndFrstorBringsBack(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        Assert.Null(cpu.Run(3, a =>
        {
            a.fldpi();
            a.fld1();
            a.fnsave(__[Data]);
        }));
        Assert.Equal(0, X87State.Tags(cpu.State));
        Assert.Equal(0x8000_0000_0000_0000UL, cpu.Memory.Read<ulong>(Data + 28));
        Assert.Null(cpu.Run(2, a =>
        {
            a.frstor(__[Data]);
            a.fstp(__tbyte_ptr[Data + 0x100]);
        }));
        Assert.Equal(0x8000_0000_0000_0000UL, cpu.Memory.Read<ulong>(Data + 0x100));
        Assert.Equal(7, X87State.Top(cpu.State));
    }

    [Fact]
    public void PendingExceptionRecordsOpcodeAndPointers()
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.Memory.Write(Data, (ushort)0x37B);
        Assert.Null(cpu.Run(6, a =>
        {
            a.fldcw(__word_ptr[Data]);
            a.fld1();
            a.nop();
            a.fdiv(__dword_ptr[Data + 8]);
            a.mov(eax, 1);
            a.fxsave64(__[Data + 0x100]);
        }));
        Assert.Equal(0x8000 | 0x80 | 4, cpu.Memory.Read<ushort>(Data + 0x102) & 0x80BF);
        Assert.Equal(0x034, cpu.Memory.Read<ushort>(Data + 0x106));
        Assert.Equal(Data + 8, cpu.Memory.Read<ulong>(Data + 0x110));
    }
}
