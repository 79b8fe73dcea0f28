using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>What EXITINFO1, EXITINFO2 and EXITINTINFO tell, in words (AMD volume 2, 15.7 to 15.25).</summary>
internal static class VmExitDetail
{
    private const ulong In = 1, String = 4, Rep = 8, MovCr = 1UL << 63, Table = 1UL << 33;

    private static readonly string[] s_registers =
        ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"];

    private static readonly string[] s_segments = ["ES", "CS", "SS", "DS", "FS", "GS"];

    public static string Of(in ExitEntry e)
    {
        string own = Own(e);
        string inFlight = e.InFlight.IsValid ? $"while delivering {Event(e.InFlight)}" : "";
        return string.Join(", ", new[] { own, inFlight }.Where(t => t.Length > 0));
    }

    private static string Own(in ExitEntry e) => e.Code switch
    {
        SvmExitCode.Emulation => $"{e.Info1} instruction{(e.Info1 == 1 ? "" : "s")} executed by the monitor",
        < SvmExitCode.Exception0 or SvmExitCode.SoftwareInterrupt or SvmExitCode.Invlpg when !e.IsAssisted => "",
        < SvmExitCode.Dr0Read => ControlRegister(e),
        < SvmExitCode.Exception0 => $"with {Register(e.Info1)}",
        SvmExitCode.Exception0 + (ulong)Vector.PageFault => $"0x{e.Info2:x} {((e.Info1 & (ulong)PageFaultCode.User) != 0 ? "user" : "supervisor")} {PageFault(e.Info1)}",
        >= SvmExitCode.Exception0 and < SvmExitCode.Intr => ((Vector)(e.Code - SvmExitCode.Exception0)).HasErrorCode() ? $"error code 0x{e.Info1:x}" : "",
        SvmExitCode.Port => Port(e),
        SvmExitCode.Msr => e.Info1 == 0 ? $"MSR 0x{(uint)e.Rcx:x} read" : $"MSR 0x{(uint)e.Rcx:x} write of 0x{(e.Rdx << 32) | (uint)e.Rax:x}",
        SvmExitCode.Cpuid => $"leaf 0x{(uint)e.Rax:x}, subleaf 0x{(uint)e.Rcx:x}",
        SvmExitCode.SoftwareInterrupt => $"vector 0x{e.Info1:x}",
        SvmExitCode.Invlpg => $"address 0x{e.Info1:x}",
        // Always a user access.
        SvmExitCode.NestedPageFault => $"0x{e.Info2:x} {((e.Info1 & Table) != 0 ? "page table " : "")}{PageFault(e.Info1)}",
        _ => "",
    };

    private static string ControlRegister(in ExitEntry e)
        => (e.Info1 & MovCr) != 0 ? $"{(e.Code < SvmExitCode.Cr0Write ? "to" : "from")} {Register(e.Info1)}" : "by CLTS, LMSW or SMSW";

    private static string Register(ulong info) => s_registers[info & 0xF];

    private static string Port(in ExitEntry e)
    {
        ulong info = e.Info1;
        ulong size = info >> 4 & 7;
        string text = $"port 0x{info >> 16 & 0xFFFF:x} {((info & In) != 0 ? "in" : "out")}, {size} byte{(size == 1 ? "" : "s")}";
        if ((info & String) == 0)
            return (info & In) != 0 ? text : $"{text}: 0x{e.Rax & (size == 4 ? uint.MaxValue : (1UL << (int)size * 8) - 1):x}";
        ulong segment = info >> 10 & 7;
        return $"{text}, string{((info & Rep) != 0 ? ", repeated" : "")}, {(info >> 7 & 7) * 16}-bit addresses in {(segment < 6 ? s_segments[segment] : "?")}";
    }

    /// <summary>The bits of a page fault's error code, but for U/S.</summary>
    private static string PageFault(ulong code)
    {
        var bits = (PageFaultCode)(code & 0x1F);
        string access = (bits & PageFaultCode.Fetch) != 0 ? "fetch" : (bits & PageFaultCode.Write) != 0 ? "write" : "read";
        string why = (bits & PageFaultCode.Reserved) != 0 ? "reserved bit" : (bits & PageFaultCode.Present) != 0 ? "protection" : "not present";
        return $"{access}, {why}";
    }

    /// <summary>An event as EVENTINJ and EXITINTINFO hold it; empty if there is none.</summary>
    public static string Event(VmcbEvent e) => !e.IsValid ? "" : e.Type switch
    {
        VmcbEventType.Exception => ExceptionName.Of(e.Vector) + (e.HasErrorCode ? $" with error code 0x{e.ErrorCode:x}" : ""),
        VmcbEventType.Nmi => "NMI",
        VmcbEventType.SoftwareInterrupt => $"INT 0x{e.Vector:x}",
        _ => $"interrupt 0x{e.Vector:x}",
    };
}
