using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shows the virtual machine control block of machines that run on HardwareAssist, field by field, or what their guests are left for.</summary>
/// <remarks>
/// <para>The VMCB is the page of host-physical memory that VMRUN takes a guest from. Its control area says what is intercepted, which events are injected and how memory is translated, and tells of the last #VMEXIT; its state area is the guest's. A running machine is held for a moment, between two instructions.</para>
/// <para>With -Intercept each intercept is an object with its owner: the monitor, which cannot do without, a user (Set-VmcbIntercept), or the guest, if it is a hypervisor whose own guest runs.</para>
/// </remarks>
/// <example>
/// <code>Get-Vmcb demo</code>
/// <para>Shows both areas.</para>
/// </example>
/// <example>
/// <code>Get-Vmcb demo -Field EXIT*, EVENTINJ, CR?</code>
/// <para>Shows some fields.</para>
/// </example>
/// <example>
/// <code>Get-Vmcb demo -Intercept</code>
/// <para>Shows what the guest is left for, and who wants that.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "Vmcb", DefaultParameterSetName = ByName)]
[OutputType(typeof(VmcbField), typeof(VmcbIntercept))]
public sealed class GetVmcb : MachineCmdlet
{
    /// <summary>Only fields of these names.</summary>
    [Parameter(Position = 1)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Field { get; set; } = ["*"];

    /// <summary>Only fields of this area.</summary>
    [Parameter]
    public VmcbArea? Area { get; set; }

    /// <summary>Write what is intercepted, and for whom, instead.</summary>
    [Parameter]
    public SwitchParameter Intercept { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        if (Intercept)
        {
            WriteObject(machine.ReadIntercepts(), enumerateCollection: true);
            return;
        }
        IReadOnlyList<VmcbField> fields = machine.ReadVmcb();
        foreach (string name in Field)
        {
            var pattern = new WildcardPattern(name, WildcardOptions.IgnoreCase);
            if (!fields.Any(f => pattern.IsMatch(f.Name)))
                throw new MachineException("VmcbFieldNotFound", $"A VMCB has no field '{name}'. Get-Vmcb '{machine.Name}' shows all.");
        }
        WildcardPattern[] wanted = [.. Field.Select(f => new WildcardPattern(f, WildcardOptions.IgnoreCase))];
        WriteObject(fields.Where(f => (Area ?? f.Area) == f.Area && wanted.Any(w => w.IsMatch(f.Name))), enumerateCollection: true);
    }
}
