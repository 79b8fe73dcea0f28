using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>Last-branch recording across world switches, shared and virtualized (AMD volume 2, 15.23).</summary>
public unsafe class LastBranchTests
{
    private const ulong Code = GuestBench.GuestCode, DebugCtlAndJump = 14;

    /// <summary>Writes DebugCtl, and jumps over a byte: from and to are at 14 and 17.</summary>
    private static void SetAndJump(Assembler a, uint debugCtl)
    {
        a.mov(ecx, 0x1D9);
        a.mov(eax, debugCtl);
        a.xor(edx, edx);
        a.wrmsr();
        a.db(0xEB, 0x01, 0xCC);
    }

    [Fact]
    public void WithoutVirtualizationThereIsOneSetOfRegisters() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => SetAndJump(a, 1));
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        Assert.Equal((1UL, Code + DebugCtlAndJump, Code + DebugCtlAndJump + 3), (bench.State->DebugCtl, bench.State->LastBranches.From, bench.State->LastBranches.To));
    });

    [Fact]
    public void TheHostsRecordingGoesOnInTheGuest() => GuestBench.OnEveryEngine(bench =>
    {
        bench.State->DebugCtl = 1;
        FlagsChange.Watch(bench.State);
        bench.Guest(a => a.db(0xEB, 0x01, 0xCC));
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        // Neither VMRUN nor #VMEXIT is a branch.
        Assert.Equal((1UL, Code, Code + 3), (bench.State->DebugCtl, bench.State->LastBranches.From, bench.State->LastBranches.To));
    });

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    public void VirtualizedTheyAreTheGuests(uint host) => GuestBench.OnEveryEngine(bench =>
    {
        bench.State->DebugCtl = host;
        bench.State->LastBranches = new LastBranches { From = 1, To = 2, EventFrom = 3, EventTo = 4 };
        FlagsChange.Watch(bench.State);
        bench.Vmcb->Virtualization = VmcbVirtualization.LastBranches;
        bench.Vmcb->LastBranches = new LastBranches { From = 5, To = 6, EventFrom = 7, EventTo = 8 };
        bench.Guest(a => { a.mov(ecx, 0x1DB); a.rdmsr(); a.mov(esi, eax); a.mov(ecx, 0x1D9); a.rdmsr(); a.mov(edi, eax); SetAndJump(a, 1); });
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        Assert.Equal((5UL, 0UL), (bench.State->Rsi, bench.State->Rdi));
        ulong from = Code + 18 + DebugCtlAndJump;
        LastBranches guest = bench.Vmcb->LastBranches, own = bench.State->LastBranches;
        Assert.Equal((1UL, from, from + 3, 7UL, 8UL), (bench.Vmcb->DebugCtl, guest.From, guest.To, guest.EventFrom, guest.EventTo));
        Assert.Equal((host, 1UL, 2UL, 3UL, 4UL), ((uint)bench.State->DebugCtl, own.From, own.To, own.EventFrom, own.EventTo));
        Assert.Equal(host != 0, (bench.State->Attention & Attention.Step) != 0);
    });

    [Fact]
    public void AGuestIsEnteredWithItsRecordingOn() => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(6);
        bench.Vmcb->Virtualization = VmcbVirtualization.LastBranches;
        bench.Vmcb->DebugCtl = 1;
        bench.Guest(a => { a.db(0xEB, 0x01, 0xCC); a.ud2(); });
        Assert.Equal((SvmExitCode.Vmmcall, handler), (bench.Run(), bench.Vmcb->Rip));
        LastBranches guest = bench.Vmcb->LastBranches;
        Assert.Equal((Code + 3, handler, Code, Code + 3), (guest.From, guest.To, guest.EventFrom, guest.EventTo));
        Assert.Equal((0UL, 0UL), (bench.State->DebugCtl, bench.State->LastBranches.From));
    });
}
