using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Finds the handler of an instruction by its encoding form (Iced's <see cref="Code"/>) and whether it has a memory operand. Families bind
/// lazily, on the first use of a form, so that a machine that runs little pays for little.
/// </summary>
internal sealed unsafe class HandlerTable(ProcessorModel model) : IDisposable
{
    /// <summary>The last value of Code, times two.</summary>
    private const int Slots = ((int)Code.VEX_Vsm3rnds2_xmm_xmm_xmmm128_imm8 + 1) * 2;

    private readonly nint[] _bound = new nint[Slots];
    private readonly bool[] _hosted = new bool[Slots];
    private readonly StubCache _stubs = new();

    /// <summary>Completes an entry: its handler and, for an instruction that the host executes, its stub.</summary>
    public void Bind(in Instruction instruction, bool memory, Op* op)
    {
        int slot = (int)instruction.Code * 2 + (memory ? 1 : 0);
        nint handler = _bound[slot];
        if (handler == 0)
            _bound[slot] = handler = (nint)Find(instruction, memory, out _hosted[slot]);
        op->Handler = (Handler)handler;
        if (_hosted[slot])
            op->Immediate = _stubs.Find(instruction);
    }

    public void Dispose() => _stubs.Dispose();

    /// <summary>Asks each family in turn; what none knows is an invalid opcode.</summary>
    private Handler Find(in Instruction instruction, bool memory, out bool hosted)
    {
        hosted = false;
        if (!InstructionFeatures.Has(model, instruction))
            return &Invalid;
        Handler handler;
        if ((handler = ArithmeticFamily.Bind(instruction, memory)) != null
            || (handler = MoveFamily.Bind(instruction, memory)) != null
            || (handler = StackFamily.Bind(instruction, memory)) != null
            || (handler = FlagFamily.Bind(instruction)) != null
            || (handler = InterruptFamily.Bind(instruction)) != null
            || (handler = FarTransferFamily.Bind(instruction)) != null
            || (handler = SegmentFamily.Bind(instruction, memory)) != null
            || (handler = PortFamily.Bind(instruction)) != null
            || (handler = SystemCallFamily.Bind(instruction)) != null
            || (handler = ProcessorFamily.Bind(instruction)) != null
            || (handler = SvmFamily.Bind(instruction)) != null
            || (handler = MonitorFamily.Bind(instruction)) != null
            || (handler = ControlRegisterFamily.Bind(instruction, memory)) != null
            || (handler = DescriptorTableFamily.Bind(instruction, memory)) != null
            || (handler = SelectorFamily.Bind(instruction, memory)) != null
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
            || (handler = BitManipulationFamily.Bind(instruction, memory)) != null
            || (handler = X87ControlFamily.Bind(instruction, memory)) != null
            || (handler = FxsaveFamily.Bind(instruction)) != null
            || (handler = XsaveFamily.Bind(instruction)) != null
            || (handler = CacheHintFamily.Bind(instruction, memory)) != null
            || (handler = VectorMoveFamily.Bind(instruction, memory)) != null
            || (handler = MaskedMoveFamily.Bind(instruction, memory)) != null
            || (handler = GatherFamily.Bind(instruction)) != null)
            return handler;
        if ((handler = HostExecutedFamily.Bind(instruction, memory)) != null)
        {
            hosted = true;
            return handler;
        }
        return &Invalid;
    }

    /// <summary>What an encoding that means nothing here is bound to.</summary>
    internal static Handler InvalidHandler => &Invalid;

    private static Op* Invalid(CpuState* s, Op* op) => Fault.InvalidOpcode(s, op);
}
