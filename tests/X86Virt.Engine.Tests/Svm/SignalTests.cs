using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>INIT and SMI: their intercepts, GIF, and the redirection of INIT (AMD volume 2, 15.13, 15.17 and 15.28).</summary>
public unsafe class SignalTests
{
    private const ulong Code = GuestBench.GuestCode;
    private const uint VmCr = 0xC001_0114;
    private const ulong RedirectInit = 2;

    private static void OnEveryEngine(Action<GuestBench> test) => GuestBench.OnEveryEngine(test);

    private static bool IsPending(GuestBench bench, bool init) => init ? bench.State->InitPending : bench.State->SmiPending;

    [Theory]
    [InlineData(true, SvmExitCode.Init)]
    [InlineData(false, SvmExitCode.Smi)]
    public void LeaveBeforeTheNextInstructionAndGoOnWaiting(bool init, SvmExitCode code) => OnEveryEngine(bench =>
    {
        bench.State->GlobalInterruptsOff = true;
        bench.Cpu.Cpu.RaiseSignal(init);
        bench.Intercepting(code);
        bench.Guest(a => a.nop());
        Assert.Equal((code, Code, 0UL, 0UL), (bench.Run(), bench.Vmcb->Rip, bench.Vmcb->ExitInfo1, bench.Vmcb->ExitIntInfo.Value));
        Assert.Equal((true, true), (bench.State->GlobalInterruptsOff, IsPending(bench, init)));
    });

    /// <summary>A message that arrives while the guest has GIF clear.</summary>
    [Theory]
    [InlineData(true, SvmExitCode.Init)]
    [InlineData(false, SvmExitCode.Smi)]
    public void WaitForGif(bool init, SvmExitCode code) => OnEveryEngine(bench =>
    {
        bench.Cpu.Bus.Written = (_, _) => bench.Cpu.Cpu.RaiseSignal(init);
        bench.Intercepting(code);
        bench.Guest(a => { a.clgi(); a.@out(0x80, al); a.sti(); a.nop(); a.stgi(); a.nop(); });
        Assert.Equal((code, Code + 3 + 2 + 1 + 1 + 3), (bench.Run(), bench.Vmcb->Rip));
        Assert.Equal(Flags.If, bench.Vmcb->Rflags & Flags.If);
    });

    [Fact]
    public void InitComesBeforeSmiAndNmi() => OnEveryEngine(bench =>
    {
        bench.State->GlobalInterruptsOff = true;
        bench.Cpu.Cpu.RaiseNmi();
        bench.Cpu.Cpu.RaiseSignal(init: false);
        bench.Cpu.Cpu.RaiseSignal(init: true);
        bench.Intercepting(SvmExitCode.Nmi);
        bench.Intercepting(SvmExitCode.Smi);
        bench.Intercepting(SvmExitCode.Init);
        bench.Guest(a => a.nop());
        Assert.Equal(SvmExitCode.Init, bench.Run());
        bench.State->InitPending = false;
        Assert.Equal(SvmExitCode.Smi, bench.Run());
        bench.State->SmiPending = false;
        Assert.Equal(SvmExitCode.Nmi, bench.Run());
    });

    /// <summary>Nobody sees what firmware does in system management mode, which here is nothing.</summary>
    [Fact]
    public void AnSmiThatIsNotInterceptedIsOverAtOnce() => OnEveryEngine(bench =>
    {
        bench.Cpu.Bus.Written = (_, _) => bench.Cpu.Cpu.RaiseSignal(init: false);
        bench.Guest(a => { a.@out(0x80, al); a.nop(); });
        Assert.Equal((SvmExitCode.Vmmcall, Code + 3, false), (bench.Run(), bench.Vmcb->Rip, bench.State->SmiPending));
    });

    [Fact]
    public void AnInitThatIsNotInterceptedResetsTheBoard() => OnEveryEngine(bench =>
    {
        bench.Cpu.Bus.Written = (_, _) => bench.Cpu.Cpu.RaiseSignal(init: true);
        bench.Guest(a => a.@out(0x80, al));
        bench.Enter(8);
        Assert.True(bench.Cpu.Bus.Shutdown);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ARedirectedInitIsASecurityException(bool intercepted) => OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate((int)Vector.Security);
        Assert.True(ModelSpecificRegisters.TryWrite(bench.Cpu.Cpu, VmCr, RedirectInit));
        bench.Cpu.Bus.Written = (_, _) => bench.Cpu.Cpu.RaiseSignal(init: true);
        if (intercepted)
            bench.Intercepting(SvmExitCode.Exception0 + (ulong)Vector.Security);
        bench.Guest(a => { a.@out(0x80, al); a.nop(); });
        SvmExitCode code = bench.Run();
        Assert.Equal((false, false), (bench.State->InitPending, bench.Cpu.Bus.Shutdown));
        if (intercepted)
        {
            Assert.Equal((SvmExitCode.Exception0 + (ulong)Vector.Security, 1UL, Code + 2), (code, bench.Vmcb->ExitInfo1, bench.Vmcb->Rip));
            return;
        }
        Assert.Equal((SvmExitCode.Vmmcall, handler), (code, bench.Vmcb->Rip));
        Assert.Equal((1UL, Code + 2), (bench.Cpu.Memory.Read<ulong>(bench.Vmcb->Rsp), bench.Cpu.Memory.Read<ulong>(bench.Vmcb->Rsp + 8)));
    });

    /// <summary>A hypervisor that was left for an INIT gets rid of it so.</summary>
    [Fact]
    public void StgiLetsARedirectedInitIn() => OnEveryEngine(bench =>
    {
        BareCpu cpu = bench.Cpu;
        cpu.State->Idtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt, Limit = 0xFFF };
        cpu.State->Gdtr = new DescriptorTableRegister { Base = GuestBench.GuestIdt + 0x1000, Limit = 0x7F };
        cpu.Memory.Write(bench.Gate((int)Vector.Security), (byte)0xF4);
        Assert.True(ModelSpecificRegisters.TryWrite(cpu.Cpu, VmCr, RedirectInit));
        cpu.State->GlobalInterruptsOff = true;
        cpu.Cpu.RaiseSignal(init: true);
        cpu.Run(BareCpu.Assemble(64, a => { a.nop(); a.stgi(); a.nop(); }), 6);
        Assert.Equal(BareCpu.CodeAddress + 4, cpu.Memory.Read<ulong>(cpu.State->Rsp + 8));
        Assert.False(cpu.State->InitPending);
    });
}
