using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR and UMIP (AMD volume 3).</summary>
public unsafe class DescriptorTableTests
{
    private const ulong Table = 0x7000;

    /// <summary>A table of descriptors at <see cref="Table"/>; the first is selector 8.</summary>
    private static void SetTable(BareCpu cpu, params ulong[] descriptors)
    {
        cpu.State->Gdtr = new DescriptorTableRegister { Base = Table, Limit = (uint)(descriptors.Length + 1) * 8 - 1 };
        for (int i = 0; i < descriptors.Length; i++)
            cpu.Memory.Write(Table + 8 + (ulong)i * 8, descriptors[i]);
    }

    private static ulong System(ulong type, bool present = true) => 0x67 | 0x1_0000UL << 16 | type << 40 | (present ? 1UL << 47 : 0);

    [Fact]
    public void A64BitLoadTakesTenBytes() => OnEveryEngine(64, cpu =>
    {
        cpu.Memory.Write(Data, (ushort)0x1234);
        cpu.Memory.Write(Data + 2, 0xFFFF_8000_0000_1000);
        Assert.Null(cpu.Execute(64, a => a.lidt(__[Data])));
        Assert.Equal((0xFFFF_8000_0000_1000, 0x1234u), (cpu.State->Idtr.Base, cpu.State->Idtr.Limit));
    });

    [Fact]
    public void A16BitLoadTakes24BitsOfBase() => OnEveryEngine(16, cpu =>
    {
        cpu.Memory.Write(Data, 0xAB12_3456_0FFFUL);
        Assert.Null(cpu.Execute([0x0F, 0x01, 0x16, 0x00, 0x80]));
        Assert.Equal((0x12_3456UL, 0xFFFu), (cpu.State->Gdtr.Base, cpu.State->Gdtr.Limit));
        Assert.Null(cpu.Execute([0x66, 0x0F, 0x01, 0x16, 0x00, 0x80]));
        Assert.Equal(0xAB12_3456UL, cpu.State->Gdtr.Base);
    });

    [Fact]
    public void AStoreWritesAllOfTheBase() => OnEveryEngine(16, cpu =>
    {
        cpu.State->Idtr = new DescriptorTableRegister { Base = 0xAB12_3456, Limit = 0x3FF };
        Assert.Null(cpu.Execute([0x0F, 0x01, 0x0E, 0x00, 0x80]));
        Assert.Equal(0xAB12_3456_03FFUL, cpu.Memory.Read<ulong>(Data) & 0xFFFF_FFFF_FFFF);
    });

    [Fact]
    public void ABaseThatIsNotCanonicalIsRefused() => OnEveryEngine(64, cpu =>
    {
        ulong before = cpu.State->Gdtr.Base;
        cpu.Memory.Write(Data + 2, 0x8000_0000_0000UL);
        RaisesGeneralProtection(cpu.Execute(64, a => a.lgdt(__[Data])));
        Assert.Equal(before, cpu.State->Gdtr.Base);
    });

    [Fact]
    public void RegisterFormsAreOtherInstructions() => OnEveryEngine(64, cpu =>
    {
        cpu.EnterUser();
        // LIDT with a register operand: VMSAVE, which is not there.
        RaisesInvalidOpcode(cpu.Execute([0x0F, 0x01, 0xDB]));
    });

