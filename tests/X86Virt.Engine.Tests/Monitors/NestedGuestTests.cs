using Iced.Intel;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Svm;
using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>
/// A guest that is a hypervisor, under a monitor. What its SVM does is tested with every engine's (Svm); here, that its guest runs on the silicon, and what
/// of the monitor's own is in the way of that.
/// </summary>
public sealed unsafe class NestedGuestTests
{
    private const int Loops = 20_000;

    public static TheoryData<string, bool> Monitors()
    {
        var data = new TheoryData<string, bool>();
        foreach (string engine in new[] { "HardwareAssist, nested", "HardwareAssist, shadow", "HardwareAssist, first generation" })
        {
            data.Add(engine, false);
            data.Add(engine, true);
        }
        return data;
    }

    /// <summary>A loop with loads and stores, and an instruction that the hypervisor intercepts.</summary>
    private static void RunLoop(BareCpu cpu, bool nestedPaging)
    {
        var bench = new GuestBench(cpu);
        if (nestedPaging)
            bench.NestPages();
        bench.Intercepting(SvmExitCode.Cpuid);
        bench.Guest(a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, Loops);
            a.mov(ebx, 0x3_8000);
            a.Label(ref again);
            a.inc(__qword_ptr[rbx]);
            a.dec(ecx);
            a.jnz(again);
            a.cpuid();
        });
        bench.Enter(1_000_000);
        Assert.Equal((false, SvmExitCode.Cpuid, (ulong)Loops), (cpu.State->GuestMode, bench.Vmcb->ExitCode, cpu.Memory.Read<ulong>(0x3_8000)));
    }

    /// <summary>It exits for the pages that it touches, and for what its hypervisor wants to see.</summary>
    [Theory]
    [MemberData(nameof(Monitors))]
    public void TheSiliconRunsTheGuestsGuest(string engine, bool nestedPaging)
    {
        using var cpu = new BareCpu(64, BareCpu.SystemEngines[engine], model: ProcessorModel.Parse(null, ["Svm"]));
        RunLoop(cpu, nestedPaging);
        ExitRing exits = ((HardwareAssist)cpu.Engine).Exits.All;
        Assert.InRange(exits.Count, 5, 60);
        List<ExitEntry> all = exits.ReadBeyond(0, (int)exits.Count, out _);
        Assert.Equal((SvmExitCode.Cpuid, true), (all.Last(e => e.IsNested).Code, all[^1].Code is SvmExitCode.Vmsave));
        Assert.Equal(2, VmExit.Of("machine", all.Last(e => e.IsNested), 1, default).Level);
        Assert.Equal(1, VmExit.Of("machine", all[^1], 1, default).Level);
    }

    [Theory]
    [MemberData(nameof(Monitors))]
    public void InstructionsAreCountedAsWithoutAMonitor(string engine, bool nestedPaging)
    {
        long Count(string name)
        {
            using var cpu = new BareCpu(64, BareCpu.SystemEngines[name], model: ProcessorModel.Parse(null, ["Svm"]));
            RunLoop(cpu, nestedPaging);
            return cpu.State->Retired;
        }
        Assert.Equal(Count("Interpreter"), Count(engine));
    }

    /// <summary>Into the guest's guest, through it and out of it, instruction by instruction; each leaves RIP at what comes next.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void StepsAreThoseOfOtherEngines(bool nestedPaging)
    {
        List<(bool, ulong, ulong, long)>? reference = null;
        SystemBench.OnEveryEngine(64, cpu =>
        {
            var bench = new GuestBench(cpu);
            if (nestedPaging)
                bench.NestPages();
            bench.Intercepting(SvmExitCode.Exception0 + (ulong)Vector.InvalidOpcode);
            bench.Guest(a => { a.mov(ebx, 0x3_8000); a.inc(__qword_ptr[rbx]); a.push(rbx); a.cpuid(); a.ud2(); });
            cpu.Memory.Write(BareCpu.CodeAddress, BareCpu.Assemble(64, a => { a.clgi(); a.vmload(); a.vmrun(); a.vmsave(); a.stgi(); a.nop(); }));
            cpu.State->Rax = GuestBench.VmcbAddress;
            var steps = new List<(bool, ulong, ulong, long)>();
            for (int step = 0; step < 11; step++)
            {
                cpu.Engine.Step();
                // What the instruction brought about.
                cpu.Cpu.SetDeadline(cpu.State->Retired);
                cpu.Continue();
                steps.Add((cpu.State->GuestMode, cpu.State->Rip, cpu.State->Rsp, cpu.State->Retired));
            }
            Assert.Equal(reference ?? steps, steps);
            reference = steps;
        }, null, "Svm");
        // VMRUN, the guest's four instructions, and the one that faults.
        Assert.Equal([false, false, true, true, true, true, true, false, false, false, false], reference!.Select(s => s.Item1));
    }

    /// <summary>The silicon has SVM all the time, and would tell of the privilege level.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void WithoutSvmeItsInstructionsAreInvalid(int level) => SystemBench.OnEveryEngine(64, cpu =>
    {
        if (level == 3)
            cpu.EnterUser();
        SystemBench.RaisesInvalidOpcode(cpu.Execute(64, a => a.vmrun()));
    }, null, "Svm");

    /// <summary>An interrupt that waits for IF has the monitor wait for a window; an NMI need not.</summary>
    [Fact]
    public void AnNmiComesThroughWhileAnInterruptWaits() => SystemBench.OnEveryEngine(64, cpu =>
    {
        var bench = new GuestBench(cpu);
        cpu.State->Idtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt, Limit = 0xFFF };
        cpu.State->Gdtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt + 0x1000, Limit = 0x7F };
        ulong handler = bench.Gate((int)Vector.Nmi);
        cpu.Memory.Write(handler, (byte)0xF4);
        cpu.Bus.InterruptPending = true;
        cpu.Cpu.RequestAttention(Attention.Interrupt);
        cpu.Bus.PortValue = _ =>
        {
            cpu.Cpu.RaiseNmi();
            return 0;
        };
        cpu.Execute(64, a => { a.nop(); a.@in(al, 0x60); a.nop(); a.nop(); }, 10);
        Assert.Equal((handler + 1, BareCpu.CodeAddress + 3, true), (cpu.State->Rip, cpu.Memory.Read<ulong>(cpu.State->Rsp), cpu.Bus.InterruptPending));
    }, null, "Svm");

    /// <summary>Task switches exit with shadow paging: the interrupt that made one is delivered, not the instruction in front of which it came.</summary>
    [Fact]
    public void AnInterruptThroughATaskGateIsDelivered() => SystemBench.OnEveryEngine(32, cpu =>
    {
        const ulong Gdt = 0x2_0000, Idt = 0x2_1000, OldTask = 0x2_2000, NewTask = 0x2_3000, Handler = 0x3_0000;
        const ushort Available = 0x28;
        cpu.Memory.Write(Gdt + 8, 0x00CF_9B00_0000_FFFFUL);
        cpu.Memory.Write(Gdt + 16, 0x00CF_9300_0000_FFFFUL);
        cpu.Memory.Write(Gdt + 0x20, 0x0000_8B02_2000_0067UL);
        cpu.Memory.Write(Gdt + Available, 0x0000_8902_3000_0067UL);
        cpu.Memory.Write(Idt + 0x20 * 8, 0x0000_8500_0000_0000UL | (ulong)Available << 16);
        cpu.Memory.Write(NewTask + 0x20, (uint)Handler);
        cpu.Memory.Write(NewTask + 0x24, 2u);
        cpu.Memory.Write(NewTask + 0x38, 0x9000u);
        foreach (ulong segment in new ulong[] { 0x48, 0x50, 0x54, 0x58, 0x5C })
            cpu.Memory.Write(NewTask + segment, 16u);
        cpu.Memory.Write(NewTask + 0x4C, 8u);
        cpu.Memory.Write(Handler, (byte)0xF4);
        CpuState* s = cpu.State;
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 0x2F };
        s->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0x1FF };
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Selector = 0x20, Base = OldTask, Limit = 0x67, Attributes = (SegmentAttributes)0x8B };
        s->SystemFlags |= Flags.If;
        cpu.Bus.InterruptPending = true;
        cpu.Cpu.RequestAttention(Attention.Interrupt);
        cpu.Execute(32, a => { a.inc(esi); a.inc(esi); }, 4);
        Assert.Equal((Handler + 1, (ushort)Available, false, (uint)BareCpu.CodeAddress),
            (s->Rip, CpuState.Seg(s, Segment.Tr)->Selector, cpu.Bus.InterruptPending, cpu.Memory.Read<uint>(OldTask + 0x20)));
        Assert.Equal(0u, cpu.Memory.Read<uint>(OldTask + 0x40));
    });
}
