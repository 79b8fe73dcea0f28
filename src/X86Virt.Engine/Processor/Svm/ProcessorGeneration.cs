namespace X86Virt.Engine.Processor;

/// <summary>What the virtual silicon under HardwareAssist has of hardware assistance. The guest cannot tell.</summary>
public enum ProcessorGeneration
{
    /// <summary>
    /// Neither nested paging nor help in decoding exits, as AMD's processors of 2006 (family 0Fh, revision F), and no guest in real mode, as Intel's of 2005: the monitor
    /// emulates it.
    /// </summary>
    FirstGeneration,

    /// <summary>Nested paging, real mode and the next instruction's address at an exit, as AMD's processors of 2009 (family 10h, revision C).</summary>
    NestedPaging,

    /// <summary>All that there is.</summary>
    Current,
}
