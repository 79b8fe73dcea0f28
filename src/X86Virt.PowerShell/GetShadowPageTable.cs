using System.Management.Automation;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>Shows the shadow page tables of machines with -Paging Shadow.</summary>
/// <remarks>
/// <para>Each object is the shadow of one of the guest's page tables in one role: level, format, and the rights that the tables above it leave. Stores to the guest's table are traced. A table that is stored to too often rests: it has no shadow for a while.</para>
/// <para>With HardwareAssist the silicon walks pages of entries that are made from the shadow: HostTables has their host-physical addresses.</para>
/// </remarks>
/// <example>
/// <code>Get-ShadowPageTable demo | Group-Object Name</code>
/// <para>Counts shadow tables by level.</para>
/// </example>
/// <example>
/// <code>Get-ShadowPageTable demo -GuestTable (Get-VMRegister demo CR3) -Entry</code>
/// <para>Shows what is in the shadow of the topmost table.</para>
/// </example>
[Cmdlet(VerbsCommon.Get, "ShadowPageTable", DefaultParameterSetName = ByName)]
[OutputType(typeof(ShadowPageTable), typeof(ShadowPageTableEntry))]
public sealed class GetShadowPageTable : MachineCmdlet
{
    private const ulong InPage = 0xFFF;

    /// <summary>Only shadows of the guest's tables at these guest-physical addresses.</summary>
    [Parameter(Position = 1)]
    [AddressTransformation]
    public ulong[] GuestTable { get; set; } = [];

    /// <summary>Only shadow tables of these numbers.</summary>
    [Parameter]
    public int[] Number { get; set; } = [];

    /// <summary>Only tables of these levels: 1 for page tables, 4 for PML4.</summary>
    [Parameter]
    [ValidateRange(1, 5)]
    public int[] Level { get; set; } = [];

    /// <summary>Write the slots of the tables that are not empty instead.</summary>
    [Parameter]
    public SwitchParameter Entry { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        IEnumerable<ShadowPageTable> tables = machine.ReadShadowTables().Where(t => (GuestTable.Length == 0 || GuestTable.Any(a => (a & ~InPage) == t.GuestTable))
            && (Number.Length == 0 || (t.Number is { } n && Number.Contains(n))) && (Level.Length == 0 || Level.Contains(t.Level)));
        if (!Entry)
            WriteObject(tables, enumerateCollection: true);
        else
            WriteObject(tables.Where(t => t.Number != null).SelectMany(t => machine.ReadShadowEntries(t.Number!.Value)), enumerateCollection: true);
    }
}
