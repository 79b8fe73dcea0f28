using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shows the exits of machines that run on HardwareAssist: each #VMEXIT, its reason, the instruction, EXITINFO in words, and what it cost.</summary>
/// <remarks>
/// <para>The last 4096 exits of a machine are kept, and apart from them the last 1024 that match an intercept of Set-VmcbIntercept (-Requested). Neither reading nor following them holds the guest up: what comes faster than it is taken is left out, as Number shows.</para>
/// <para>HostNanoseconds is the time from the #VMEXIT until the guest can go on. The instruction is that at RIP, of which a fault may be and behind which an interrupt is; it is empty where fetching it faulted, or the TLB had lost the page. Level is 2 for an exit of a guest that the machine's guest runs, being a hypervisor (-Feature Svm).</para>
/// </remarks>
/// <example>
/// <code>Get-VmExit demo -Last 3</code>
/// <para>Shows the last three exits.</para>
/// </example>
/// <example>
/// <code>Get-VmExit demo -Last 4096 | Group-Object Reason -NoElement</code>
/// <para>Shows what a guest left for lately.</para>
/// </example>
/// <example>
/// <code>Stop-VM demo; Get-VmExit demo -Follow</code>
/// <para>Writes exits as they come until the machine has stopped.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VmExit", DefaultParameterSetName = ByName)]
[OutputType(typeof(VmExit))]
public sealed class GetVmExit : MachineCmdlet
{
    private const int DefaultCount = 20;

    /// <summary>How many of the last exits to write; 20 when it is not given, none with -Follow.</summary>
    [Parameter(Position = 1)]
    [ValidateRange(1, int.MaxValue)]
    public int? Last { get; set; }

    /// <summary>Go on with exits as they come, until the machine stops.</summary>
    [Parameter]
    public SwitchParameter Follow { get; set; }

    /// <summary>Write only exits that match an intercept of Set-VmcbIntercept.</summary>
    [Parameter]
    public SwitchParameter Requested { get; set; }

    /// <summary>How to write instructions: Intel, Att (also AT&amp;T, Gnu, Gas), Nasm, Masm.</summary>
    [Parameter]
    [SyntaxTransformation]
    public DisassemblySyntax Syntax { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        IEnumerable<VmExit> exits = Follow ? machine.FollowExits(Last ?? 0, Requested, Syntax, StopToken)
            : machine.ReadExits(Last ?? DefaultCount, Requested, Syntax);
        foreach (VmExit exit in exits)
            WriteObject(exit);
    }
}
