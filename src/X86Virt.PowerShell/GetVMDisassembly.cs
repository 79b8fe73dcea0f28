using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Disassembles guest code.</summary>
/// <remarks>
/// <para>From RIP on unless an address is given, in the mode that the processor is in unless -Bitness is given. Bytes that are no instruction are shown as (bad).</para>
/// </remarks>
/// <example>
/// <code>Get-VMDisassembly demo -Count 5</code>
/// <para>Shows what a machine executes next.</para>
/// </example>
/// <example>
/// <code>Get-VMDisassembly demo -Address 0x7c00 -Count 5 -Syntax Att -Bitness 16</code>
/// <para>Disassembles 16-bit code in AT&amp;T syntax.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "VMDisassembly", DefaultParameterSetName = ByName)]
[OutputType(typeof(DisassembledInstruction))]
public sealed class GetVMDisassembly : MachineCmdlet
{
    /// <summary>Linear address of the first instruction; RIP without it.</summary>
    [Parameter(Position = 1)]
    [AddressTransformation]
    public ulong? Address { get; set; }

    /// <summary>How many instructions.</summary>
    [Parameter(Position = 2)]
    [ValidateRange(1, 1_000_000)]
    public int Count { get; set; } = 10;

    /// <summary>How to write them: Intel, Att (also AT&amp;T, Gnu, Gas), Nasm, Masm.</summary>
    [Parameter]
    [SyntaxTransformation]
    public DisassemblySyntax Syntax { get; set; }

    /// <summary>Decode 16-, 32- or 64-bit code, whatever mode the processor is in.</summary>
    [Parameter]
    [ValidateSet("16", "32", "64")]
    public int Bitness { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        IReadOnlyList<DisassembledInstruction> code = machine.Disassemble(Address, Count, Syntax, Bitness);
        WriteObject(code, enumerateCollection: true);
        if (code.Count < Count)
        {
            ulong end = code.Count > 0 ? code[^1].Address + (ulong)code[^1].Length : Address ?? machine.ReadNextAddress();
            throw new MachineException("NoMemoryAtAddress", $"There is no memory at linear address 0x{end:x}, after {code.Count} of {Count} instructions. Resolve-VMAddress shows why.");
        }
    }
}
