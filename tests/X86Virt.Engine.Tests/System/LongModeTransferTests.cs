using X86Virt.Engine.Processor;
using Xunit;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Gates and returns between 64-bit and compatibility mode (AMD volume 2, 4.11, 8.7 and 8.9; volume 3, IRET).</summary>
public unsafe class LongModeTransferTests
{
    private const ulong Idt = 0x6000, Gdt = 0x7000, Task = 0x5000, KernelStack = 0xA000;
    private const ulong Handler = 0x2_0000, FaultHandler = 0x2_1000, Target = 0x2_2000;
    private const ushort Kernel64 = 8, KernelData = 0x10, User32 = 0x1B, UserData = 0x23, User64 = 0x2B, Kernel32 = 0x30, TaskSelector = 0x48;
    private const byte CallGate = 0x38, Free = 0x30;

    private static ulong Gate(int type, int dpl, ushort selector, ulong offset)
        => (offset & 0xFFFF) | (ulong)selector << 16 | (ulong)(0x80 | dpl << 5 | type) << 40 | (offset >> 16 & 0xFFFF) << 48;

    /// <summary>Code of both widths at both levels, a call gate for user code, a task, and handlers of #GP and vector 30h that halt.</summary>
    private static void SetTables(BareCpu cpu, int callGate = 0xC, int interruptGate = 0xE)
    {
        CpuState* s = cpu.State;
        ulong[] descriptors =
        [
            0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF, 0x00CF_9B00_0000_FFFF,
            Gate(callGate, 3, Kernel64, Target), 0, 0x67 | Task << 16 | 0x89UL << 40, 0,
        ];
        for (int i = 0; i < descriptors.Length; i++)
            cpu.Memory.Write(Gdt + 8 + (ulong)i * 8, descriptors[i]);
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = (uint)(descriptors.Length + 1) * 8 - 1 };
        s->Idtr = new DescriptorTableRegister { Base = Idt, Limit = (Free + 1) * 16 - 1 };
        cpu.Memory.Write(Idt + (ulong)Vector.GeneralProtection * 16, Gate(0xE, 0, Kernel64, FaultHandler));
        cpu.Memory.Write(Idt + 0x20 * 16, Gate(0xE, 0, Kernel64, Handler));
        cpu.Memory.Write(Idt + Free * 16, Gate(interruptGate, 3, Kernel64, Handler));
        cpu.Memory.Write(Handler, (byte)0xF4);
        cpu.Memory.Write(FaultHandler, (byte)0xF4);
        cpu.Memory.Write(Task + 4, KernelStack);
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Selector = TaskSelector, Base = Task, Limit = 0x67, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };
    }

    /// <summary>32-bit user code of compatibility mode.</summary>
    private static void EnterCompatibility(BareCpu cpu)
    {
        cpu.EnterUser();
        SegmentRegister* cs = CpuState.Seg(cpu.State, Segment.Cs);
        cs->Selector = User32;
        cs->Attributes = (cs->Attributes & ~SegmentAttributes.Long) | SegmentAttributes.Big;
        CpuState.Seg(cpu.State, Segment.Ss)->Selector = UserData;
        ModeChange.Update(cpu.Cpu);
    }

    private static ulong Frame(BareCpu cpu, int slot) => cpu.Memory.Read<ulong>(cpu.State->Rsp + (ulong)slot * 8);

    private static void IsAt(ulong rip, ushort cs, bool code64, BareCpu cpu)
        => Assert.Equal((rip, cs, cs & 3, code64), (cpu.State->Rip, CpuState.Seg(cpu.State, Segment.Cs)->Selector, (int)cpu.State->Cpl, cpu.State->Code64));

    [Fact]
    public void AnInterruptInCompatibilityModePushesFiveQuadwordsAndRunsIn64Bits() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        Assert.Null(cpu.Execute([0xCD, Free]));
        IsAt(Handler, Kernel64, true, cpu);
        Assert.Equal(KernelStack - 40, cpu.State->Rsp);
        Assert.Equal((BareCpu.CodeAddress + 2, (ulong)User32, BareCpu.StackTop, (ulong)UserData), (Frame(cpu, 0), Frame(cpu, 1), Frame(cpu, 3), Frame(cpu, 4)));
        Assert.Equal(0, CpuState.Seg(cpu.State, Segment.Ss)->Selector);
    });

    [Fact]
    public void APendingInterruptIsTakenInCompatibilityMode() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        cpu.State->SystemFlags |= Flags.If;
        cpu.Bus.InterruptPending = true;
        cpu.Cpu.RequestAttention(Attention.Interrupt);
        cpu.Execute([0x90, 0x90], 2);
        Assert.Equal((BareCpu.CodeAddress, (ulong)User32), (Frame(cpu, 0), Frame(cpu, 1)));
        Assert.Equal((true, Handler + 1), (cpu.State->Halted, cpu.State->Rip));
    });

    [Theory, InlineData(1), InlineData(4), InlineData(5), InlineData(6), InlineData(7), InlineData(9), InlineData(0xC)]
    public void AnInterruptGateOfOldIsProtected(int type) => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu, interruptGate: type);
        Raises(Vector.GeneralProtection, Free * 8 + 2, cpu.Execute([0xCD, Free]));
    });

    [Fact]
    public void ATrapGateLeavesInterruptsOn() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu, interruptGate: 0xF);
        cpu.State->SystemFlags |= Flags.If;
        Assert.Null(cpu.Execute([0xCD, Free]));
        Assert.Equal((Handler, Flags.If), (cpu.State->Rip, cpu.State->SystemFlags & Flags.If));
    });

    [Fact]
    public void ACallGateTakesCompatibilityModeToTheKernelWithQuadwordsAndNoParameters() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        Assert.Null(cpu.Execute([0x9A, 0xEF, 0xBE, 0xAD, 0xDE, CallGate, 0]));
        IsAt(Target, Kernel64, true, cpu);
        Assert.Equal(KernelStack - 32, cpu.State->Rsp);
        Assert.Equal((BareCpu.CodeAddress + 7, (ulong)User32, BareCpu.StackTop, (ulong)UserData), (Frame(cpu, 0), Frame(cpu, 1), Frame(cpu, 2), Frame(cpu, 3)));
    });

    [Theory, InlineData(4), InlineData(5)]
    public void AGateOfOldIsProtectedFromCalls(int type) => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu, callGate: type);
        EnterCompatibility(cpu);
        Raises(Vector.GeneralProtection, CallGate, cpu.Execute([0x9A, 0, 0, 0, 0, CallGate, 0]));
    });

    [Fact]
    public void TheUpperHalfOfACallGateHasNoType() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        cpu.Memory.Write(Gdt + CallGate + 8, 0x0100_0000_0000UL);
        Raises(Vector.GeneralProtection, CallGate, cpu.Execute([0x9A, 0, 0, 0, 0, CallGate, 0]));
    });

    [Fact]
    public void ACallGateLeadsOnlyTo64BitCode() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        cpu.Memory.Write(Gdt + CallGate, Gate(0xC, 3, Kernel32, Target));
        Raises(Vector.GeneralProtection, Kernel32, cpu.Execute([0x9A, 0, 0, 0, 0, CallGate, 0]));
    });

    [Fact]
    public void ThereAreNoTaskSwitches() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.State->Rbx = Data;
        cpu.Memory.Write(Data, (ulong)TaskSelector << 32);
        // JMP far [RBX]
        Raises(Vector.GeneralProtection, TaskSelector, cpu.Execute([0xFF, 0x2B]));
    });

    [Fact]
    public void IretWithNestedTaskIsProtected() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.State->SystemFlags |= Flags.Nt;
        RaisesGeneralProtection(cpu.Execute(64, a => a.iretq()));
    });

    [Theory, InlineData(User32, UserData, false), InlineData(User64, UserData, true), InlineData(Kernel32, KernelData, false), InlineData(Kernel64, KernelData, true)]
    public void IretqAlwaysPopsTheStack(ushort cs, ushort ss, bool code64) => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        cpu.EnterUser();
        LeaveUser(cpu);
        Assert.Null(cpu.Execute(64, a => { a.push(ss); a.push(0x8800); a.push(0x202); a.push(cs); a.push((int)Target); a.iretq(); }, 6));
        IsAt(Target, cs, code64, cpu);
        Assert.Equal((0x8800UL, ss), (cpu.State->Rsp, CpuState.Seg(cpu.State, Segment.Ss)->Selector));
        Assert.Equal(Flags.If, cpu.State->SystemFlags & Flags.If);
    });

    /// <summary>Back to level 0 with pages that user code may use.</summary>
    private static void LeaveUser(BareCpu cpu)
    {
        for (int i = 0; i < 6; i++)
        {
            SegmentRegister* r = CpuState.Seg(cpu.State, (Segment)i);
            r->Selector &= 0xFFFC;
            r->Attributes &= ~SegmentAttributes.DplMask;
        }
        cpu.State->Cpl = 0;
        ModeChange.Update(cpu.Cpu);
    }

    [Theory, InlineData((ushort)0, User64), InlineData((ushort)3, User64), InlineData((ushort)0, Kernel32)]
    public void IretqMayNotLeaveWithoutAStackSegment(ushort ss, ushort cs) => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        ExceptionRecord? fault = cpu.Execute(64, a => { a.push(ss); a.push(0x8800); a.push(0x202); a.push(cs); a.push((int)Target); a.iretq(); }, 6);
        Assert.Equal((Vector.GeneralProtection, 0u), (fault!.Value.Vector, fault.Value.ErrorCode));
    });

    [Fact]
    public void IretqToKernelCodeOf64BitsMayHaveANullStackSegment() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        Assert.Null(cpu.Execute(64, a => { a.push(0); a.push(0x8800); a.push(0x202); a.push(Kernel64); a.push((int)Target); a.iretq(); }, 6));
        IsAt(Target, Kernel64, true, cpu);
        Assert.Equal((0x8800UL, (ushort)0), (cpu.State->Rsp, CpuState.Seg(cpu.State, Segment.Ss)->Selector));
    });

    [Fact]
    public void IretdInCompatibilityModeLeavesTheStackSegmentAtItsLevel() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        uint sp = (uint)BareCpu.StackTop - 12;
        cpu.Memory.Write(sp, (uint)Target);
        cpu.Memory.Write(sp + 4, (uint)User32);
        cpu.Memory.Write(sp + 8, 0x2u | Flags.Cf);
        cpu.State->Rsp = sp;
        Assert.Null(cpu.Execute([0xCF]));
        IsAt(Target, User32, false, cpu);
        Assert.Equal((BareCpu.StackTop, UserData), (cpu.State->Rsp, CpuState.Seg(cpu.State, Segment.Ss)->Selector));
        Assert.Equal(Flags.Cf, (uint)Flags.Rflags(cpu.State) & Flags.Cf);
    });

    [Fact]
    public void IretdGoesFromCompatibilityModeTo64Bits() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        EnterCompatibility(cpu);
        uint sp = (uint)BareCpu.StackTop - 12;
        cpu.Memory.Write(sp, (uint)Target);
        cpu.Memory.Write(sp + 4, (uint)User64);
        cpu.Memory.Write(sp + 8, 2u);
        cpu.State->Rsp = sp;
        Assert.Null(cpu.Execute([0xCF]));
        IsAt(Target, User64, true, cpu);
    });

    [Fact]
    public void FarReturnsChangeBetweenTheModes() => OnEveryEngine(64, cpu =>
    {
        SetTables(cpu);
        // PUSH Kernel32; PUSH Target; RETFQ
        Assert.Null(cpu.Execute([0x6A, (byte)Kernel32, 0x68, 0, 0x20, 2, 0, 0x48, 0xCB], 3));
        IsAt(Target, Kernel32, false, cpu);
        Assert.Equal(BareCpu.StackTop, cpu.State->Rsp);
    });
}
