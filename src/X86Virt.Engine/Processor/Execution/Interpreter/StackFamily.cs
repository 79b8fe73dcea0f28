using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>PUSH and POP of general registers, memory and immediates; LEAVE.</summary>
internal static unsafe class StackFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Push when memory:
                return OperandShape.Size(instruction, 0) switch { 2 => &PushMemory<ushort>, 4 => &PushMemory<uint>, _ => &PushMemory<ulong> };
            case Mnemonic.Push when instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsGPR():
                return OperandShape.Size(instruction, 0) switch { 2 => &PushRegister<ushort>, 4 => &PushRegister<uint>, _ => &PushRegister<ulong> };
            case Mnemonic.Push when instruction.Op0Kind != OpKind.Register:
                return instruction.StackPointerIncrement switch { -2 => &PushImmediate<ushort>, -4 => &PushImmediate<uint>, _ => &PushImmediate<ulong> };
            case Mnemonic.Pop when memory:
                return OperandShape.Size(instruction, 0) switch { 2 => &PopMemory<ushort>, 4 => &PopMemory<uint>, _ => &PopMemory<ulong> };
            case Mnemonic.Pop when instruction.Op0Register.IsGPR():
                return OperandShape.Size(instruction, 0) switch { 2 => &PopRegister<ushort>, 4 => &PopRegister<uint>, _ => &PopRegister<ulong> };
            case Mnemonic.Leave:
                return instruction.Code switch { Code.Leavew => &Leave<ushort>, Code.Leaved => &Leave<uint>, _ => &Leave<ulong> };
            default:
                return null;
        }
    }

    private static Op* PushRegister<T>(CpuState* s, Op* op) where T : unmanaged
        => Stack.Push<T>(s, op, Operand.Register<T>(s, op->Destination)) ? op + 1 : null;

    private static Op* PushImmediate<T>(CpuState* s, Op* op) where T : unmanaged
        => Stack.Push<T>(s, op, (ulong)op->Immediate) ? op + 1 : null;

    private static Op* PushMemory<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.ReadMemory<T>(s, op, out ulong value) && Stack.Push<T>(s, op, value) ? op + 1 : null;

    private static Op* PopRegister<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Stack.Peek<T>(s, op, 0, out ulong value))
            return null;
        Stack.Release(s, sizeof(T));
        Operand.SetRegister<T>(s, op->Destination, value);
        return op + 1;
    }

    /// <summary>An operand addressed through RSP is computed with the pointer already moved.</summary>
    private static Op* PopMemory<T>(CpuState* s, Op* op) where T : unmanaged
    {
        if (!Stack.Peek<T>(s, op, 0, out ulong value))
            return null;
        ulong pointer = s->Rsp;
        Stack.Release(s, sizeof(T));
        if (Operand.WriteMemory<T>(s, op, value))
            return op + 1;
        s->Rsp = pointer;
        return null;
    }

    private static Op* Leave<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong pointer = s->Rbp & s->StackMask;
        if (!Stack.Linear(s, op, pointer, sizeof(T), false, out ulong linear) || !LinearMemory.Read(s, op, linear, out T raw))
            return null;
        Stack.SetPointer(s, pointer + (ulong)sizeof(T));
        Operand.SetRegister<T>(s, 5 * 8, Operand.Load<T>(&raw));
        return op + 1;
    }
}
