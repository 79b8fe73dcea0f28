using System.Runtime.Intrinsics;

namespace X86Virt.Engine.Processor;

/// <summary>The 512-byte legacy image of FXSAVE and XSAVE (AMD volume 2, 11.5.4): x87 state, MXCSR, XMM registers.</summary>
internal static unsafe class FxImage
{
    public const int Size = 512;
    public const int Mxcsr = 24, MxcsrMask = 28, Registers = 32, Xmm = 160;

    /// <summary>What of the image is not left to software.</summary>
    public const int Used = Xmm + 16 * 16;

    /// <summary>XMM registers that the mode can name.</summary>
    public static int XmmCount(CpuState* s) => s->Code64 ? 16 : 8;

    /// <param name="s">The processor.</param>
    /// <param name="image">Bytes 0 to 23 and 32 to 159 are written.</param>
    /// <param name="wide">64-bit pointers in place of offset and selector (REX.W).</param>
    public static void StoreX87(CpuState* s, byte* image, bool wide)
    {
        *(ushort*)image = X87State.Control(s);
        *(ushort*)(image + 2) = X87State.Status(s);
        *(ushort*)(image + 4) = X87State.Tags(s);
        *(ushort*)(image + 6) = X87State.Opcode(s);
        ulong instruction = X87State.InstructionPointer(s), data = X87State.DataPointer(s);
        if (!wide)
        {
            instruction = (uint)instruction | (ulong)X87State.InstructionSegment(s) << 32;
            data = (uint)data | (ulong)X87State.DataSegment(s) << 32;
        }
        *(ulong*)(image + 8) = instruction;
        *(ulong*)(image + 16) = data;
        X87State.CopyRegistersTo(s, image + Registers);
    }

    public static void LoadX87(CpuState* s, byte* image, bool wide)
    {
        X87State.Status(s) = *(ushort*)(image + 2);
        X87State.Tags(s) = image[4];
        X87State.Opcode(s) = (ushort)(*(ushort*)(image + 6) & 0x7FF);
        ulong instruction = *(ulong*)(image + 8), data = *(ulong*)(image + 16);
        X87State.InstructionPointer(s) = wide ? instruction : (uint)instruction;
        X87State.InstructionSegment(s) = wide ? (ushort)0 : (ushort)(instruction >> 32);
        X87State.DataPointer(s) = wide ? data : (uint)data;
        X87State.DataSegment(s) = wide ? (ushort)0 : (ushort)(data >> 32);
        X87State.CopyRegistersFrom(s, image + Registers);
        X87State.SetControl(s, *(ushort*)image);
    }

    public static void StoreMxcsr(CpuState* s, byte* image)
    {
        *(uint*)(image + Mxcsr) = s->Mxcsr;
        *(uint*)(image + MxcsrMask) = SimdException.WritableMxcsr;
    }

    public static void StoreXmm(CpuState* s, byte* image)
    {
        for (int i = 0; i < XmmCount(s); i++)
            *(Vector128<byte>*)(image + Xmm + i * 16) = *(Vector128<byte>*)(s->Vectors + i * CpuState.VectorSize);
    }

    public static void LoadXmm(CpuState* s, byte* image)
    {
        for (int i = 0; i < XmmCount(s); i++)
            *(Vector128<byte>*)(s->Vectors + i * CpuState.VectorSize) = *(Vector128<byte>*)(image + Xmm + i * 16);
    }
}
