using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>A guest's own global interrupt flag (AMD volume 2, 15.33.2).</summary>
public unsafe class VirtualGifTests
{
    private const ulong Code = GuestBench.GuestCode;
    private const ulong Request = 1 << 8, Gif = 1 << 9, IgnorePriority = 1 << 20, GifEnable = 1 << 25;

    [Theory]
    [InlineData(0UL, true)]
    [InlineData(Gif, false)]
    public void StgiAndClgiChangeTheGuests(ulong before, bool sets) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(GifEnable | before);
        bench.Intercepting(SvmExitCode.Nmi);
        bench.Cpu.Bus.Written = (_, _) => bench.Cpu.Cpu.RaiseNmi();
        bench.Guest(a =>
        {
            if (sets)
                a.stgi();
            else
                a.clgi();
            a.@out(0x80, al);
            a.nop();
        });
        // What is physical comes through in any case.
        Assert.Equal((SvmExitCode.Nmi, Code + 5), (bench.Run(), bench.Vmcb->Rip));
        Assert.Equal(GifEnable | (sets ? Gif : 0), bench.Vmcb->VirtualInterrupt.Value);
    });

    [Fact]
    public void WithoutItTheyChangeTheProcessors() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Intercepting(SvmExitCode.Nmi);
        bench.Cpu.Bus.Written = (_, _) => bench.Cpu.Cpu.RaiseNmi();
        bench.Guest(a => { a.clgi(); a.@out(0x80, al); a.nop(); a.stgi(); a.nop(); });
        Assert.Equal((SvmExitCode.Nmi, Code + 9, 0UL), (bench.Run(), bench.Vmcb->Rip, bench.Vmcb->VirtualInterrupt.Value));
    });

    [Fact]
    public void VirtualInterruptsWaitForIt() => GuestBench.OnEveryEngine(bench =>
    {
        ulong handler = bench.Gate(0x31);
        bench.Vmcb->Rflags |= Flags.If;
        bench.Vmcb->VirtualInterrupt = new VirtualInterrupt(0x31UL << 32 | GifEnable | IgnorePriority | Request);
        bench.Guest(a => { a.nop(); a.stgi(); a.nop(); });
        Assert.Equal((SvmExitCode.Vmmcall, handler, Code + 4), (bench.Run(), bench.Vmcb->Rip, bench.Cpu.Memory.Read<ulong>(bench.Vmcb->Rsp)));
        Assert.Equal((false, true), (bench.Vmcb->VirtualInterrupt.Requested, bench.Vmcb->VirtualInterrupt.GlobalInterrupts));
    });
}
