using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS and the FSGSBASE instructions (AMD volume 2, 6.1; volume 3).</summary>
public unsafe class SystemCallTests
{
    private const ulong Target = 0x2_0000;

    private static void Prepare(BareCpu cpu)
    {
        CpuState* s = cpu.State;
        s->Efer |= Efer.Sce;
        s->Star = 0x0023_0010_0000_0000 | (uint)Target;
        s->LStar = Target;
        s->SysenterCs = 0x10;
        s->SysenterEip = Target;
        s->SysenterEsp = 0x7000;
    }

    private static (ushort Selector, int Dpl, bool Long, bool Big) Code(CpuState* s)
    {
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        return (cs->Selector, (int)cs->Attributes >> 5 & 3, cs->Long, cs->Big);
    }

    [Fact]
    public void SyscallIn64BitMode() => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->SfMask = Flags.If | Flags.Df;
        cpu.EnterUser();
        s->SystemFlags |= Flags.If | Flags.Df;
        s->StatusFlags = Flags.Cf | Flags.Zf;
        Assert.Null(cpu.Execute(64, a => a.syscall()));
        Assert.Equal((Target, BareCpu.CodeAddress + 2), (s->Rip, s->Rcx));
        Assert.Equal(0x643UL, s->Gpr[11]);
        Assert.Equal(0x43UL, Flags.Rflags(s));
        Assert.Equal((0x10, 0, true, false), Code(s));
        Assert.Equal((0x18, 0), (CpuState.Seg(s, Segment.Ss)->Selector, s->Cpl));
    });

    /// <summary>Whether the trap of a single-stepped SYSCALL comes depends on what the mask leaves of TF.</summary>
    [Theory, InlineData(true), InlineData(false)]
    public void ASingleStepEndsInTheKernelOnlyIfTfGetsThere(bool masked) => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->SfMask = masked ? Flags.Tf : 0;
        s->LStar = BareCpu.CodeAddress + 2;
        cpu.EnterUser();
        s->SystemFlags |= Flags.Tf;
        FlagsChange.Watch(s);
        ExceptionRecord? fault = cpu.Execute(64, a =>
        {
            a.syscall();
            a.nop();
            a.nop();
        }, 3);
        if (masked)
        {
            Assert.Null(fault);
            return;
        }
        Assert.Equal((Vector.Debug, BareCpu.CodeAddress + 2), (fault!.Value.Vector, fault.Value.Rip));
    });

    [Fact]
    public void SyscallInLegacyModeGoesToStarAndClearsIf() => OnEveryEngine(32, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        cpu.EnterUser();
        s->SystemFlags |= Flags.If;
        s->StatusFlags = Flags.Cf;
        Assert.Null(cpu.Execute(32, a => a.syscall()));
        Assert.Equal((Target, BareCpu.CodeAddress + 2), (s->Rip, s->Rcx));
        Assert.Equal(3UL, Flags.Rflags(s));
        Assert.Equal((0x10, 0, false, true), Code(s));
    });

    [Fact]
    public void SyscallInCompatibilityModeGoesToCstar() => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->CStar = Target + 0x100;
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        cs->Attributes = (cs->Attributes & ~SegmentAttributes.Long) | SegmentAttributes.Big;
        cpu.EnterUser();
        Assert.Null(cpu.Execute(32, a => a.syscall()));
        Assert.Equal((Target + 0x100, BareCpu.CodeAddress + 2), (s->Rip, s->Rcx));
        Assert.Equal((0x10, 0, true, false), Code(s));
    });

    [Fact]
    public void SysretTo64BitMode() => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->Rcx = Target;
        s->Gpr[11] = 0x3_7FD7;
        Assert.Null(cpu.Execute(64, a => a.sysretq()));
        Assert.Equal(Target, s->Rip);
        // RF and VM do not come back.
        Assert.Equal(0x7FD7UL, Flags.Rflags(s));
        Assert.Equal((0x33, 3, true, false), Code(s));
        Assert.Equal((0x2B, 3), (CpuState.Seg(s, Segment.Ss)->Selector, s->Cpl));
    });

    [Fact]
    public void SysretToCompatibilityMode() => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->Rcx = 0xFFFF_FFFF_0000_0000 | Target;
        s->Gpr[11] = 0x202;
        Assert.Null(cpu.Execute(64, a => a.sysret()));
        Assert.Equal(Target, s->Rip);
        Assert.Equal((0x23, 3, false, true), Code(s));
    });

    [Fact]
    public void BothNeedTheirEnableBit()
    {
        OnEveryEngine(64, cpu => RaisesInvalidOpcode(cpu.Execute(64, a => a.syscall())));
        OnEveryEngine(64, cpu => RaisesInvalidOpcode(cpu.Execute(64, a => a.sysretq())));
    }

    [Fact]
    public void SysretIsForTheKernel() => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        cpu.EnterUser();
        RaisesGeneralProtection(cpu.Execute(64, a => a.sysretq()));
    });

    /// <summary>Intel's processors refuse the return in the kernel, AMD's fault on the first fetch in user mode.</summary>
    [Theory, InlineData("Core2", 0), InlineData("Opteron", 3)]
    public void ReturnAddressesThatAreNotCanonical(string model, int level) => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        cpu.State->Rcx = 0x8000_0000_0000;
        ExceptionRecord? fault = cpu.Execute([0x48, 0x0F, 0x07], 2);
        Assert.Equal(Vector.GeneralProtection, fault?.Vector);
        Assert.Equal(level == 0 ? BareCpu.CodeAddress : 0x8000_0000_0000, fault?.Rip);
        Assert.Equal(level, fault?.CodeSelector & 3);
    }, model, "Page1Gb");

    [Theory, InlineData("Core2", true), InlineData("X86Virt", false)]
    public void IntelHasSyscallIn64BitModeAlone(string model, bool invalid) => OnEveryEngine(32, cpu =>
    {
        Prepare(cpu);
        ExceptionRecord? fault = cpu.Execute(32, a => a.syscall());
        if (invalid)
            RaisesInvalidOpcode(fault);
        else
            Assert.Null(fault);
    }, model);

    [Fact]
    public void SysenterInProtectedMode() => OnEveryEngine(32, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        cpu.EnterUser();
        s->SystemFlags |= Flags.If;
        Assert.Null(cpu.Execute(32, a => a.sysenter()));
        Assert.Equal((Target, 0x7000UL), (s->Rip, s->Rsp));
        Assert.Equal(0u, s->SystemFlags & Flags.If);
        Assert.Equal((0x10, 0, false, true), Code(s));
        Assert.Equal(0x18, CpuState.Seg(s, Segment.Ss)->Selector);
    });

    [Fact]
    public void SysexitInProtectedMode() => OnEveryEngine(32, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->Rdx = Target;
        s->Rcx = 0x6000;
        Assert.Null(cpu.Execute(32, a => a.sysexit()));
        Assert.Equal((Target, 0x6000UL), (s->Rip, s->Rsp));
        Assert.Equal((0x23, 3, false, true), Code(s));
        Assert.Equal((0x2B, 3), (CpuState.Seg(s, Segment.Ss)->Selector, s->Cpl));
    });

    [Theory, InlineData(true), InlineData(false)]
    public void SysexitIn64BitMode(bool canonical) => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        CpuState* s = cpu.State;
        s->Rdx = 0x7FFF_0000_1000;
        s->Rcx = canonical ? 0x7FFF_0000_8000UL : 0x8000_0000_0000;
        ExceptionRecord? fault = cpu.Execute(64, a => a.sysexitq());
        if (!canonical)
        {
            RaisesGeneralProtection(fault);
            return;
        }
        Assert.Null(fault);
        Assert.Equal((s->Rdx, s->Rcx), (s->Rip, s->Rsp));
        Assert.Equal((0x33, 3, true, false), Code(s));
        Assert.Equal(0x3B, CpuState.Seg(s, Segment.Ss)->Selector);
    }, "Core2", "Page1Gb");

    [Theory, InlineData("Core2"), InlineData("X86Virt")]
    public void SysenterInLongModeIsIntels(string model) => OnEveryEngine(64, cpu =>
    {
        Prepare(cpu);
        cpu.State->SysenterEsp = 0xFFFF_8000_0000_0000;
        ExceptionRecord? fault = cpu.Execute(64, a => a.sysenter());
        if (model == "X86Virt")
        {
            RaisesInvalidOpcode(fault);
            return;
        }
        Assert.Null(fault);
        Assert.Equal((Target, 0xFFFF_8000_0000_0000), (cpu.State->Rip, cpu.State->Rsp));
        Assert.Equal((0x10, 0, true, false), Code(cpu.State));
    }, model, "Page1Gb");

    [Fact]
    public void SysenterNeedsASelectorAndProtectedMode()
    {
        OnEveryEngine(32, cpu =>
        {
            Prepare(cpu);
            cpu.State->SysenterCs = 3;
            RaisesGeneralProtection(cpu.Execute(32, a => a.sysenter()));
        });
        OnEveryEngine(16, cpu =>
        {
            Prepare(cpu);
            cpu.Execute(16, a => a.sysenter());
            Assert.Equal(Vector.GeneralProtection, cpu.FirstFault);
        });
        OnEveryEngine(32, cpu =>
        {
            Prepare(cpu);
            cpu.EnterUser();
            RaisesGeneralProtection(cpu.Execute(32, a => a.sysexit()));
        });
    }

    [Fact]
    public void SwapgsExchangesTheBases() => OnEveryEngine(64, cpu =>
    {
        cpu.State->KernelGsBase = Data;
        CpuState.Seg(cpu.State, Segment.Gs)->Base = 0x1234;
        cpu.Memory.Write(Data, 77U);
        Assert.Null(cpu.Execute(64, a =>
        {
            a.swapgs();
            a.mov(eax, __dword_ptr.gs[0]);
        }, 2));
        Assert.Equal(77UL, cpu.State->Rax);
        Assert.Equal(0x1234UL, cpu.State->KernelGsBase);
    });

    [Fact]
    public void SwapgsIsForTheKernelIn64BitMode()
    {
        OnEveryEngine(64, cpu =>
        {
            cpu.EnterUser();
            RaisesGeneralProtection(cpu.Execute(64, a => a.swapgs()));
        });
        OnEveryEngine(32, cpu => RaisesInvalidOpcode(cpu.Execute([0x0F, 0x01, 0xF8])));
    }

    [Fact]
    public void BasesCanBeReadAndWrittenByUserCodeIfTheKernelLetsIt()
    {
        OnEveryEngine(64, cpu =>
        {
            cpu.EnterUser();
            RaisesInvalidOpcode(cpu.Execute(64, a => a.rdfsbase(rax)));
        });
        OnEveryEngine(64, cpu =>
        {
            cpu.State->Cr4 |= Cr4.Fsgsbase;
            cpu.EnterUser();
            cpu.State->Rax = 0xFFFF_8000_0000_1234;
            Assert.Null(cpu.Execute(64, a =>
            {
                a.wrgsbase(rax);
                a.rdgsbase(rbx);
                a.wrfsbase(eax);
                a.rdfsbase(rcx);
                a.rdgsbase(edx);
            }, 5));
            Assert.Equal((0xFFFF_8000_0000_1234, 0x1234UL, 0x1234UL), (cpu.State->Rbx, cpu.State->Rcx, cpu.State->Rdx));
        });
        OnEveryEngine(64, cpu =>
        {
            cpu.State->Cr4 |= Cr4.Fsgsbase;
            cpu.State->Rax = 0x8000_0000_0000;
            RaisesGeneralProtection(cpu.Execute(64, a => a.wrfsbase(rax)));
        });
    }

    /// <summary>Calls to a monitor that is not there.</summary>
    [Theory, InlineData(0xD9), InlineData(0xC1), InlineData(0xD8), InlineData(0xDD)]
    public void HypervisorCallsAreInvalid(byte operation) => OnEveryEngine(64, cpu => RaisesInvalidOpcode(cpu.Execute([0x0F, 0x01, operation])));
}
