using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Kinds of the first two operands.</summary>
internal enum OperandForm
{
    RegisterRegister,
    RegisterImmediate,
    RegisterMemory,
    MemoryRegister,
    MemoryImmediate,
}

/// <summary>Questions about an instruction that families ask when they bind it.</summary>
internal static class OperandShape
{
    public static OperandForm Form(in Instruction instruction)
    {
        bool register1 = instruction.Op1Kind == OpKind.Register;
        if (instruction.Op0Kind == OpKind.Register)
            return register1 ? OperandForm.RegisterRegister : instruction.Op1Kind == OpKind.Memory ? OperandForm.RegisterMemory : OperandForm.RegisterImmediate;
        return register1 ? OperandForm.MemoryRegister : OperandForm.MemoryImmediate;
    }

    /// <summary>Bytes of an operand: the register's, or those of the memory access.</summary>
    public static int Size(in Instruction instruction, int operand)
        => instruction.GetOpKind(operand) == OpKind.Register ? instruction.GetOpRegister(operand).GetSize() : instruction.MemorySize.GetSize();
}
