using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>How EXITINTINFO names an event that could not be delivered, and what becomes of EVENTINJ and TLB_CONTROL (AMD volume 2, 15.6, 15.7.2 and 15.20).</summary>
public unsafe class EventInformationTests
{
    private const ulong Interrupt = 0 << 8, Nmi = 2 << 8, Exception = 3 << 8, Software = 4 << 8;

    /// <summary>INT 3 in two bytes is a software interrupt, INT3 in one an exception.</summary>
    [Theory]
    [InlineData(new byte[] { 0xCC }, Exception | 3)]
    [InlineData(new byte[] { 0xCD, 3 }, Software | 3)]
    [InlineData(new byte[] { 0xCD, 4 }, Software | 4)]
    public void TheInstructionDecides(byte[] code, ulong expected) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.db(code));
        bench.Vmcb->Idtr.Limit = 0;
        bench.Intercepting(SvmExitCode.Exception0 + 13);
        Assert.Equal((SvmExitCode.Exception0 + 13, GuestBench.Valid | expected), (bench.Run(), bench.Vmcb->ExitIntInfo.Value));
    });

    /// <summary>An interrupt whose vector happens to be 2 is none the less an interrupt.</summary>
    [Theory]
    [InlineData(Interrupt | 2)]
    [InlineData(Nmi | 2)]
    [InlineData(Exception | 3)]
    [InlineData(Software | 3)]
    public void AnInjectedEventKeepsItsType(ulong injected) => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.nop());
        bench.Vmcb->Idtr.Limit = 0;
        bench.Intercepting(SvmExitCode.Exception0 + 13);
        bench.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | injected);
        Assert.Equal((SvmExitCode.Exception0 + 13, GuestBench.Valid | injected), (bench.Run(), bench.Vmcb->ExitIntInfo.Value));
    });

    [Fact]
    public void AnExitClearsTheInjectedEventAndLeavesTlbControl() => GuestBench.OnEveryEngine(bench =>
    {
        bench.Guest(a => a.nop());
        bench.Gate(13);
        bench.Vmcb->EventInjection = new VmcbEvent(GuestBench.Valid | Exception | 13 | 1 << 11 | 5UL << 32);
        bench.Vmcb->TlbControl = TlbControl.FlushGuest;
        Assert.Equal(SvmExitCode.Vmmcall, bench.Run());
        Assert.Equal((0UL, TlbControl.FlushGuest), (bench.Vmcb->EventInjection.Value, bench.Vmcb->TlbControl));
    });
}
