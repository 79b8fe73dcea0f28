using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Which status flags must be right before each instruction of a translation unit. They must be at its end, before an instruction that may
/// fault or call out (the handler, or an exception frame, sees them), and before one that reads them.
/// </summary>
internal static class FlagLiveness
{
    public const RflagsBits Status = RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF | RflagsBits.PF;

    /// <summary>Fills <paramref name="needed"/>[i] for each instruction; [count] is the end.</summary>
    public static void Find(ReadOnlySpan<Instruction> instructions, ReadOnlySpan<TranslationKind> kinds, Span<RflagsBits> needed)
    {
        needed[instructions.Length] = Status;
        for (int i = instructions.Length - 1; i >= 0; i--)
        {
            ref readonly Instruction instruction = ref instructions[i];
            needed[i] = kinds[i] != TranslationKind.Register
                ? Status
                : (needed[i + 1] & ~Killed(instruction)) | (instruction.RflagsRead & Status);
        }
    }

    /// <summary>Flags that the instruction may change: OF (undefined) even of a rotation through carry that comes full circle.</summary>
    public static RflagsBits Modified(in Instruction instruction)
        => (instruction.Mnemonic is Mnemonic.Rcl or Mnemonic.Rcr ? instruction.RflagsModified | RflagsBits.OF : instruction.RflagsModified) & Status;

    /// <summary>Flags that the instruction overwrites whatever its operands are; some that are undefined Zen leaves alone.</summary>
    public static RflagsBits Killed(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Mul or Mnemonic.Imul => RflagsBits.CF | RflagsBits.OF,
        Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc => RflagsBits.CF,
        Mnemonic.Lzcnt or Mnemonic.Tzcnt => Status & ~RflagsBits.OF,
        _ => IsShiftByCl(instruction) ? RflagsBits.None : instruction.RflagsModified & Status,
    };

    /// <summary>A count of 0 leaves flags alone.</summary>
    public static bool IsShiftByCl(in Instruction instruction)
        => instruction.Mnemonic is Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol or Mnemonic.Ror
                or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld or Mnemonic.Shrd
            && instruction.GetOpKind(instruction.OpCount - 1) == OpKind.Register;
}
