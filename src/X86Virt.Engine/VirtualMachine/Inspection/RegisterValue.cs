namespace X86Virt.Engine;

/// <summary>Which part of the processor a register belongs to.</summary>
public enum RegisterGroup
{
    /// <summary>General-purpose registers, RIP, RFLAGS, and their parts.</summary>
    General,

    /// <summary>Segment registers with their hidden parts, GDTR, IDTR.</summary>
    Segment,

    /// <summary>CR0 to CR8, EFER, XCR0.</summary>
    Control,
    Debug,

    /// <summary>Model-specific registers.</summary>
    Msr,

    /// <summary>x87 and MMX.</summary>
    FloatingPoint,

    /// <summary>XMM, YMM, MXCSR.</summary>
    Vector,
}

/// <summary>A register and what it held when it was read.</summary>
/// <param name="Name">Its name in the manuals; hidden parts after a dot (CS.Base).</param>
/// <param name="Group">The part of the processor it belongs to.</param>
/// <param name="Bits">Width.</param>
/// <param name="Value">A <see cref="ulong"/>, or a <see cref="System.Numerics.BigInteger"/> if it is wider than 64 bits.</param>
/// <param name="Hex">The value in hexadecimal, at full width.</param>
/// <param name="Description">The value in words: flags that are set, a descriptor's fields, a number.</param>
public sealed record RegisterValue(string Name, RegisterGroup Group, int Bits, object Value, string Hex, string Description);

/// <summary>The general-purpose registers at one moment.</summary>
public sealed record GeneralRegisters(
    ulong Rax, ulong Rbx, ulong Rcx, ulong Rdx, ulong Rsi, ulong Rdi, ulong Rbp, ulong Rsp,
    ulong R8, ulong R9, ulong R10, ulong R11, ulong R12, ulong R13, ulong R14, ulong R15, ulong Rflags)
{
    public override string ToString()
        => $"rax={Rax:x} rbx={Rbx:x} rcx={Rcx:x} rdx={Rdx:x} rsi={Rsi:x} rdi={Rdi:x} rbp={Rbp:x} rsp={Rsp:x} "
            + $"r8={R8:x} r9={R9:x} r10={R10:x} r11={R11:x} r12={R12:x} r13={R13:x} r14={R14:x} r15={R15:x} rflags={Rflags:x}";
}
