using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>Exceptions, interrupts, event injection and virtual interrupts (AMD volume 2, 15.12, 15.13, 15.20 and 15.21).</summary>
public unsafe class EventTests
{
    private const ulong Code = GuestBench.GuestCode;

    private static void RaiseInterrupt(GuestBench bench)
    {
        bench.Cpu.Bus.InterruptPending = true;
        bench.Cpu.Cpu.RequestAttention(Attention.Interrupt);
    }

    /// <summary>Code that raises an exception with RIP on its last instruction.</summary>
    private static void Raise(Assembler a, int vector)
    {
        switch (vector)
        {
            case 0:
                a.xor(ecx, ecx);
                a.div(ecx);
                break;
            case 1:
                a.mov(rax, dr0);
                break;
            case 6:
                a.ud2();
                break;
            case 7:
                a.fldz();
                break;
            case 11:
                a.mov(eax, 0x18);
                a.mov(ds, eax);
                break;
            case 12:
                a.mov(rbp, 0x8000_0000_0000_0000);
                a.mov(eax, __dword_ptr[rbp]);
                break;
            case 13:
                a.mov(rbx, 0x8000_0000_0000_0000);
                a.mov(eax, __dword_ptr[rbx]);
                break;
            case 14:
                a.mov(rbx, 0x12_3456_7890);
                a.mov(__dword_ptr[rbx], eax);
                break;
        }
    }

