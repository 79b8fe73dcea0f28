namespace X86Virt.Engine;

/// <summary>An address at which a machine is suspended before the instruction there is executed.</summary>
/// <param name="Machine">Name of the machine.</param>
/// <param name="Address">Linear address.</param>
/// <param name="Text">The instruction there now; empty if there is no memory.</param>
public sealed record CodeBreakpoint(string Machine, ulong Address, string Text);
