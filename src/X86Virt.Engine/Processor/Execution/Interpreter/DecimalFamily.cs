using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Decimal adjustments: DAA, DAS, AAA, AAS, AAM, AAD (AMD volume 3), with the undefined flags as Zen leaves them.</summary>
internal static unsafe class DecimalFamily
{
    public static Handler Bind(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Daa => &Daa,
        Mnemonic.Das => &Das,
        Mnemonic.Aaa => &Aaa,
        Mnemonic.Aas => &Aas,
        Mnemonic.Aam => &Aam,
        Mnemonic.Aad => &Aad,
        _ => null,
    };

    private static byte Al(CpuState* s) => (byte)s->Rax;

    private static void SetAl(CpuState* s, byte value) => *(byte*)&s->Rax = value;

    private static void SetAx(CpuState* s, int value) => *(ushort*)&s->Rax = (ushort)value;

    private static bool LowNeedsAdjusting(CpuState* s) => (Al(s) & 0xF) > 9 || (s->StatusFlags & Flags.Af) != 0;

    private static Op* Daa(CpuState* s, Op* op)
    {
        bool low = LowNeedsAdjusting(s);
        bool high = Al(s) > 0x99 || (s->StatusFlags & Flags.Cf) != 0;
        int adjustment = (low ? 6 : 0) + (high ? 0x60 : 0);
        int result = Al(s) + adjustment;
        s->StatusFlags = Replace(Flags.Add<byte>(Al(s), (byte)adjustment, (byte)result), low, high);
        SetAl(s, (byte)result);
        return op + 1;
    }

    private static Op* Das(CpuState* s, Op* op)
    {
        bool low = LowNeedsAdjusting(s);
        bool high = Al(s) > 0x99 || (s->StatusFlags & Flags.Cf) != 0;
        bool borrow = high || (low && Al(s) < 6);
        int adjustment = (low ? 6 : 0) + (high ? 0x60 : 0);
        int result = Al(s) - adjustment;
        s->StatusFlags = Replace(Flags.Subtract<byte>(Al(s), (byte)adjustment, (byte)result), low, borrow);
        SetAl(s, (byte)result);
        return op + 1;
    }

    private static Op* Aaa(CpuState* s, Op* op)
    {
        bool adjust = LowNeedsAdjusting(s);
        ushort ax = (ushort)s->Rax, adjustment = (ushort)(adjust ? 0x106 : 0), sum = (ushort)(ax + adjustment);
        s->StatusFlags = Replace(Flags.Add<ushort>(ax, adjustment, sum), adjust, adjust);
        SetAx(s, sum & 0xFF0F);
        return op + 1;
    }

    private static Op* Aas(CpuState* s, Op* op)
    {
        bool adjust = LowNeedsAdjusting(s);
        ushort ax = (ushort)s->Rax, adjustment = (ushort)(adjust ? 0x106 : 0), difference = (ushort)(ax - adjustment);
        s->StatusFlags = Replace(Flags.Subtract<ushort>(ax, adjustment, difference), adjust, adjust);
        SetAx(s, difference & 0xFF0F);
        return op + 1;
    }

    /// <summary>Flags of the addition or subtraction, but for AF and CF.</summary>
    private static uint Replace(uint flags, bool auxiliary, bool carry)
        => (flags & ~(Flags.Af | Flags.Cf)) | (auxiliary ? Flags.Af : 0) | (carry ? Flags.Cf : 0);

    private static Op* Aam(CpuState* s, Op* op)
    {
        int divisor = (byte)op->Immediate;
        if (divisor == 0)
            return Fault.Raise(s, op, Vector.DivideError);
        int al = Al(s);
        SetAx(s, ((al / divisor) << 8) | (al % divisor));
        s->StatusFlags = Flags.SignZeroParity<byte>(Al(s));
        return op + 1;
    }

    private static Op* Aad(CpuState* s, Op* op)
    {
        byte al = Al(s), tens = (byte)((byte)(s->Rax >> 8) * (byte)op->Immediate), sum = (byte)(al + tens);
        s->StatusFlags = Flags.Add<byte>(al, tens, sum);
        SetAx(s, sum);
        return op + 1;
    }
}
