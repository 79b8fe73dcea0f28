using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>MOV CRn and what control registers accept (AMD volume 2, 3.1; volume 3, MOV CRn).</summary>
public unsafe class ControlRegisterTests
{
    private const ulong LongCr0 = Cr0.Pg | Cr0.Et | Cr0.Pe;

    [Theory]
    [InlineData(32, Cr0.Pg)] // Paging without protection.
    [InlineData(32, Cr0.Pe | Cr0.Nw)] // Not write-through without cache disable.
    [InlineData(64, LongCr0 | 1UL << 32)]
    [InlineData(64, LongCr0 | 1UL << 63)]
    [InlineData(64, Cr0.Pe)] // Paging off in 64-bit mode.
    public void Cr0Refuses(int bitness, ulong value) => OnEveryEngine(bitness, cpu =>
    {
        ulong before = cpu.State->Cr0;
        cpu.State->Rax = value;
        RaisesGeneralProtection(cpu.Execute(bitness, a =>
        {
            if (bitness == 64)
                a.mov(cr0, rax);
            else
                a.mov(cr0, eax);
        }));
        Assert.Equal(before, cpu.State->Cr0);
    });

    [Fact]
    public void Cr0KeepsItsReservedBitsClearAndEtSet() => OnEveryEngine(32, cpu =>
    {
        cpu.State->Rax = 0x7FFF_FFFF & ~Cr0.Et;
        Assert.Null(cpu.Execute(32, a => a.mov(cr0, eax)));
        Assert.Equal(0x6005_003FUL, cpu.State->Cr0);
    });

    [Fact]
    public void Cr0RefusesPagingInLongModeWithoutPae() => OnEveryEngine(32, cpu =>
    {
        cpu.State->Efer = Efer.Lme;
        cpu.State->Rax = Cr0.Pg | Cr0.Pe;
        RaisesGeneralProtection(cpu.Execute(32, a => a.mov(cr0, eax)));
        Assert.Equal(Efer.Lme, cpu.State->Efer);
    });

    [Fact]
    public void Cr0RefusesPagingInLongModeFromCodeMarkedLong() => OnEveryEngine(32, cpu =>
    {
        CpuState.Seg(cpu.State, Segment.Cs)->Attributes |= SegmentAttributes.Long;
        cpu.State->Efer = Efer.Lme;
        cpu.State->Cr4 = Cr4.Pae;
        cpu.State->Rax = Cr0.Pg | Cr0.Pe;
        RaisesGeneralProtection(cpu.Execute(32, a => a.mov(cr0, eax)));
    });

    [Fact]
    public void LongModeIsEnteredAndLeftThroughPaging() => OnEveryEngine(32, cpu =>
    {
        CpuState* s = cpu.State;
        cpu.Memory.Write(0x1000, 0x2003UL);
        cpu.Memory.Write(0x2000, 0x83UL);
        s->Cr3 = 0x1000;
        s->Rbx = Cr4.Pae;
        s->Rcx = 0xC000_0080;
        s->Rdx = 0;
        s->Rax = Efer.Lme;
        s->Rsi = Cr0.Pg | Cr0.Pe;
        byte[] enter = BareCpu.Assemble(32, a =>
        {
            a.mov(cr4, ebx);
            a.wrmsr();
            a.mov(cr0, esi);
            a.rdmsr();
        });
        Assert.Null(cpu.Execute(enter, 4));
        Assert.Equal(Efer.Lme | Efer.Lma, s->Rax);
        Assert.True(s->LongMode);
        Assert.False(s->Code64);

        s->Rsi = Cr0.Pe;
        Assert.Null(cpu.Execute(32, a => a.mov(cr0, esi)));
        Assert.Equal(Efer.Lme, s->Efer);
    });

    [Fact]
    public void Cr0RefusesPagingOffWhilePcidIsOn() => OnEveryEngine(64, cpu =>
    {
        // Compatibility mode, where paging may be switched off otherwise.
        CpuState.Seg(cpu.State, Segment.Cs)->Attributes = (CpuState.Seg(cpu.State, Segment.Cs)->Attributes & ~SegmentAttributes.Long) | SegmentAttributes.Big;
        cpu.State->Cr4 |= Cr4.Pcide;
        ModeChange.Update(cpu.Cpu);
        cpu.State->Rax = Cr0.Pe;
        RaisesGeneralProtection(cpu.Execute(32, a => a.mov(cr0, eax)));
    });

    [Fact]
    public void Cr4RefusesEachBitThatTheModelLacks()
    {
        foreach (string model in ProcessorModels.Names)
        {
            ulong defined = ProcessorModel.Parse(model, []).Cr4Bits;
            int reserved = 0;
            for (int bit = 0; bit < 32; bit++)
            {
                if ((defined >> bit & 1) != 0 || bit == 17)
                    continue;
                using var cpu = new BareCpu(32, BareCpu.Engines["Interpreter"], model: ProcessorModel.Parse(model, []));
                cpu.State->Rax = 1UL << bit;
                RaisesGeneralProtection(cpu.Execute(32, a => a.mov(cr4, eax)));
                reserved++;
            }
            Assert.True(reserved > 0, model);
        }
    }

