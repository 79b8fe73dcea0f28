using X86Virt.Engine.Processor;
using Xunit;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Limits and types of segments at accesses to data, the stack and code (AMD volume 2, 4.7 and 4.12).</summary>
public unsafe class SegmentLimitTests
{
    private const ulong Base = 0x2_0000;
    private const SegmentAttributes ReadOnly = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Accessed;
    private const SegmentAttributes ReadWrite = ReadOnly | SegmentAttributes.Writable;
    private const SegmentAttributes ExpandDown = ReadWrite | SegmentAttributes.ExpandDown;
    private const SegmentAttributes ExecuteOnly = ReadOnly | SegmentAttributes.Code;
    private const SegmentAttributes ExecuteRead = ExecuteOnly | SegmentAttributes.Writable;

    // MOV AL/AX/EAX with [EBX], or the other way round.
    private static byte[] Move(int size, bool write) => (size, write) switch
    {
        (1, false) => [0x8A, 0x03],
        (2, false) => [0x66, 0x8B, 0x03],
        (4, false) => [0x8B, 0x03],
        (1, true) => [0x88, 0x03],
        (2, true) => [0x66, 0x89, 0x03],
        _ => [0x89, 0x03],
    };

    private static void Load(BareCpu cpu, Segment segment, SegmentAttributes attributes, uint limit)
    {
        *CpuState.Seg(cpu.State, segment) = new SegmentRegister { Selector = 0x10, Base = Base, Limit = limit, Attributes = attributes };
        ModeChange.Update(cpu.Cpu);
    }

    /// <summary>An access reaches base plus offset, or raises #GP(0) and has no effect.</summary>
    private static void Accesses(SegmentAttributes attributes, uint limit, uint offset, int size, bool write, bool allowed) => OnEveryEngine(32, cpu =>
    {
        Load(cpu, Segment.Ds, attributes, limit);
        ulong place = allowed ? Base + offset : Base;
        cpu.Memory.Write(place, 0x55AA_55AAu);
        cpu.State->Rbx = offset;
        cpu.State->Rax = 0;
        ExceptionRecord? fault = cpu.Execute(Move(size, write));
        if (!allowed)
        {
            RaisesGeneralProtection(fault);
            Assert.Equal((0UL, 0x55AA_55AAu), (cpu.State->Rax, cpu.Memory.Read<uint>(place)));
            return;
        }
        Assert.Null(fault);
        uint mask = uint.MaxValue >> (32 - size * 8);
        Assert.Equal(write ? 0x55AA_55AAu & ~mask : 0x55AA_55AAu & mask, write ? cpu.Memory.Read<uint>(place) : (uint)cpu.State->Rax);
    });

    [Theory]
    [InlineData(0xFFFu, 0xFFFu, 1, true), InlineData(0xFFFu, 0x1000u, 1, false)]
    [InlineData(0xFFFu, 0xFFEu, 2, true), InlineData(0xFFFu, 0xFFFu, 2, false)]
    [InlineData(0xFFFu, 0xFFCu, 4, true), InlineData(0xFFFu, 0xFFDu, 4, false)]
    [InlineData(0u, 0u, 1, true), InlineData(0u, 0u, 2, false)]
    [InlineData(0xFFFu, 0xFFFF_FFFFu, 1, false), InlineData(0xFFFu, 0xFFFF_FFFEu, 4, false)]
    public void TheLimitIsTheLastByte(uint limit, uint offset, int size, bool allowed)
    {
        Accesses(ReadWrite, limit, offset, size, false, allowed);
        Accesses(ReadWrite, limit, offset, size, true, allowed);
    }

    [Theory]
    [InlineData(0xFFFu, 0x1000u, 4, true), InlineData(0xFFFu, 0xFFFu, 1, false), InlineData(0xFFFu, 0u, 4, false), InlineData(0xFFFu, 0xFFEu, 4, false)]
    [InlineData(0xFFFu, 0xFFFFu, 1, true), InlineData(0xFFFu, 0xFFFFu, 2, false), InlineData(0xFFFu, 0xFFFCu, 4, true), InlineData(0xFFFu, 0x1_0000u, 1, false)]
    [InlineData(0xFFFFu, 0x8000u, 1, false)]
    public void AnExpandDownSegmentBeginsBehindItsLimitAndEndsAt64K(uint limit, uint offset, int size, bool allowed)
        => Accesses(ExpandDown, limit, offset, size, true, allowed);

