using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>MOV DRn (AMD volume 2, 13.1.1; volume 3, MOV DRn).</summary>
public unsafe class DebugRegisterTests
{
    [Fact]
    public void AddressesReadAsWritten() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rax = 0xFFFF_8000_1234_5678;
        Assert.Null(cpu.Execute(64, a =>
        {
            a.mov(dr3, rax);
            a.mov(rbx, dr3);
        }, 2));
        Assert.Equal(0xFFFF_8000_1234_5678, cpu.State->Rbx);
    });

    [Fact]
    public void StatusAndControlKeepTheirFixedBits() => OnEveryEngine(32, cpu =>
    {
        cpu.State->Rax = 0;
        cpu.State->Rbx = 0xFFFF_DFFF;
        Assert.Null(cpu.Execute(32, a =>
        {
            a.mov(dr6, eax);
            a.mov(dr7, eax);
            a.mov(ecx, dr6);
            a.mov(edx, dr7);
            a.mov(dr6, ebx);
            a.mov(esi, dr6);
        }, 6));
        Assert.Equal(0xFFFF_0FF0UL, cpu.State->Rcx);
        Assert.Equal(0x400UL, cpu.State->Rdx);
        Assert.Equal(0xFFFF_CFFFUL, cpu.State->Rsi);
    });

    [Theory, InlineData(false), InlineData(true)]
    public void Dr4AndDr5AreOtherNamesUnlessDebuggingExtensionsAreOn(bool extensions) => OnEveryEngine(32, cpu =>
    {
        if (extensions)
            cpu.State->Cr4 |= Cr4.De;
        cpu.State->Dr[6] = 0xFFFF_0FF1;
        // MOV EAX, DR4
        ExceptionRecord? fault = cpu.Execute([0x0F, 0x21, 0xE0]);
        if (extensions)
        {
            RaisesInvalidOpcode(fault);
            return;
        }
        Assert.Null(fault);
        Assert.Equal(0xFFFF_0FF1UL, cpu.State->Rax);
    });

    [Theory, InlineData(6), InlineData(7)]
    public void StatusAndControlHaveNoUpperHalf(int number) => OnEveryEngine(64, cpu =>
    {
        ulong before = cpu.State->Dr[number];
        cpu.State->Rax = 1UL << 32 | before;
        RaisesGeneralProtection(cpu.Execute(64, a =>
        {
            if (number == 6)
                a.mov(dr6, rax);
            else
                a.mov(dr7, rax);
        }));
        Assert.Equal(before, cpu.State->Dr[number]);
    });

    [Fact]
    public void GeneralDetectionFaultsAndIsLifted() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Dr[7] |= 1 << 13;
        Raises(Vector.Debug, null, cpu.Execute(64, a => a.mov(rax, dr0)));
        Assert.Equal(1UL << 13, cpu.State->Dr[6] & 1 << 13);
        Assert.Equal(0UL, cpu.State->Dr[7] & 1 << 13);
    });

    [Fact]
    public void UserCodeHasNoneEvenWithGeneralDetection() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Dr[7] |= 1 << 13;
        cpu.EnterUser();
        RaisesGeneralProtection(cpu.Execute(64, a => a.mov(rax, dr0)));
        Assert.Equal(1UL << 13, cpu.State->Dr[7] & 1 << 13);
    });

    /// <summary>With DebugCtl.BTF, TF traps behind the first branch that is taken, and the bit goes.</summary>
    [Fact]
    public void SingleStepsCanGoFromBranchToBranch() => OnEveryEngine(64, cpu =>
    {
        CpuState* s = cpu.State;
        s->Rcx = 0x1D9;
        s->Rax = 2;
        s->Rdx = 0;
        Assert.Null(cpu.Execute(64, a => a.wrmsr()));
        Assert.Equal(2UL, s->DebugCtl);
        s->SystemFlags |= Flags.Tf;
        FlagsChange.Watch(s);
        s->Rcx = 2;
        s->Rdi = Data;
        byte[] code = BareCpu.Assemble(64, a =>
        {
            var skipped = a.CreateLabel();
            var taken = a.CreateLabel();
            a.rep.stosb();
            a.cmp(eax, 2);
            a.jne(skipped);
            a.je(taken);
            a.Label(ref skipped);
            a.nop();
            a.Label(ref taken);
            a.nop();
        });
        ExceptionRecord? fault = cpu.Execute(code, 10);
        Assert.Equal((Vector.Debug, BareCpu.CodeAddress + (ulong)code.Length - 1), (fault!.Value.Vector, fault.Value.Rip));
        Assert.Equal(1UL << 14, s->Dr[6] & 1 << 14);
        Assert.Equal(0UL, s->DebugCtl);
    });

    private const ulong LastBranchFrom = 0x1DB;

    private static ulong ReadMsr(BareCpu cpu, ulong index)
    {
        Assert.True(ModelSpecificRegisters.TryRead(cpu.Cpu, (uint)index, out ulong value));
        return value;
    }

    /// <summary>Between two writes of DebugCtl a branch that is taken, and one that is not; another behind them.</summary>
    [Fact]
    public void BranchesAreRecordedWhileDebugCtlSaysSo() => OnEveryEngine(64, cpu =>
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            a.mov(ecx, 0x1D9);
            a.mov(eax, 1);
            a.xor(edx, edx);
            a.wrmsr();
            // JMP over a byte.
            a.db(0xEB, 0x01, 0xCC);
            a.xor(eax, eax);
            // JNE over a byte.
            a.db(0x75, 0x01, 0x90);
            a.wrmsr();
            a.db(0xEB, 0x01, 0xCC);
            a.nop();
        });
        Assert.Null(cpu.Execute(code, 11));
        Assert.Equal((0UL, BareCpu.CodeAddress + (ulong)code.Length), (cpu.State->DebugCtl, cpu.State->Rip));
        Assert.Equal((BareCpu.CodeAddress + 14, BareCpu.CodeAddress + 17), (ReadMsr(cpu, LastBranchFrom), ReadMsr(cpu, LastBranchFrom + 1)));
        Assert.Equal(Attention.None, cpu.State->Attention & Attention.Step);
    });

    /// <summary>#DB ends it, and leaves the record as it was.</summary>
    [Fact]
    public void ADebugExceptionEndsTheRecordingOfBranches() => OnEveryEngine(64, cpu =>
    {
        cpu.State->DebugCtl = 1;
        cpu.State->Dr[7] |= 1 << 13;
        DebugRegisters.Changed(cpu.State);
        cpu.Execute(BareCpu.Assemble(64, a => { a.db(0xEB, 0x01, 0xCC); a.mov(rax, dr0); }), 2);
        Assert.Equal((0UL, BareCpu.CodeAddress, BareCpu.CodeAddress + 3), (cpu.State->DebugCtl, ReadMsr(cpu, LastBranchFrom), ReadMsr(cpu, LastBranchFrom + 1)));
    });

    private const ulong Idt = 0x5_0000, Handlers = 0x5_8000;

    /// <summary>Gates of 64-bit mode for #DB and #BP.</summary>
    private static void SetHandlers(BareCpu cpu, Action<Assembler> debug, Action<Assembler> breakpoint)
    {
        cpu.State->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0xFFF };
        cpu.State->Gdtr = new DescriptorTableRegister { Base = Idt + 0x1000, Limit = 0x7F };
        cpu.Memory.Write(Idt + 0x1008, 0x00AF_9B00_0000_FFFFUL);
        cpu.Memory.Write(Idt + 0x1010, 0x00CF_9300_0000_FFFFUL);
        foreach ((ulong vector, Action<Assembler> write) in (ReadOnlySpan<(ulong, Action<Assembler>)>)[(1, debug), (3, breakpoint)])
        {
            ulong handler = Handlers + vector * 0x100;
            cpu.Memory.Write(Idt + vector * 16, (handler & 0xFFFF) | 8UL << 16 | 0x8EUL << 40 | (handler >> 16) << 48);
            cpu.Memory.Write(handler, BareCpu.Assemble(64, write, handler));
        }
    }

    [Fact]
    public void ASingleStepBehindHltEndsTheHalt() => OnEveryEngine(64, cpu =>
    {
        SetHandlers(cpu, a => { a.mov(ebx, 0x77); a.hlt(); }, a => a.hlt());
        cpu.State->SystemFlags |= Flags.Tf;
        FlagsChange.Watch(cpu.State);
        cpu.Execute(64, a => { a.hlt(); a.nop(); }, 4);
        Assert.Equal((0x77UL, BareCpu.CodeAddress + 1), (cpu.State->Rbx, cpu.Memory.Read<ulong>(cpu.State->Rsp)));
    });

    /// <summary>
    /// The trap of a data breakpoint waits behind MOV SS. INT1 takes it along; the handler of INT3 begins with it. Not with HardwareAssist, whose monitor
    /// does not carry a trap that is held off from an instruction that it emulates to the silicon.
    /// </summary>
    [Theory]
    [InlineData(0xF1, 1, 0)]
    [InlineData(0xCC, 1, 1)]
    public void ATrapHeldOffByMovSsComesOnce(byte instruction, ulong debug, ulong breakpoint) => OnEveryEngine(64, cpu =>
    {
        if (cpu.HasMonitor)
            return;
        SetHandlers(cpu, a => { a.inc(ebx); a.iretq(); }, a => { a.inc(esi); a.iretq(); });
        cpu.Memory.Write(Data, (ushort)0x10);
        cpu.State->Rdi = Data;
        cpu.State->Dr[0] = Data;
        cpu.State->Dr[7] |= 0x000F_0001;
        DebugRegisters.Changed(cpu.State);
        cpu.Execute(64, a => { a.mov(ss, __word_ptr[rdi]); a.db(instruction); a.hlt(); }, 20);
        Assert.Equal((debug, breakpoint, 1UL), (cpu.State->Rbx, cpu.State->Rsi, cpu.State->Dr[6] & 15));
    });

    [Fact]
    public void RegistersAboveFifteenAreInvalid() => OnEveryEngine(64, cpu =>
        // MOV RAX, DR8
        RaisesInvalidOpcode(cpu.Execute([0x44, 0x0F, 0x21, 0xC0])));
}
