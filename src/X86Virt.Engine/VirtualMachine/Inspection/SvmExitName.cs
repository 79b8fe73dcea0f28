using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Exit codes in the manual's words (AMD volume 2, appendix C).</summary>
internal static class SvmExitName
{
    private const SvmExitCode LastException = SvmExitCode.Exception0 + 31;

    public static string Of(SvmExitCode code) => code switch
    {
        < SvmExitCode.Cr0Write => $"CR{(ulong)code} read",
        < SvmExitCode.Dr0Read => $"CR{code - SvmExitCode.Cr0Write} write",
        < SvmExitCode.Dr0Write => $"DR{code - SvmExitCode.Dr0Read} read",
        < SvmExitCode.Exception0 => $"DR{code - SvmExitCode.Dr0Write} write",
        <= LastException => ExceptionName.Of((int)(code - SvmExitCode.Exception0)),
        >= SvmExitCode.IdtrRead and <= SvmExitCode.TrRead => code.ToString().ToUpperInvariant().Replace("READ", " read", StringComparison.Ordinal),
        >= SvmExitCode.IdtrWrite and <= SvmExitCode.TrWrite => code.ToString().ToUpperInvariant().Replace("WRITE", " write", StringComparison.Ordinal),
        SvmExitCode.VirtualIntr => "VINTR",
        SvmExitCode.Cr0SelectiveWrite => "CR0 selective write",
        SvmExitCode.SoftwareInterrupt => "INTn",
        SvmExitCode.TaskSwitch => "task switch",
        SvmExitCode.MwaitArmed => "MWAIT, armed",
        SvmExitCode.NestedPageFault => "nested page fault",
        SvmExitCode.Invalid => "invalid VMCB",
        SvmExitCode.Emulation => "emulated mode",
        _ => code.ToString().ToUpperInvariant(),
    };
}
