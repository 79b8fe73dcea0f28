using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Flags that are overwritten before anything reads them, unless an access in between leaves for its slow way: they need not be saved where
/// the slow way can make them again. That is so if registers still hold what the instruction that set them worked on.
/// </summary>
internal static unsafe class FlagRecipe
{
    /// <summary>
    /// Whether the flags that instruction <paramref name="producer"/> sets can be made again at every instruction up to the one that overwrites
    /// all of them, which is returned; -1 if not, or if nothing in between may want them.
    /// </summary>
    public static int Until(ReadOnlySpan<Instruction> instructions, ReadOnlySpan<TranslationKind> kinds, int producer, InstructionInfoFactory factory)
    {
        ref readonly Instruction made = ref instructions[producer];
        if (!IsRepeatable(made, kinds[producer]))
            return -1;
        bool wanted = false, clobbered = false;
        for (int i = producer + 1; i < instructions.Length; i++)
        {
            ref readonly Instruction instruction = ref instructions[i];
            // What reads them must find them in the host still: before the first access, its own included.
            clobbered |= kinds[i] == TranslationKind.Memory || DataUnitsOf.Find(instruction) != DataUnits.None;
            if (clobbered && (instruction.RflagsRead & FlagLiveness.Status) != 0)
                return -1;
            if (kinds[i] == TranslationKind.Branch && instruction.IsJccShortOrNear && i + 1 < instructions.Length)
                continue;
            if (kinds[i] is not (TranslationKind.Register or TranslationKind.Memory))
                return -1;
            wanted |= kinds[i] == TranslationKind.Memory;
            if (FlagLiveness.Modified(instruction) != RflagsBits.None)
                return wanted && FlagLiveness.Killed(instruction) == FlagLiveness.Status ? i : -1;
            if (WritesOperandOf(made, instruction, factory))
                return -1;
        }
        return -1;
    }

    private static bool IsRepeatable(in Instruction instruction, TranslationKind kind)
    {
        if (instruction.Op0Kind != OpKind.Register || RegisterMap.IsHighByte(instruction.Op0Register) || RegisterMap.GuestOf(instruction.Op0Register) < 0)
            return false;
        bool logic = instruction.Mnemonic is Mnemonic.And or Mnemonic.Or or Mnemonic.Xor;
        // What was loaded from memory is gone, but logic is all in its result.
        if (kind != TranslationKind.Register)
            return kind == TranslationKind.Memory && logic;
        if (!logic && instruction.Mnemonic is not (Mnemonic.Add or Mnemonic.Sub or Mnemonic.Cmp or Mnemonic.Test))
            return false;
        if (instruction.Op1Kind != OpKind.Register)
            return true;
        if (RegisterMap.IsHighByte(instruction.Op1Register))
            return false;
        // A sum with itself does not tell what it was.
        return instruction.Mnemonic is not (Mnemonic.Add or Mnemonic.Sub) || instruction.Op0Register != instruction.Op1Register;
    }

    private static bool WritesOperandOf(in Instruction made, in Instruction instruction, InstructionInfoFactory factory)
    {
        int first = RegisterMap.GuestOf(made.Op0Register);
        int second = made.Op1Kind == OpKind.Register ? RegisterMap.GuestOf(made.Op1Register) : -1;
        foreach (UsedRegister used in factory.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
        {
            if (used.Access is OpAccess.Read or OpAccess.CondRead or OpAccess.NoMemAccess or OpAccess.None)
                continue;
            int guest = RegisterMap.GuestOf(used.Register);
            if (guest >= 0 && (guest == first || guest == second))
                return true;
        }
        return false;
    }
}