    [Fact]
    public void Cr4AcceptsAllThatTheModelHas() => OnEveryEngine(64, cpu =>
    {
        ulong all = cpu.Cpu.Model.Cr4Bits & ~Cr4.Smap;
        cpu.State->Rax = all;
        Assert.Null(cpu.Execute(64, a => a.mov(cr4, rax)));
        Assert.Equal(all, cpu.State->Cr4);
    });

    [Theory]
    [InlineData(0UL)] // PAE cannot go in long mode.
    [InlineData(Cr4.Pae | 1UL << 32)]
    [InlineData(Cr4.Pae | Cr4.La57)]
    public void Cr4RefusesInLongMode(ulong value) => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rax = value;
        RaisesGeneralProtection(cpu.Execute(64, a => a.mov(cr4, rax)));
    });

    [Fact]
    public void PcidNeedsLongModeAndContextZero()
    {
        OnEveryEngine(32, cpu =>
        {
            cpu.State->Rax = Cr4.Pcide;
            RaisesGeneralProtection(cpu.Execute(32, a => a.mov(cr4, eax)));
        });
        OnEveryEngine(64, cpu =>
        {
            cpu.State->Cr3 |= 8;
            cpu.State->Rax = cpu.State->Cr4 | Cr4.Pcide;
            RaisesGeneralProtection(cpu.Execute(64, a => a.mov(cr4, rax)));
        });
    }

    [Fact]
    public void FiveLevelPagingGivesMoreCanonicalAddresses() => OnEveryEngine(32, cpu =>
    {
        CpuState* s = cpu.State;
        cpu.Memory.Write(0x1000, 0x2003UL);
        cpu.Memory.Write(0x2000, 0x3003UL);
        cpu.Memory.Write(0x3000, 0x83UL);
        // Another entry of the first level: bit 48 of linear addresses.
        cpu.Memory.Write(0x1008, 0x2003UL);
        s->Cr3 = 0x1000;
        s->Cr4 = Cr4.Pae | Cr4.La57;
        s->Efer = Efer.Lme | Efer.Lma;
        s->Cr0 |= Cr0.Pg;
        CpuState.Seg(s, Segment.Cs)->Attributes = (CpuState.Seg(s, Segment.Cs)->Attributes & ~SegmentAttributes.Big) | SegmentAttributes.Long;
        ModeChange.Update(cpu.Cpu);
        cpu.Memory.Write(Data, 0x1234_5678U);
        s->Rbx = 1UL << 48 | Data;
        Assert.Null(cpu.Execute(64, a => a.mov(eax, __dword_ptr[rbx])));
        Assert.Equal(0x1234_5678UL, s->Rax);
        s->Rbx = 1UL << 56;
        RaisesGeneralProtection(cpu.Execute(64, a => a.mov(eax, __dword_ptr[rbx])));
    }, null, "La57");

    [Fact]
    public void Cr3RefusesAddressesThatTheProcessorLacks() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rax = 0x1000 | 1UL << cpu.Cpu.PhysicalAddressBits;
        RaisesGeneralProtection(cpu.Execute(64, a => a.mov(cr3, rax)));
        Assert.Equal(0x1000UL, cpu.State->Cr3);
    });

    [Theory, InlineData(false), InlineData(true)]
    public void Cr3TakesTheNoFlushBitWithPcidOnly(bool pcid) => OnEveryEngine(64, cpu =>
    {
        if (pcid)
            cpu.State->Cr4 |= Cr4.Pcide;
        cpu.State->Rax = 0x1005 | 1UL << 63;
        ExceptionRecord? fault = cpu.Execute(64, a => a.mov(cr3, rax));
        if (!pcid)
        {
            RaisesGeneralProtection(fault);
            return;
        }
        Assert.Null(fault);
        // The bit itself is not kept.
        Assert.Equal(0x1005UL, cpu.State->Cr3);
    });

    [Fact]
    public void Cr2ReadsAsWritten() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rax = 0xFEDC_BA98_7654_3210;
        Assert.Null(cpu.Execute(64, a =>
        {
            a.mov(cr2, rax);
            a.mov(rbx, cr2);
        }, 2));
        Assert.Equal(0xFEDC_BA98_7654_3210, cpu.State->Rbx);
    });

    [Fact]
    public void Cr8IsTheTaskPriority()
    {
        OnEveryEngine(64, cpu =>
        {
            cpu.State->Rax = 9;
            Assert.Null(cpu.Execute(64, a =>
            {
                a.mov(cr8, rax);
                a.mov(rbx, cr8);
            }, 2));
            Assert.Equal(9UL, cpu.Bus.TaskPriority);
            Assert.Equal(9UL, cpu.State->Rbx);
        });
        OnEveryEngine(64, cpu =>
        {
            cpu.State->Rax = 16;
            RaisesGeneralProtection(cpu.Execute(64, a => a.mov(cr8, rax)));
        });
    }

    /// <summary>AMD's processors reach CR8 outside 64-bit mode by a LOCK prefix on MOV CR0.</summary>
    [Theory, InlineData("X86Virt", true), InlineData("Haswell", false), InlineData("Opteron", false)]
    public void Cr8HasASecondEncoding(string model, bool known) => OnEveryEngine(32, cpu =>
    {
        cpu.Bus.TaskPriority = 5;
        ExceptionRecord? fault = cpu.Execute([0xF0, 0x0F, 0x20, 0xC3]);
        if (!known)
        {
            RaisesInvalidOpcode(fault);
            return;
        }
        Assert.Null(fault);
        Assert.Equal(5UL, cpu.State->Rbx);
        cpu.State->Rbx = 7;
        Assert.Null(cpu.Execute([0xF0, 0x0F, 0x22, 0xC3]));
        Assert.Equal(7UL, cpu.Bus.TaskPriority);
        Assert.True(cpu.State->ProtectedMode);
    }, model);

    /// <summary>MOV from CR1, CR5, CR6, CR7, and to them; no such register is #UD at any privilege level.</summary>
    [Theory]
    [InlineData(0x20), InlineData(0x22)]
    public void MissingRegistersAreInvalid(byte opcode)
    {
        foreach (int number in new[] { 1, 5, 6, 7 })
        {
            OnEveryEngine(64, cpu =>
            {
                cpu.EnterUser();
                RaisesInvalidOpcode(cpu.Execute([0x0F, opcode, (byte)(0xC0 | number << 3)]));
            });
        }
    }

    [Fact]
    public void UserCodeHasNone()
    {
        byte[][] instructions =
        [
            BareCpu.Assemble(64, a => a.mov(rax, cr0)),
            BareCpu.Assemble(64, a => a.mov(cr0, rax)),
            BareCpu.Assemble(64, a => a.mov(cr3, rax)),
            BareCpu.Assemble(64, a => a.mov(rax, cr8)),
            BareCpu.Assemble(64, a => a.clts()),
            BareCpu.Assemble(64, a => a.lmsw(ax)),
        ];
        foreach (byte[] instruction in instructions)
        {
            OnEveryEngine(64, cpu =>
            {
                cpu.EnterUser();
                RaisesGeneralProtection(cpu.Execute(instruction));
            });
        }
    }

    /// <summary>The operand-size prefix and mod bits mean nothing to MOV CRn.</summary>
    [Fact]
    public void ModBitsAreIgnored() => OnEveryEngine(32, cpu =>
    {
        Assert.Null(cpu.Execute([0x66, 0x0F, 0x20, 0x03]));
        Assert.Equal(cpu.State->Cr0, cpu.State->Rbx);
    });

    [Fact]
    public void LmswSetsProtectionButCannotClearIt()
    {
        OnEveryEngine(16, cpu =>
        {
            cpu.State->Rax = 0xFFF1;
            Assert.Null(cpu.Execute(16, a => a.lmsw(ax)));
            Assert.True(cpu.State->ProtectedMode);
            Assert.Equal(0UL, cpu.State->Cr0 & (Cr0.Mp | Cr0.Em | Cr0.Ts));
        });
        OnEveryEngine(32, cpu =>
        {
            cpu.State->Rax = 0x8;
            Assert.Null(cpu.Execute(32, a => a.lmsw(ax)));
            Assert.Equal(Cr0.Pe | Cr0.Ts, cpu.State->Cr0 & (Cr0.Pe | Cr0.Mp | Cr0.Em | Cr0.Ts));
        });
    }

    [Fact]
    public void SmswStoresAllOfCr0InARegisterAndAWordInMemory() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Cr0 |= Cr0.Wp | Cr0.Am;
        cpu.Memory.Write(Data, ulong.MaxValue);
        cpu.State->Rbx = cpu.State->Rcx = ulong.MaxValue;
        Assert.Null(cpu.Execute(64, a =>
        {
            a.smsw(rax);
            a.smsw(ecx);
            a.smsw(bx);
            a.smsw(__word_ptr[Data]);
        }, 4));
        Assert.Equal(cpu.State->Cr0, cpu.State->Rax);
        Assert.Equal(cpu.State->Cr0, cpu.State->Rcx);
        Assert.Equal(0xFFFF_FFFF_FFFF_0000 | (ushort)cpu.State->Cr0, cpu.State->Rbx);
        Assert.Equal(0xFFFF_FFFF_FFFF_0000 | (ushort)cpu.State->Cr0, cpu.Memory.Read<ulong>(Data));
    });

    [Fact]
    public void CltsClearsTs() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Cr0 |= Cr0.Ts;
        Assert.Null(cpu.Execute(64, a => a.clts()));
        Assert.Equal(0UL, cpu.State->Cr0 & Cr0.Ts);
    });
}
