using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST, INC, DEC, NEG, NOT (AMD volume 3).</summary>
internal static unsafe class ArithmeticFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        Mnemonic mnemonic = instruction.Mnemonic;
        switch (mnemonic)
        {
            case Mnemonic.Inc:
                return UnaryForms<Inc>.Pick(OperandShape.Size(instruction, 0), memory);
            case Mnemonic.Dec:
                return UnaryForms<Dec>.Pick(OperandShape.Size(instruction, 0), memory);
            case Mnemonic.Neg:
                return UnaryForms<Neg>.Pick(OperandShape.Size(instruction, 0), memory);
            case Mnemonic.Not:
                return UnaryForms<Not>.Pick(OperandShape.Size(instruction, 0), memory);
            case Mnemonic.Add or Mnemonic.Adc or Mnemonic.Sub or Mnemonic.Sbb or Mnemonic.Cmp or Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Test:
                break;
            default:
                return null;
        }
        int size = OperandShape.Size(instruction, 0);
        OperandForm form = OperandShape.Form(instruction);
        return mnemonic switch
        {
            Mnemonic.Add => BinaryForms<Add>.Pick(size, form),
            Mnemonic.Adc => BinaryForms<Adc>.Pick(size, form),
            Mnemonic.Sub => BinaryForms<Sub>.Pick(size, form),
            Mnemonic.Sbb => BinaryForms<Sbb>.Pick(size, form),
            Mnemonic.Cmp => BinaryForms<Cmp>.Pick(size, form),
            Mnemonic.And => BinaryForms<And>.Pick(size, form),
            Mnemonic.Or => BinaryForms<Or>.Pick(size, form),
            Mnemonic.Xor => BinaryForms<Xor>.Pick(size, form),
            _ => BinaryForms<Test>.Pick(size, form),
        };
    }
}
