namespace X86Virt.Engine.Processor;

/// <summary>What answers where the TLB has no translation. The guest cannot tell which it is.</summary>
public enum PagingKind
{
    /// <summary>The guest's page tables are walked.</summary>
    Walk,

    /// <summary>Shadow page tables, kept coherent by traces on the guest's; those are walked only where the shadow has nothing yet.</summary>
    Shadow,

    /// <summary>Nested page tables of the monitor, under the guest's own; with HardwareAssist.</summary>
    Nested,
}
