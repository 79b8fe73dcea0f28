namespace X86Virt.Engine;

/// <summary>The areas of a VMCB (AMD volume 2, appendix B).</summary>
public enum VmcbArea
{
    Control,
    State,
}

/// <summary>A field of a VMCB.</summary>
/// <param name="VMName">The machine.</param>
/// <param name="Area">Where it is.</param>
/// <param name="Offset">From the start of the VMCB.</param>
/// <param name="Name">As the manual has it.</param>
/// <param name="Value">What it holds; of a segment register the selector, of a descriptor-table register the base.</param>
/// <param name="Hex">The value in hexadecimal, at full width.</param>
/// <param name="Description">The value in words: flags that are set, an event, a segment's hidden part.</param>
public sealed record VmcbField(string VMName, VmcbArea Area, int Offset, string Name, ulong Value, string Hex, string Description);
