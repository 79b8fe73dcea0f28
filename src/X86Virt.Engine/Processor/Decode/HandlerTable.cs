using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Finds the handler of an instruction by its encoding form (Iced's <see cref="Code"/>) and whether it has a memory operand. Families bind
/// lazily, on the first use of a form, so that a machine that runs little pays for little.
/// </summary>
public sealed unsafe class HandlerTable
{
    private readonly nint[] _bound = new nint[(int)Code.DeclareQword * 2 + 4096];

    public Handler Bind(in Instruction instruction, bool memory)
    {
        int slot = (int)instruction.Code * 2 + (memory ? 1 : 0);
        nint handler = _bound[slot];
        if (handler == 0)
            _bound[slot] = handler = (nint)Find(instruction, memory);
        return (Handler)handler;
    }

    /// <summary>Asks each family in turn; what none knows is an invalid opcode.</summary>
    private static Handler Find(in Instruction instruction, bool memory)
    {
        Handler handler;
        if ((handler = ArithmeticFamily.Bind(instruction, memory)) != null
            || (handler = MoveFamily.Bind(instruction, memory)) != null
            || (handler = StackFamily.Bind(instruction, memory)) != null
            || (handler = BranchFamily.Bind(instruction, memory)) != null
            || (handler = ShiftFamily.Bind(instruction, memory)) != null
            || (handler = MultiplyFamily.Bind(instruction, memory)) != null
            || (handler = ConditionFamily.Bind(instruction, memory)) != null
            || (handler = BitFamily.Bind(instruction, memory)) != null
            || (handler = ExchangeFamily.Bind(instruction, memory)) != null
            || (handler = StringFamily.Bind(instruction)) != null
            || (handler = AccumulatorFamily.Bind(instruction)) != null
            || (handler = FrameFamily.Bind(instruction)) != null
            || (handler = DecimalFamily.Bind(instruction)) != null
            || (handler = BitManipulationFamily.Bind(instruction, memory)) != null)
            return handler;
        return &Invalid;
    }

    private static Op* Invalid(CpuState* s, Op* op) => Fault.InvalidOpcode(s, op);
}
