using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Decimal adjustments: DAA, DAS, AAA, AAS, AAM, AAD (AMD volume 3).</summary>
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
        int result = Al(s) + (low ? 6 : 0) + (high ? 0x60 : 0);
        SetAl(s, (byte)result);
        s->StatusFlags = Flags.SignZeroParity<byte>((byte)result) | (low ? Flags.Af : 0) | (high ? Flags.Cf : 0);
        return op + 1;
    }

    private static Op* Das(CpuState* s, Op* op)
    {
        bool low = LowNeedsAdjusting(s);
        bool high = Al(s) > 0x99 || (s->StatusFlags & Flags.Cf) != 0;
        bool borrow = high || (low && Al(s) < 6);
        int result = Al(s) - (low ? 6 : 0) - (high ? 0x60 : 0);
        SetAl(s, (byte)result);
        s->StatusFlags = Flags.SignZeroParity<byte>((byte)result) | (low ? Flags.Af : 0) | (borrow ? Flags.Cf : 0);
        return op + 1;
    }

    private static Op* Aaa(CpuState* s, Op* op) => AdjustUnpacked(s, op, 0x106);

    private static Op* Aas(CpuState* s, Op* op) => AdjustUnpacked(s, op, -0x106);

    private static Op* AdjustUnpacked(CpuState* s, Op* op, int adjustment)
    {
        bool adjust = LowNeedsAdjusting(s);
        int ax = (ushort)s->Rax + (adjust ? adjustment : 0);
        SetAx(s, ax & 0xFF0F);
        s->StatusFlags = Flags.SignZeroParity<byte>(Al(s)) | (adjust ? Flags.Af | Flags.Cf : 0);
        return op + 1;
    }

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
        int result = Al(s) + (byte)(s->Rax >> 8) * (byte)op->Immediate;
        SetAx(s, (byte)result);
        s->StatusFlags = Flags.SignZeroParity<byte>((byte)result);
        return op + 1;
    }
}
