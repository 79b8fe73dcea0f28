using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace X86Virt.Engine.Processor;

/// <summary>
/// The x87 part of <see cref="CpuState"/>. It is laid out as in an FXSAVE image but for the order of the registers: they are kept by
/// physical number (R0 to R7), so that moving TOP moves no data and MMX register i is always R[i].
/// </summary>
internal static unsafe class X87State
{
    public const ushort ExceptionFlags = 0x3F;
    public const ushort ErrorSummary = 0x80, Busy = 0x8000;

    /// <summary>What FNCLEX leaves of the status word.</summary>
    public const ushort ConditionsAndTop = 0x7F00;

    /// <summary>All of the status word but TOP.</summary>
    public const ushort NotTop = 0xC7FF;
    public const ushort InitialControl = 0x37F;

    /// <summary>Offset of R0 in the image; registers are 16 bytes apart.</summary>
    public const int Registers = 32;

    private const ushort WritableControl = 0x1F3F, ReservedControl = 0x40;

    public static ref ushort Control(CpuState* s) => ref *(ushort*)s->Fx;
    public static ref ushort Status(CpuState* s) => ref *(ushort*)(s->Fx + 2);

    /// <summary>Abridged tag word: bit i is set when R[i] is not empty.</summary>
    public static ref byte Tags(CpuState* s) => ref s->Fx[4];

    /// <summary>Opcode, instruction and data pointers of the last instruction that was not a control instruction.</summary>
    public static ref ushort Opcode(CpuState* s) => ref *(ushort*)(s->Fx + 6);
    public static ref ulong InstructionPointer(CpuState* s) => ref *(ulong*)(s->Fx + 8);
    public static ref ulong DataPointer(CpuState* s) => ref *(ulong*)(s->Fx + 16);

    /// <summary>Their segments; the XMM part of the image is nobody's, so they live there.</summary>
    public static ref ushort InstructionSegment(CpuState* s) => ref *(ushort*)(s->Fx + 160);
    public static ref ushort DataSegment(CpuState* s) => ref *(ushort*)(s->Fx + 162);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Top(CpuState* s) => (s->Fx[3] >> 3) & 7;

    /// <summary>The 80-bit register ST(<paramref name="i"/>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* St(CpuState* s, int i) => s->Fx + Registers + (((Top(s) + i) & 7) << 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ExceptionPending(CpuState* s) => (s->Fx[2] & ErrorSummary) != 0;

    /// <summary>Makes ES and B agree with the exception flags and masks; after any change of either but by arithmetic.</summary>
    public static void UpdateErrorSummary(CpuState* s)
    {
        bool pending = (Status(s) & ~Control(s) & ExceptionFlags) != 0;
        Status(s) = (ushort)((Status(s) & ~(ErrorSummary | Busy)) | (pending ? ErrorSummary | Busy : 0));
    }

    public static void SetControl(CpuState* s, ushort value)
    {
        Control(s) = (ushort)((value & WritableControl) | ReservedControl);
        UpdateErrorSummary(s);
    }

    /// <summary>FNINIT: the registers keep their contents, marked empty.</summary>
    public static void Initialize(CpuState* s)
    {
        Control(s) = InitialControl;
        Status(s) = 0;
        Tags(s) = 0;
        Opcode(s) = 0;
        InstructionPointer(s) = DataPointer(s) = 0;
        InstructionSegment(s) = DataSegment(s) = 0;
    }

    /// <summary>What any MMX instruction but EMMS leaves: TOP at 0, no register empty.</summary>
    public static void EnterMmx(CpuState* s)
    {
        Status(s) &= NotTop;
        Tags(s) = 0xFF;
    }

    /// <summary>Copies the registers in stack order (ST0 first), 16 bytes each, as images in memory have them.</summary>
    public static void CopyRegistersTo(CpuState* s, byte* image)
    {
        int top = Top(s);
        for (int i = 0; i < 8; i++)
            *(Vector128<byte>*)(image + i * 16) = *(Vector128<byte>*)(s->Fx + Registers + ((top + i) & 7) * 16);
    }

    /// <summary>The reverse, by the TOP that is in the status word now; what an image has between the registers is not kept.</summary>
    public static void CopyRegistersFrom(CpuState* s, byte* image)
    {
        for (int i = 0; i < 8; i++)
        {
            byte* register = St(s, i);
            *(ulong*)register = *(ulong*)(image + i * 16);
            *(ulong*)(register + 8) = *(ushort*)(image + i * 16 + 8);
        }
    }

    /// <summary>The full tag word, two bits a register: 0 valid, 1 zero, 2 special, 3 empty.</summary>
    public static ushort FullTags(CpuState* s)
    {
        int tags = 0;
        for (int i = 0; i < 8; i++)
            tags |= ((Tags(s) >> i & 1) == 0 ? 3 : Classify(s->Fx + Registers + i * 16)) << (i * 2);
        return (ushort)tags;
    }

    public static void SetFullTags(CpuState* s, ushort tags)
    {
        int abridged = 0;
        for (int i = 0; i < 8; i++)
            abridged |= (tags >> (i * 2) & 3) != 3 ? 1 << i : 0;
        Tags(s) = (byte)abridged;
    }

    private static int Classify(byte* register)
    {
        ulong significand = *(ulong*)register;
        int exponent = *(ushort*)(register + 8) & 0x7FFF;
        if (exponent == 0 && significand == 0)
            return 1;
        return exponent == 0 || exponent == 0x7FFF || (long)significand >= 0 ? 2 : 0;
    }

    /// <summary>Records the last instruction's opcode: 3 bits of its first byte and its ModRM byte, read again from the code.</summary>
    public static void RecordOpcode(CpuState* s, Op* op)
    {
        ulong linear = InstructionPointer(s);
        if (!s->Code64)
            linear = (uint)(linear + CpuState.Seg(s, Segment.Cs)->Base);
        TlbEntry* entry = s->Tlb + ((linear >> 12) & Tlb.IndexMask);
        if (entry->FetchTag != (linear & ~0xFFFUL))
            return;
        byte* code = (byte*)(entry->Addend + (nint)linear);
        int length = Math.Min(op->Length, 0x1000 - (int)(linear & 0xFFF));
        for (int i = 0; i + 1 < length; i++)
        {
            if ((code[i] & 0xF8) == 0xD8)
            {
                Opcode(s) = (ushort)((code[i] & 7) << 8 | code[i + 1]);
                return;
            }
        }
    }
}
