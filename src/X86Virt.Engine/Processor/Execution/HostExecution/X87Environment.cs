namespace X86Virt.Engine.Processor;

/// <summary>
/// The x87 environment as FNSTENV, FLDENV, FNSAVE and FRSTOR have it in memory: 14 or 28 bytes, pointers as selector and offset, or as
/// 20- or 32-bit linear addresses in real and virtual-8086 mode (AMD volume 2, 11.5.2).
/// </summary>
internal static unsafe class X87Environment
{
    /// <summary>An FNSAVE image.</summary>
    public const int MaximumSize = 108;

    private const int OpcodeMask = 0x7FF;
    private const uint ReservedHigh = 0xFFFF_0000;

    public static int Size(bool wide) => wide ? 28 : 14;

    private static bool LinearPointers(CpuState* s) => !s->ProtectedMode || s->Virtual8086;

    /// <summary>Writes the environment; returns its size.</summary>
    public static int Store(CpuState* s, byte* image, bool wide)
    {
        ushort tags = X87State.FullTags(s);
        uint instruction = (uint)X87State.InstructionPointer(s), data = (uint)X87State.DataPointer(s);
        uint opcode = X87State.Opcode(s) & (uint)OpcodeMask;
        bool linear = LinearPointers(s);
        if (linear)
        {
            instruction += (uint)X87State.InstructionSegment(s) << 4;
            data += (uint)X87State.DataSegment(s) << 4;
        }
        if (wide)
        {
            uint* words = (uint*)image;
            words[0] = ReservedHigh | X87State.Control(s);
            words[1] = ReservedHigh | X87State.Status(s);
            words[2] = ReservedHigh | tags;
            words[3] = linear ? (ushort)instruction : instruction;
            words[4] = linear ? (instruction >> 16 << 12) | opcode : X87State.InstructionSegment(s) | opcode << 16;
            words[5] = linear ? (ushort)data : data;
            words[6] = linear ? data >> 16 << 12 : ReservedHigh | X87State.DataSegment(s);
        }
        else
        {
            ushort* words = (ushort*)image;
            words[0] = X87State.Control(s);
            words[1] = X87State.Status(s);
            words[2] = tags;
            words[3] = (ushort)instruction;
            words[4] = linear ? (ushort)((instruction >> 16 << 12) | opcode) : X87State.InstructionSegment(s);
            words[5] = (ushort)data;
            words[6] = linear ? (ushort)(data >> 16 << 12) : X87State.DataSegment(s);
        }
        return Size(wide);
    }

    public static void Load(CpuState* s, byte* image, bool wide)
    {
        uint Word(int i) => wide ? ((uint*)image)[i] : ((ushort*)image)[i];
        X87State.Status(s) = (ushort)Word(1);
        X87State.SetFullTags(s, (ushort)Word(2));
        if (LinearPointers(s))
        {
            X87State.InstructionSegment(s) = X87State.DataSegment(s) = 0;
            X87State.InstructionPointer(s) = (ushort)Word(3) | (Word(4) >> 12 << 16);
            X87State.DataPointer(s) = (ushort)Word(5) | (Word(6) >> 12 << 16);
            X87State.Opcode(s) = (ushort)(Word(4) & OpcodeMask);
        }
        else
        {
            X87State.InstructionPointer(s) = Word(3);
            X87State.InstructionSegment(s) = (ushort)Word(4);
            X87State.DataPointer(s) = Word(5);
            X87State.DataSegment(s) = (ushort)Word(6);
            X87State.Opcode(s) = (ushort)(wide ? Word(4) >> 16 & OpcodeMask : 0);
        }
        X87State.SetControl(s, (ushort)Word(0));
    }
}
