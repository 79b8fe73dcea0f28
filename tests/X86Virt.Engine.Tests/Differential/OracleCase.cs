using System.Runtime.InteropServices;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>Where instructions and their memory lie, as tests/oracle/oracle.c has it too.</summary>
internal static class OracleLayout
{
    /// <summary>An unmapped page, two writable ones, a read-only one, an unmapped one; base of GS and of 16-bit data segments.</summary>
    public const uint Window = 0x10000000;
    public const uint Writable = Window + 0x1000;
    public const int WritableSize = 0x2000;
    public const uint ReadOnly = Writable + WritableSize;
    public const int MemorySize = WritableSize + 0x1000;

    /// <summary>One page of code, then an unmapped one; base of the 16-bit code segment.</summary>
    public const uint Code = 0x10020000;

    /// <summary>Where the code behind an instruction jumps, on the host.</summary>
    public const uint Trampoline = 0x10030000;

    public const int HeaderMemoryOffset = 8;
    public const int CasesOffset = 0x4000;
    public const int CaseSize = 1024;
    public const int VectorSize = 2048;
    public const int VectorOutput = 1024;
    public const uint NoFault = uint.MaxValue;
}

/// <summary>An instruction with the state before it and what the host made of it: <c>struct test_case</c> of the oracle.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct OracleCase
{
    public const int MaxChanges = 40;

    public fixed byte Bytes[16];
    public byte Length;

    /// <summary>16, 32 or 64.</summary>
    public byte Mode;

    /// <summary>Not 0: x87 and vector state go in and out as XSAVE images.</summary>
    public byte VectorState;
    private readonly byte _pad;
    public uint CodeOffset;
    public fixed ulong Gpr[16];
    public ulong Flags;
    public Outcome Outcome;
}

/// <summary>The state behind an instruction.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Outcome
{
    public fixed ulong Gpr[16];
    public ulong Flags;
    public ulong Rip;

    /// <summary>Exception vector or <see cref="OracleLayout.NoFault"/>.</summary>
    public uint Fault;
    public uint ErrorCode;
    public ulong Address;

    /// <summary>Quadwords of the writable pages that changed; offset and new value of the first few follow.</summary>
    public ulong ChangeCount;
    public fixed ulong Changes[OracleCase.MaxChanges * 2];
}
