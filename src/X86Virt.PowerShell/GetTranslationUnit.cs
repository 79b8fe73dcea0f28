using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Shows translation units: guest code and the host code it was translated to, side by side, and how units lead to each other.</summary>
/// <remarks>
/// <para>A unit is written by address unless -Hot is given. Instructions has, for each guest instruction, how it was translated and its host code; LinksOut the ways to other units as they are now; LinksIn the units that lead here without a look-up.</para>
/// <para>In host code, rbx is the processor's state, whose fields have names; guest RAX to RDI are in r8, r9, r10, r11, r12, rbp, rsi and rdi, and rax, rcx and rdx are scratch.</para>
/// </remarks>
/// <example>
/// <code>Get-TranslationUnit demo -Address 0x100000 | Select-Object -ExpandProperty Instructions</code>
/// <para>Shows the host code of each instruction of the unit that holds an address.</para>
/// </example>
/// <example>
/// <code>Set-VirtualMachine demo -ProfileTranslation; Start-VM demo; Get-TranslationUnit demo -Hot 10</code>
/// <para>Shows the ten units that ran most often.</para>
/// </example>
/// <example>
/// <code>Get-TranslationUnit demo -Kind Callout</code>
/// <para>Shows the units that call out.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "TranslationUnit", DefaultParameterSetName = ByName)]
[OutputType(typeof(TranslationUnit))]
public sealed class GetTranslationUnit : MachineCmdlet
{
    /// <summary>Only units that hold the instruction at one of these linear addresses.</summary>
    [Parameter(Position = 1)]
    [AddressTransformation]
    public ulong[] Address { get; set; } = [];

    /// <summary>Only units with an instruction of one of these kinds.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public TranslationKind[] Kind { get; set; } = [];

    /// <summary>Only so many, those that ran most often, most often first. The machine must have been made with -ProfileTranslation.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int? Hot { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Hot != null && !machine.Configuration.Translation.Profile)
            throw new MachineException("TranslationNotProfiled", $"Machine '{machine.Name}' does not count how often units run. Stop it and set that with Set-VirtualMachine -ProfileTranslation.");
        IEnumerable<TranslationUnit> units = machine.ReadTranslationUnits().Where(IsWanted);
        if (Hot is { } count)
            units = units.OrderByDescending(u => u.Executions).Take(count);
        WriteObject(units, enumerateCollection: true);
    }

    private bool IsWanted(TranslationUnit unit)
        => (Address.Length == 0 || Address.Any(a => a - unit.Address < (ulong)unit.GuestBytes))
            && (Kind.Length == 0 || unit.Instructions.Any(i => Kind.Contains(i.Kind)));
}
