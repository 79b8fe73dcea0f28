using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.HostExecution;

public unsafe class X87Tests
{
    private const ulong Data = HostExecution.Data;

    [Theory, InlineData(false), InlineData(true)]
    public void ArithmeticOnTheStack(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(Data, BitConverter.DoubleToUInt64Bits(2.5));
        cpu.Memory.Write(Data + 8, 7UL);
        Assert.Null(cpu.Run(7, a =>
        {
            a.fld(__qword_ptr[Data]);
            a.fild(__qword_ptr[Data + 8]);
            a.fld(st1);
            a.faddp(st1, st0);
            a.fmul(st0, st1);
            a.fstp(__qword_ptr[Data + 16]);
            a.fistp(__dword_ptr[Data + 24]);
        }));
        Assert.Equal(9.5 * 2.5, BitConverter.UInt64BitsToDouble(cpu.Memory.Read<ulong>(Data + 16)));
        Assert.Equal(2u, cpu.Memory.Read<uint>(Data + 24));
        Assert.Equal(0x20, X87State.Status(cpu.State) & 0x3F);
        Assert.Equal(0, X87State.Tags(cpu.State));
        Assert.Equal(0, X87State.Top(cpu.State));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void EightyBitsSurviveLoadAndStore(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(Data, 0x8000_0000_0000_0001UL);
        cpu.Memory.Write(Data + 8, (ushort)0x3FFF);
        cpu.Memory.Write(Data + 0x1A, (ushort)0x5A5A);
        Assert.Null(cpu.Run(2, a =>
        {
            a.fld(__tbyte_ptr[Data]);
            a.fstp(__tbyte_ptr[Data + 0x10]);
        }));
        Assert.Equal(0x8000_0000_0000_0001UL, cpu.Memory.Read<ulong>(Data + 0x10));
        Assert.Equal(0x3FFF, cpu.Memory.Read<ushort>(Data + 0x18));
        Assert.Equal(0x5A5A, cpu.Memory.Read<ushort>(Data + 0x1A));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void ComparisonIntoFlags(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.State->StatusFlags = Flags.Cf;
        Assert.Null(cpu.Run(3, a =>
        {
            a.fld1();
            a.fldz();
            a.fcomi(st0, st1);
        }));
        Assert.Equal(Flags.Cf, cpu.State->StatusFlags & (Flags.Cf | Flags.Zf | Flags.Pf));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void UnmaskedExceptionWaitsForTheNextInstruction(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(Data, (ushort)0x37B);
        Processor.Vector? stopped = cpu.Run(6, a =>
        {
            a.fldcw(__word_ptr[Data]);
            a.fld1();
            a.fldz();
            a.fdivp(st1, st0);
            a.fnstsw(ax);
            a.fld1();
        });
        Assert.Equal(Processor.Vector.FloatingPoint, stopped);
        Assert.Equal(0xB084UL, cpu.State->Rax & 0xFFBF);
        Assert.Equal(5, cpu.State->Retired);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void StackFaultIsTheHostsOwn(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        Assert.Null(cpu.Run(2, a =>
        {
            a.fadd(st0, st1);
            a.fnstsw(ax);
        }));
        Assert.Equal(0x41UL, cpu.State->Rax & 0x27F);
    }

    [Theory]
    [InlineData(Cr0.Em)]
    [InlineData(Cr0.Ts)]
    public void SwitchedOffUnitFaults(ulong cr0)
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.State->Cr0 |= cr0;
        Assert.Equal(Processor.Vector.DeviceNotAvailable, cpu.Run(1, a => a.fld1()));
    }

    [Theory]
    [InlineData(Cr0.Ts, false)]
    [InlineData(Cr0.Mp, false)]
    [InlineData(Cr0.Em, false)]
    [InlineData(Cr0.Mp | Cr0.Ts, true)]
    public void WaitHeedsTaskSwitchedOnlyWithMonitorCoprocessor(ulong cr0, bool faults)
    {
        using BareCpu cpu = HostExecution.Cpu(true);
        cpu.State->Cr0 |= cr0;
        Assert.Equal(faults ? Processor.Vector.DeviceNotAvailable : null, cpu.Run(1, a => a.wait()));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void MmxSharesTheRegisters(bool decodedCache)
    {
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        cpu.Memory.Write(Data, 0x0102_0304_0506_0708UL);
        Assert.Null(cpu.Run(5, a =>
        {
            a.fld1();
            a.movq(mm2, __qword_ptr[Data]);
            a.paddb(mm2, mm2);
            a.movq(__qword_ptr[Data + 8], mm2);
            a.fnstsw(ax);
        }));
        Assert.Equal(0x0204_0608_0A0C_0E10UL, cpu.Memory.Read<ulong>(Data + 8));
        Assert.Equal(0UL, cpu.State->Rax & 0x3800);
        Assert.Equal(0xFF, X87State.Tags(cpu.State));
        Assert.Equal(0x3FFF, *(ushort*)(cpu.State->Fx + X87State.Registers + 7 * 16 + 8));
        Assert.Equal(0xFFFF, *(ushort*)(cpu.State->Fx + X87State.Registers + 2 * 16 + 8));
        Assert.Null(cpu.Run(1, a => a.emms()));
        Assert.Equal(0, X87State.Tags(cpu.State));
    }
}