    [Theory]
    [InlineData(0, 0UL, 0UL)]
    [InlineData(1, 0UL, 0UL)]
    [InlineData(6, 0UL, 0UL)]
    [InlineData(7, 0UL, 0UL)]
    [InlineData(11, 0x18UL, 0UL)]
    [InlineData(12, 0UL, 0UL)]
    [InlineData(13, 0UL, 0UL)]
    [InlineData(14, 2UL, 0x12_3456_7890UL)]
    public void ExceptionsLeaveBeforeTheirDelivery(int vector, ulong code, ulong address) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Cpu.Memory.Write(GuestBench.GuestIdt + 0x1018, 0x0000_1300_0000_FFFFUL);
        if (vector == 1)
            bench.Vmcb->Dr7 |= 1 << 13;
        if (vector == 7)
            bench.Vmcb->Cr0 |= Cr0.Ts;
        bench.Intercepting(SvmExitCode.Exception0 + (ulong)vector);
        bench.Vmcb->Cr2 = 0x1234;
        bench.Guest(a => Raise(a, vector));
        Assert.Equal((SvmExitCode.Exception0 + (ulong)vector, code, address), (bench.Run(), bench.Vmcb->ExitInfo1, bench.Vmcb->ExitInfo2));
        Assert.Equal((0UL, 0x1234UL, GuestBench.GuestStack), (bench.Vmcb->ExitIntInfo.Value, bench.Vmcb->Cr2, bench.Vmcb->Rsp));
        if (vector == 1)
            Assert.Equal((1UL << 13, 0UL), (bench.Vmcb->Dr6 & 1 << 13, bench.Vmcb->Dr7 & 1 << 13));
    });

    [Fact]
    public void APageFaultTellsTheInstructionsBytes() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Intercepting(SvmExitCode.Exception0 + 14);
        byte[] code = bench.Guest(a => { a.mov(rbx, 0x12_3456_7890); a.mov(__dword_ptr[rbx], eax); });
        bench.Run();
        Assert.Equal(15, bench.Vmcb->FetchedCount);
        Assert.Equal(code.AsSpan(10, 5).ToArray(), new Span<byte>(bench.Vmcb->FetchedBytes, 5).ToArray());
    });

    /// <summary>#UD finds no gate: #GP in delivering it; then #DF, as that finds none either.</summary>
    [Theory]
    [InlineData(13, 6, 0x33UL)]
    [InlineData(8, 13, 0UL)]
    public void AFaultInDeliveryNamesTheEvent(int intercepted, int inFlight, ulong code) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Intercepting(SvmExitCode.Exception0 + (ulong)intercepted);
        bench.Guest(a => { a.nop(); a.ud2(); });
        Assert.Equal((SvmExitCode.Exception0 + (ulong)intercepted, code), (bench.Run(), bench.Vmcb->ExitInfo1));
        ulong expected = GuestBench.Valid | 3 << 8 | (uint)inFlight | (inFlight == 13 ? 1UL << 11 | 0x33UL << 32 : 0);
        Assert.Equal((expected, Code + 1), (bench.Vmcb->ExitIntInfo.Value, bench.Vmcb->Rip));
    });

    [Fact]
    public void ASoftwareInterruptInDeliveryIsNamed() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Intercepting(SvmExitCode.Exception0 + 13);
        bench.Guest(a => a.@int(0x55));
        Assert.Equal((SvmExitCode.Exception0 + 13, 0x55UL * 8 + 2), (bench.Run(), bench.Vmcb->ExitInfo1));
        Assert.Equal((GuestBench.Valid | 4 << 8 | 0x55, Code), (bench.Vmcb->ExitIntInfo.Value, bench.Vmcb->Rip));
    });

    [Fact]
    public void ATripleFaultIsAShutdownOfTheGuest() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Vmcb->Idtr = default;
        bench.Guest(a => a.ud2());
        Assert.Equal((SvmExitCode.Shutdown, false, false), (bench.Run(), bench.Cpu.Shutdown, bench.State->ShutDown));
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void PhysicalInterruptsLeaveWhenTheyWouldBeTaken(bool masking) => GuestBench.OnEveryEngine(bench =>
    {
        // The hypervisor has IF clear: where it masks, nothing comes through; else the guest's IF counts.
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(masking ? 1UL << 24 : 0);
        bench.Intercepting(SvmExitCode.Intr);
        RaiseInterrupt(bench);
        bench.Guest(a => { a.nop(); a.sti(); a.nop(); a.nop(); });
        Assert.Equal(masking ? SvmExitCode.Vmmcall : SvmExitCode.Intr, bench.Run());
        Assert.Equal((Code + (masking ? 4u : 3u), true), (bench.Vmcb->Rip, bench.Cpu.Bus.InterruptPending));
    });

    [Fact]
    public void TheHostsInterruptFlagDecidesWhereItMasks() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(1UL << 24);
        bench.Intercepting(SvmExitCode.Intr);
        bench.State->GlobalInterruptsOff = true;
        bench.State->SystemFlags |= Flags.If;
        RaiseInterrupt(bench);
        bench.Guest(a => { a.nop(); a.nop(); });
        Assert.Equal((SvmExitCode.Intr, Code), (bench.Run(), bench.Vmcb->Rip));
        // It waits for STGI.
        Assert.Equal((true, true), (bench.State->GlobalInterruptsOff, bench.Cpu.Bus.InterruptPending));
    });

    /// <summary>The guest has halted with IF clear, which concerns virtual interrupts only; it goes on behind HLT.</summary>
    [Fact]
    public void AHaltedGuestIsLeftForAnInterruptOfTheHosts() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(1UL << 24);
        bench.Intercepting(SvmExitCode.Intr);
        bench.State->GlobalInterruptsOff = true;
        bench.State->SystemFlags |= Flags.If;
        bench.Guest(a => { a.hlt(); a.nop(); });
        bench.Enter(100);
        Assert.Equal((true, true), (bench.State->GuestMode, bench.State->Halted));
        RaiseInterrupt(bench);
        bench.Cpu.Continue();
        Assert.Equal((SvmExitCode.Intr, Code + 1, false), (bench.Vmcb->ExitCode, bench.Vmcb->Rip, bench.State->GuestMode));
    });

    [Fact]
    public void InterruptsThatAreNotInterceptedAreTheGuests() => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(0x20);
        bench.Vmcb->Rflags |= Flags.If;
        RaiseInterrupt(bench);
        bench.Guest(a => a.nop());
        Assert.Equal((SvmExitCode.Vmmcall, handler, false), (bench.Run(), bench.Vmcb->Rip, bench.Cpu.Bus.InterruptPending));
    });

    [Fact]
    public void NmisLeave() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Intercepting(SvmExitCode.Nmi);
        bench.State->GlobalInterruptsOff = true;
        bench.Cpu.Cpu.RaiseNmi();
        bench.Guest(a => a.nop());
        Assert.Equal((SvmExitCode.Nmi, Code, true), (bench.Run(), bench.Vmcb->Rip, bench.State->NmiPending));
    });

    [Fact]
    public void StgiLetsInWhatWaited() => GuestBench.OnEveryEngine(bench =>
    {
        BareCpu cpu = bench.Cpu;
        cpu.State->SystemFlags |= Flags.If;
        cpu.State->GlobalInterruptsOff = true;
        RaiseInterrupt(bench);
        cpu.State->Idtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt, Limit = 0xFFF };
        cpu.State->Gdtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt + 0x1000, Limit = 0x7F };
        ulong handler = bench.Gate(0x20);
        cpu.Memory.Write(handler, (byte)0xF4);
        cpu.Execute(64, a => { a.nop(); a.stgi(); a.nop(); }, 6);
        Assert.Equal((handler + 1, BareCpu.CodeAddress + 4), (cpu.State->Rip, cpu.Memory.Read<ulong>(cpu.State->Rsp)));
    });

    [Theory]
    [InlineData(0, 0x30, false)]
    [InlineData(2, 2, false)]
    [InlineData(3, 6, false)]
    [InlineData(3, 13, true)]
    [InlineData(4, 0x40, false)]
    public void InjectedEventsAreDelivered(int type, int vector, bool hasCode) => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(vector);
        bench.Intercepting(SvmExitCode.Exception0 + (ulong)(vector & 31));
        bench.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | (uint)type << 8 | (uint)vector | (hasCode ? 1UL << 11 | 0x77UL << 32 : 0));
        if (type == 4)
            bench.Vmcb->NextRip = Code + 2;
        bench.Guest(a => a.nop());
        Assert.Equal((SvmExitCode.Vmmcall, handler, 0UL), (bench.Run(), bench.Vmcb->Rip, bench.Vmcb->EventInjection.Value & GuestBench.Valid));
        ulong stack = bench.Vmcb->Rsp;
        if (hasCode)
        {
            Assert.Equal(0x77UL, bench.Cpu.Memory.Read<ulong>(stack));
            stack += 8;
        }
        Assert.Equal(type == 4 ? Code + 2 : Code, bench.Cpu.Memory.Read<ulong>(stack));
    });

    [Fact]
    public void AnInjectedEventThatFaultsIsNamed() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Intercepting(SvmExitCode.Exception0 + 13);
        bench.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | 0x30);
        bench.Guest(a => a.nop());
        Assert.Equal((SvmExitCode.Exception0 + 13, 0x30UL * 8 + 3), (bench.Run(), bench.Vmcb->ExitInfo1));
        Assert.Equal((GuestBench.Valid | 0x30, Code), (bench.Vmcb->ExitIntInfo.Value, bench.Vmcb->Rip));
    });

    /// <summary>V_IRQ waits for IF, for a lower V_TPR, and is gone once it is taken.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void VirtualInterruptsWaitForTheGuest(bool intercepted) => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(0x31);
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(0x31UL << 32 | 1 << 24 | 5 << 16 | 1 << 8 | 7);
        if (intercepted)
            bench.Intercepting(SvmExitCode.VirtualIntr);
        bench.Guest(a => { a.sti(); a.nop(); a.nop(); a.mov(eax, 4); a.mov(cr8, rax); a.nop(); });
        ulong open = Code + 1 + 1 + 1 + 5 + 4;
        if (intercepted)
        {
            Assert.Equal((SvmExitCode.VirtualIntr, open, true), (bench.Run(), bench.Vmcb->Rip, bench.Vmcb->VirtualInterrupt.Requested));
            return;
        }
        Assert.Equal((SvmExitCode.Vmmcall, handler, false), (bench.Run(), bench.Vmcb->Rip, bench.Vmcb->VirtualInterrupt.Requested));
        Assert.Equal((open, 4UL), (bench.Cpu.Memory.Read<ulong>(bench.Vmcb->Rsp), bench.Vmcb->VirtualInterrupt.TaskPriority));
    });

    [Fact]
    public void TheInterruptShadowGoesThroughTheVmcb() => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(0x31);
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(0x31UL << 32 | 1 << 20 | 1 << 8);
        bench.Vmcb->Rflags |= Flags.If;
        bench.Vmcb->InterruptShadow = 1;
        bench.Guest(a => { a.nop(); a.nop(); });
        Assert.Equal((SvmExitCode.Vmmcall, handler), (bench.Run(), bench.Vmcb->Rip));
        Assert.Equal(Code + 1, bench.Cpu.Memory.Read<ulong>(bench.Vmcb->Rsp));

        bench.SetUp();
        bench.Intercepting(SvmExitCode.Cpuid);
        bench.Guest(a => { a.sti(); a.cpuid(); });
        Assert.Equal((SvmExitCode.Cpuid, 1UL), (bench.Run(), bench.Vmcb->InterruptShadow));
    });
}
