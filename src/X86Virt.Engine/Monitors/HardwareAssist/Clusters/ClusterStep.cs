using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>What an instruction means to a cluster of exits.</summary>
internal enum StepKind : byte
{
    /// <summary>The cluster ends in front of it.</summary>
    None,

    /// <summary>It exits neither by itself nor for where it leads.</summary>
    Simple,

    /// <summary>It exits if a device or nothing answers at its address.</summary>
    Memory,

    /// <summary>IN, OUT, CPUID: it exits always.</summary>
    Exit,

    /// <summary>RDMSR, WRMSR: it exits unless the register is the guest's own.</summary>
    Msr,
}

/// <summary>One instruction of a cluster.</summary>
internal unsafe struct ClusterStep
{
    /// <summary>A block of this one instruction; null where the cluster may not execute it.</summary>
    public Block* Block;

    /// <summary>Distance from the cluster's start.</summary>
    public ushort Offset;
    public byte Length;
    public StepKind Kind;

    /// <summary>
    /// What an instruction may do in a cluster. Whatever changes a mode, a segment, IF or translations is none: nothing then stands between its instructions but what
    /// devices want.
    /// </summary>
    public static StepKind KindOf(in Instruction i)
    {
        if (i.HasRepPrefix || i.HasRepnePrefix || i.HasLockPrefix)
            return StepKind.None;
        switch (i.Mnemonic)
        {
            case Mnemonic.In or Mnemonic.Out or Mnemonic.Cpuid:
                return StepKind.Exit;
            case Mnemonic.Rdmsr or Mnemonic.Wrmsr:
                return StepKind.Msr;
            case Mnemonic.Nop:
                return StepKind.Simple;
            case Mnemonic.Mov or Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Lea or Mnemonic.Add or Mnemonic.Sub or Mnemonic.And or Mnemonic.Or
                or Mnemonic.Xor or Mnemonic.Not or Mnemonic.Neg or Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Cmp or Mnemonic.Test or Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar:
                return KindOfOperands(i);
            default:
                return i.FlowControl == FlowControl.ConditionalBranch && i.IsJccShortOrNear ? StepKind.Simple : StepKind.None;
        }
    }

    private static StepKind KindOfOperands(in Instruction i)
    {
        bool memory = false;
        for (int n = 0; n < i.OpCount; n++)
        {
            OpKind kind = i.GetOpKind(n);
            if (kind == OpKind.Register && !i.GetOpRegister(n).IsGPR())
                return StepKind.None;
            memory |= kind == OpKind.Memory;
        }
        return memory && i.Mnemonic != Mnemonic.Lea ? StepKind.Memory : StepKind.Simple;
    }
}
