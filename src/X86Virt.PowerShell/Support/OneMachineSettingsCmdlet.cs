using System.Management.Automation;
using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>A cmdlet that takes what a machine is made of and the one engine that it runs on.</summary>
public abstract class OneMachineSettingsCmdlet : MachineSettingsCmdlet
{
    /// <summary>How guest code is executed: BinaryTranslation unless given, DecodedCache on hosts that are not x64. See about_X86Virt_Engines.</summary>
    [Parameter]
    public EngineKind Engine { get; set; }

    /// <summary>What TLB misses are answered from. Walk: the guest's page tables. Shadow: shadow page tables, kept coherent by traces on the guest's. Nested: the monitor's page tables under the guest's, with HardwareAssist. The guest cannot tell. Unless given, what suits the engine.</summary>
    [Parameter]
    public PagingKind Paging { get; set; }

    /// <inheritdoc/>
    private protected override MachineConfiguration Apply(MachineConfiguration c) => base.Apply(c) with
    {
        Engine = IsBound(nameof(Engine)) ? Engine : c.Engine,
        Paging = IsBound(nameof(Paging)) ? Paging : c.Paging,
    };
}
