using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Pure data instructions that the host CPU itself executes: x87 arithmetic, MMX, SSE to SSE4.2, AES, PCLMULQDQ, SHA, AVX, AVX2, FMA, F16C.
/// Nothing else knows what they compute. Each gets a stub (<see cref="StubCache"/>) when it is decoded.
/// </summary>
internal static unsafe class HostExecutedFamily
{
    public static Handler Bind(in Instruction instruction, bool memory)
    {
        if (!HostFeatures.Executes(instruction.Code) || instruction.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX))
            return null;

        bool store = memory && instruction.Op0Kind == OpKind.Memory && IsStore(instruction);
        int size = instruction.MemorySize.GetSize();
        if (X87Stub.Handles(instruction))
            return memory ? X87Handlers.PickMemory(size, store) : &X87Handlers.Registers;

        bool aligned = memory && NeedsAlignment(instruction);
        if (instruction.Encoding == EncodingKind.VEX)
            return memory ? HostHandlers<AvxUnit>.PickMemory(size, store, aligned) : &HostHandlers<AvxUnit>.Registers;
        bool mmx = false, xmm = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            mmx |= instruction.GetOpKind(i) == OpKind.Register && instruction.GetOpRegister(i).IsMM();
            xmm |= instruction.GetOpKind(i) == OpKind.Register && instruction.GetOpRegister(i).IsXMM();
        }
        if (mmx && xmm)
            return memory ? HostHandlers<MmxSseUnit>.PickMemory(size, store, aligned) : &HostHandlers<MmxSseUnit>.Registers;
        if (mmx)
            return memory ? HostHandlers<MmxUnit>.PickMemory(size, store, aligned) : &HostHandlers<MmxUnit>.Registers;
        return memory ? HostHandlers<SseUnit>.PickMemory(size, store, aligned) : &HostHandlers<SseUnit>.Registers;
    }

    private static bool IsStore(in Instruction instruction)
        => new InstructionInfoFactory().GetInfo(instruction).Op0Access is OpAccess.Write or OpAccess.CondWrite;

    /// <summary>
    /// 16-byte operands of legacy SSE instructions must be aligned but for the moves that say otherwise and SHA (on Zen); VEX-encoded ones
    /// need not, but for the moves that say so.
    /// </summary>
    public static bool NeedsAlignment(in Instruction instruction)
    {
        if (instruction.Encoding == EncodingKind.VEX)
        {
            return instruction.Mnemonic is Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa or Mnemonic.Vmovntdq or Mnemonic.Vmovntdqa
                or Mnemonic.Vmovntps or Mnemonic.Vmovntpd;
        }
        return instruction.MemorySize.GetSize() == 16
            && instruction.Mnemonic is not (Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu
                or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm
                or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64
                or Mnemonic.Sha1msg1 or Mnemonic.Sha1msg2 or Mnemonic.Sha1nexte or Mnemonic.Sha1rnds4
                or Mnemonic.Sha256msg1 or Mnemonic.Sha256msg2 or Mnemonic.Sha256rnds2);
    }
}