    [Fact]
    public void UserCodeMayNotLoad()
    {
        byte[][] instructions =
        [
            BareCpu.Assemble(64, a => a.lgdt(__[Data])),
            BareCpu.Assemble(64, a => a.lidt(__[Data])),
            BareCpu.Assemble(64, a => a.lldt(ax)),
            BareCpu.Assemble(64, a => a.ltr(ax)),
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

    [Theory, InlineData(false), InlineData(true)]
    public void UserModeInstructionPrevention(bool on)
    {
        byte[][] instructions =
        [
            BareCpu.Assemble(64, a => a.sgdt(__[Data])),
            BareCpu.Assemble(64, a => a.sidt(__[Data])),
            BareCpu.Assemble(64, a => a.sldt(eax)),
            BareCpu.Assemble(64, a => a.str(eax)),
            BareCpu.Assemble(64, a => a.smsw(eax)),
            BareCpu.Assemble(64, a => a.smsw(__word_ptr[Data])),
        ];
        foreach (byte[] instruction in instructions)
        {
            OnEveryEngine(64, cpu =>
            {
                if (on)
                    cpu.State->Cr4 |= Cr4.Umip;
                cpu.EnterUser();
                ExceptionRecord? fault = cpu.Execute(instruction);
                if (on)
                    RaisesGeneralProtection(fault);
                else
                    Assert.Null(fault);
            });
        }
    }

    [Fact]
    public void LocalTablesAndTasksNeedProtectedMode()
    {
        byte[][] instructions =
        [
            BareCpu.Assemble(16, a => a.lldt(ax)),
            BareCpu.Assemble(16, a => a.ltr(ax)),
            BareCpu.Assemble(16, a => a.sldt(ax)),
            BareCpu.Assemble(16, a => a.str(ax)),
            BareCpu.Assemble(16, a => a.verr(ax)),
            BareCpu.Assemble(16, a => a.lar(ax, cx)),
        ];
        foreach (byte[] instruction in instructions)
            OnEveryEngine(16, cpu => RaisesInvalidOpcode(cpu.Execute(instruction)));
    }

    [Fact]
    public void LtrLoadsAnAvailableTaskAndMarksItBusy() => OnEveryEngine(32, cpu =>
    {
        SetTable(cpu, System(0x9));
        cpu.State->Rax = 8;
        Assert.Null(cpu.Execute(32, a => a.ltr(ax)));
        SegmentRegister* tr = CpuState.Seg(cpu.State, Segment.Tr);
        Assert.Equal((8, 0x1_0000UL, 0x67u, 0xB), (tr->Selector, tr->Base, tr->Limit, tr->Type));
        Assert.Equal(System(0xB), cpu.Memory.Read<ulong>(Table + 8));
    });

    [Fact]
    public void LtrIn64BitModeTakesASixteenByteDescriptor() => OnEveryEngine(64, cpu =>
    {
        SetTable(cpu, System(0x9), 0xFFFF_8000);
        cpu.State->Rax = 8;
        Assert.Null(cpu.Execute(64, a => a.ltr(ax)));
        Assert.Equal(0xFFFF_8000_0001_0000, CpuState.Seg(cpu.State, Segment.Tr)->Base);
    });

    [Theory]
    [InlineData(0, 0u, Processor.Vector.GeneralProtection)] // The null selector.
    [InlineData(8, 8u, Processor.Vector.GeneralProtection)] // A busy task.
    [InlineData(0x10, 0x10u, Processor.Vector.SegmentNotPresent)]
    [InlineData(0x18, 0x18u, Processor.Vector.GeneralProtection)] // A data segment.
    [InlineData(0x20, 0x20u, Processor.Vector.GeneralProtection)] // A local descriptor table.
    [InlineData(0x28, 0x28u, Processor.Vector.GeneralProtection)] // Behind the limit.
    [InlineData(0x2C, 0x2Cu, Processor.Vector.GeneralProtection)] // In the LDT.
    public void LtrRefuses(ushort selector, uint errorCode, Vector vector) => OnEveryEngine(32, cpu =>
    {
        SetTable(cpu, System(0xB), System(0x9, present: false), 0x00CF_9300_0000_FFFF, System(0x2));
        cpu.State->Rax = selector;
        Raises(vector, errorCode, cpu.Execute(32, a => a.ltr(ax)));
        Assert.Equal(System(0xB), cpu.Memory.Read<ulong>(Table + 8));
    });

    [Fact]
    public void LldtTakesTheNullSelectorAndTables() => OnEveryEngine(32, cpu =>
    {
        SetTable(cpu, System(0x2));
        cpu.State->Rax = 8;
        cpu.State->Rbx = 3;
        Assert.Null(cpu.Execute(32, a =>
        {
            a.lldt(ax);
            a.sldt(ecx);
        }, 2));
        Assert.Equal(8UL, cpu.State->Rcx);
        Assert.Equal(0x1_0000UL, CpuState.Seg(cpu.State, Segment.Ldtr)->Base);
        Assert.Null(cpu.Execute(32, a => a.lldt(bx)));
        Assert.False(CpuState.Seg(cpu.State, Segment.Ldtr)->Present);
    });

    [Theory]
    [InlineData(8, 8u, Processor.Vector.GeneralProtection)] // A task.
    [InlineData(0x10, 0x10u, Processor.Vector.SegmentNotPresent)]
    public void LldtRefuses(ushort selector, uint errorCode, Vector vector) => OnEveryEngine(32, cpu =>
    {
        SetTable(cpu, System(0x9), System(0x2, present: false));
        cpu.State->Rax = selector;
        Raises(vector, errorCode, cpu.Execute(32, a => a.lldt(ax)));
    });

    /// <summary>LAR, LSL, VERR and VERW answer with ZF and leave the destination alone when the answer is no.</summary>
    [Theory]
    [InlineData(0x08, true, true, true)] // Writable data.
    [InlineData(0x10, false, false, true)] // Execute-only code.
    [InlineData(0x18, false, false, true)] // An available task.
    [InlineData(0x20, false, false, false)] // An interrupt gate.
    [InlineData(0x0B, false, false, false)] // Data of level 0 asked for with RPL 3.
    [InlineData(0x00, false, false, false)]
    [InlineData(0xF8, false, false, false)] // Behind the limit.
    public void SelectorQueries(ushort selector, bool readable, bool writable, bool known) => OnEveryEngine(32, cpu =>
    {
        SetTable(cpu, 0x00CF_9300_0000_FFFF, 0x00CF_9900_0000_FFFF, System(0x9), System(0xE));
        cpu.State->Rax = selector;
        bool Asked(Action<Assembler> query)
        {
            cpu.State->Rbx = 0x5555_5555;
            Assert.Null(cpu.Execute(32, query));
            return (cpu.State->StatusFlags & Flags.Zf) != 0;
        }
        Assert.Equal(readable, Asked(a => a.verr(ax)));
        Assert.Equal(writable, Asked(a => a.verw(ax)));
        Assert.Equal(known, Asked(a => a.lsl(ebx, eax)));
        Assert.Equal(!known ? 0x5555_5555u : selector == 0x18 ? 0x67u : 0xFFFF_FFFFu, cpu.State->Rbx);
        Assert.Equal(known, Asked(a => a.lar(ebx, eax)));
        Assert.Equal(!known ? 0x5555_5555u : selector switch { 0x08 => 0x00CF_9300u, 0x10 => 0x00CF_9900u, _ => 0x8900u }, cpu.State->Rbx);
    });

    [Fact]
    public void ArplRaisesThePrivilegeLevelAsked() => OnEveryEngine(32, cpu =>
    {
        cpu.State->Rax = 0x10;
        cpu.State->Rbx = 0x2B;
        Assert.Null(cpu.Execute(32, a => a.arpl(ax, bx)));
        Assert.Equal(0x13UL, cpu.State->Rax);
        Assert.NotEqual(0u, cpu.State->StatusFlags & Flags.Zf);
        Assert.Null(cpu.Execute(32, a => a.arpl(ax, bx)));
        Assert.Equal(0u, cpu.State->StatusFlags & Flags.Zf);
    });
}
