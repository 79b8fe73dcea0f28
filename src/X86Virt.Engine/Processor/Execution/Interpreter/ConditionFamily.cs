using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>SETcc and CMOVcc.</summary>
internal static unsafe class ConditionFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        if (instruction.ConditionCode == ConditionCode.None || instruction.FlowControl != FlowControl.Next)
            return null;
        int condition = (int)instruction.ConditionCode - 1;
        if (instruction.OpCount == 1)
            return PickSet(condition, memory);
        return instruction.Op0Register.IsGPR() && instruction.OpCount == 2 ? PickMove(condition, OperandShape.Size(instruction, 0), memory) : null;
    }

    private static Handler PickSet(int condition, bool memory) => condition switch
    {
        0 => PickSet<Cc0>(memory),
        1 => PickSet<Cc1>(memory),
        2 => PickSet<Cc2>(memory),
        3 => PickSet<Cc3>(memory),
        4 => PickSet<Cc4>(memory),
        5 => PickSet<Cc5>(memory),
        6 => PickSet<Cc6>(memory),
        7 => PickSet<Cc7>(memory),
        8 => PickSet<Cc8>(memory),
        9 => PickSet<Cc9>(memory),
        10 => PickSet<CcA>(memory),
        11 => PickSet<CcB>(memory),
        12 => PickSet<CcC>(memory),
        13 => PickSet<CcD>(memory),
        14 => PickSet<CcE>(memory),
        _ => PickSet<CcF>(memory),
    };

    private static Handler PickMove(int condition, int size, bool memory) => condition switch
    {
        0 => PickMove<Cc0>(size, memory),
        1 => PickMove<Cc1>(size, memory),
        2 => PickMove<Cc2>(size, memory),
        3 => PickMove<Cc3>(size, memory),
        4 => PickMove<Cc4>(size, memory),
        5 => PickMove<Cc5>(size, memory),
        6 => PickMove<Cc6>(size, memory),
        7 => PickMove<Cc7>(size, memory),
        8 => PickMove<Cc8>(size, memory),
        9 => PickMove<Cc9>(size, memory),
        10 => PickMove<CcA>(size, memory),
        11 => PickMove<CcB>(size, memory),
        12 => PickMove<CcC>(size, memory),
        13 => PickMove<CcD>(size, memory),
        14 => PickMove<CcE>(size, memory),
        _ => PickMove<CcF>(size, memory),
    };

    private static Handler PickSet<TCondition>(bool memory) where TCondition : struct, ICondition
        => memory ? &SetMemory<TCondition> : &SetRegister<TCondition>;

    private static Handler PickMove<TCondition>(int size, bool memory) where TCondition : struct, ICondition
        => SourceForms<Move<TCondition>>.Pick(size, memory, RegisterSlot.Second);

    private static Op* SetRegister<TCondition>(CpuState* s, Op* op) where TCondition : struct, ICondition
    {
        Operand.SetRegister<byte>(s, op->Destination, TCondition.Holds(s->StatusFlags) ? 1UL : 0);
        return op + 1;
    }

    private static Op* SetMemory<TCondition>(CpuState* s, Op* op) where TCondition : struct, ICondition
        => Operand.WriteMemory<byte>(s, op, TCondition.Holds(s->StatusFlags) ? 1UL : 0) ? op + 1 : null;

    /// <summary>The source is read and a 32-bit destination loses its upper half whatever the condition.</summary>
    private readonly struct Move<TCondition> : ISourceOperation where TCondition : struct, ICondition
    {
        public static bool Apply<T>(CpuState* s, Op* op, ulong value, byte other) where T : unmanaged
        {
            Operand.SetRegister<T>(s, op->Destination, TCondition.Holds(s->StatusFlags) ? value : Operand.Register<T>(s, op->Destination));
            return true;
        }
    }
}