    [Theory, InlineData(0x1_0000u, true), InlineData(0x5_0000u, true), InlineData(0xFFFu, false)]
    public void ABigExpandDownSegmentEndsAt4G(uint offset, bool allowed)
        => Accesses(ExpandDown | SegmentAttributes.Big, 0xFFF, offset, 4, true, allowed);

    [Theory]
    [InlineData(ReadOnly, true, false), InlineData(ReadWrite, true, true), InlineData(ExecuteOnly, false, false), InlineData(ExecuteRead, true, false)]
    [InlineData(ReadWrite & ~SegmentAttributes.Present, false, false)]
    public void TypesSayWhatMayBeDone(SegmentAttributes attributes, bool reads, bool writes)
    {
        Accesses(attributes, 0xFFFF, 0x10, 4, false, reads);
        Accesses(attributes, 0xFFFF, 0x10, 4, true, writes);
    }

    /// <summary>PUSH, POP, and an operand addressed by way of EBP.</summary>
    [Theory, InlineData(new byte[] { 0x50 }, 0x1003u), InlineData(new byte[] { 0x58 }, 0xFFDu), InlineData(new byte[] { 0x8B, 0x45, 0x00 }, 0x800u)]
    public void TheStackRaisesItsOwnFault(byte[] code, uint stackPointer) => OnEveryEngine(32, cpu =>
    {
        Load(cpu, Segment.Ss, ReadWrite | SegmentAttributes.Big, 0xFFE);
        cpu.State->Rsp = stackPointer;
        cpu.State->Rbp = 0xFFC;
        Raises(Vector.StackFault, 0, cpu.Execute(code));
        Assert.Equal(stackPointer, cpu.State->Rsp);
    });

    [Theory, InlineData(0xFFFCu, 4), InlineData(0xFFFDu, 4), InlineData(0xFFFFu, 2), InlineData(0xFFFFu, 1)]
    public void SegmentsOfRealModeEndAt64K(uint offset, int size) => OnEveryEngine(16, cpu =>
    {
        cpu.State->Rbx = offset;
        // MOV AL/AX/EAX, [BX]
        byte[] code = size switch { 1 => [0x8A, 0x07], 2 => [0x8B, 0x07], _ => [0x66, 0x8B, 0x07] };
        ExceptionRecord? fault = cpu.Execute(code);
        if (offset + (uint)size > 0x1_0000)
            Assert.Equal(Vector.GeneralProtection, fault?.Vector);
        else
            Assert.Null(fault);
    });

    /// <summary>The first instruction that is not wholly within CS faults, not the jump to it.</summary>
    [Fact]
    public void CodeEndsAtItsLimit() => OnEveryEngine(32, cpu =>
    {
        CpuState.Seg(cpu.State, Segment.Cs)->Limit = (uint)BareCpu.CodeAddress + 5;
        ModeChange.Update(cpu.Cpu);
        // INC EAX; NOP; MOV EAX, imm32 of which the last byte is outside.
        ExceptionRecord? fault = cpu.Execute([0x40, 0x90, 0xB8, 1, 0, 0, 0], 3);
        Assert.Equal((Vector.GeneralProtection, BareCpu.CodeAddress + 2), (fault!.Value.Vector, fault.Value.Rip));
        Assert.Equal(1u, (uint)cpu.State->Rax);
    });

    [Fact]
    public void ABranchBeyondTheLimitFaultsItself() => OnEveryEngine(32, cpu =>
    {
        CpuState.Seg(cpu.State, Segment.Cs)->Limit = (uint)BareCpu.CodeAddress + 0x10;
        ModeChange.Update(cpu.Cpu);
        // JMP +20h
        RaisesGeneralProtection(cpu.Execute([0xEB, 0x20]));
    });
}
