using X86Virt.Engine.Monitors;

namespace X86Virt.Engine;

/// <summary>One #VMEXIT: the guest was left for the monitor.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="Number">Exits of the machine are numbered from 1 on.</param>
/// <param name="Reason">The exit code in words.</param>
/// <param name="Code">The exit code (AMD volume 2, appendix C).</param>
/// <param name="Rip">Where the guest was: an offset in CS.</param>
/// <param name="LinearAddress">The same as a linear address.</param>
/// <param name="Disassembly">The instruction there; empty if it could not be told at little cost.</param>
/// <param name="Detail">EXITINFO1 and EXITINFO2 in words, and the event whose delivery was under way.</param>
/// <param name="ExitInfo1">EXITINFO1.</param>
/// <param name="ExitInfo2">EXITINFO2.</param>
/// <param name="ExitIntInfo">EXITINTINFO.</param>
/// <param name="InstructionsRetired">Instructions that had retired.</param>
/// <param name="InstructionsSinceLast">Those since the exit before.</param>
/// <param name="HostNanoseconds">What the monitor took to see to it.</param>
/// <param name="IsRequested">It matches an intercept that Set-VmcbIntercept added.</param>
public sealed record VmExit(
    string VMName, long Number, string Reason, ulong Code, ulong Rip, ulong LinearAddress, string Disassembly, string Detail,
    ulong ExitInfo1, ulong ExitInfo2, ulong ExitIntInfo, long InstructionsRetired, long InstructionsSinceLast, double HostNanoseconds, bool IsRequested)
{
    /// <summary>1 for an exit of the machine's guest, 2 for one of a guest that it runs itself, as a hypervisor.</summary>
    public int Level { get; init; } = 1;

    internal static VmExit Of(string machine, ExitEntry e, double nanosecondsPerTick, DisassemblySyntax syntax)
    {
        ulong linear = e.CodeBase + e.Rip;
        return new VmExit(machine, e.Number, SvmExitName.Of(e.Code), (ulong)e.Code, e.Rip, e.Bitness == 64 ? linear : (uint)linear, Disassemble(e, syntax),
            VmExitDetail.Of(e), e.Info1, e.Info2, e.InFlight.Value, e.Retired, e.SinceLast, e.HostTicks * nanosecondsPerTick, e.IsRequested) { Level = e.IsNested ? 2 : 1 };
    }

    private static unsafe string Disassemble(ExitEntry e, DisassemblySyntax syntax)
        => Disassembler.Text(new ReadOnlySpan<byte>(e.Bytes, e.ByteCount), e.Bitness, e.Rip, syntax);

    /// <summary>The reason and the number.</summary>
    public override string ToString() => $"{Number}: {Reason} {Detail}".TrimEnd();
}
