using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// How <see cref="Op"/> names registers: general registers by offset in <see cref="CpuState"/> (AH to BH one byte up), all others
/// by number.
/// </summary>
internal static class OperandRegisters
{
    private static readonly byte[] Names = Build();

    public static byte Name(Register register) => Names[(int)register];

    private static byte[] Build()
    {
        var names = new byte[(int)Register.TR7 + 1];
        names[(int)Register.None] = CpuState.ZeroOffset;
        names[(int)Register.EIP] = names[(int)Register.RIP] = CpuState.BlockRipOffset;
        for (int i = 0; i < 16; i++)
        {
            byte offset = (byte)(i * 8);
            names[(int)(Register.AX + i)] = offset;
            names[(int)(Register.EAX + i)] = offset;
            names[(int)(Register.RAX + i)] = offset;
            names[(int)(Register.CR0 + i)] = (byte)i;
            names[(int)(Register.DR0 + i)] = (byte)i;
        }
        for (int i = 0; i < 4; i++)
        {
            names[(int)(Register.AL + i)] = (byte)(i * 8);
            names[(int)(Register.AH + i)] = (byte)(i * 8 + 1);
        }
        for (int i = 4; i < 16; i++)
            names[(int)(Register.SPL + (i - 4))] = (byte)(i * 8);
        for (int i = 0; i < 32; i++)
        {
            names[(int)(Register.XMM0 + i)] = (byte)i;
            names[(int)(Register.YMM0 + i)] = (byte)i;
        }
        for (int i = 0; i < 8; i++)
        {
            names[(int)(Register.ST0 + i)] = (byte)i;
            names[(int)(Register.MM0 + i)] = (byte)i;
        }
        for (int i = 0; i < 6; i++)
            names[(int)(Register.ES + i)] = (byte)i;
        return names;
    }
}
