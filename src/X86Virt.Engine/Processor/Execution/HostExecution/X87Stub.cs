using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Writes stubs of x87 instructions: load the whole x87 state from <see cref="CpuState.HostX87Offset"/>, execute, save it. The host never
/// sees an x87 exception although the guest's control word is in force: nothing that waits for one is executed before FNSAVE,
/// which leaves the x87 initialised.
/// </summary>
internal static unsafe class X87Stub
{
    public static bool Handles(in Instruction instruction) => IsX87(instruction.Code);

    public static bool IsX87(Code code)
        => code.CpuidFeatures()[0] is CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387;

    public static void Write(Assembler code, in Instruction instruction)
    {
        StubFrame.Begin(code);
        code.frstor(__[StubFrame.State + CpuState.HostX87Offset]);
        if (StubFrame.ReadsFlags(instruction))
            StubFrame.LoadFlags(code);
        code.AddInstruction(StubFrame.Redirect(instruction));
        bool flags = StubFrame.WritesFlags(instruction);
        if (flags)
            StubFrame.TakeFlags(code);
        code.fnsave(__[StubFrame.State + CpuState.HostX87Offset]);
        if (flags)
            code.mov(__dword_ptr[StubFrame.State + CpuState.StatusFlagsOffset], eax);
        code.xor(eax, eax);
        code.ret();
    }
}
