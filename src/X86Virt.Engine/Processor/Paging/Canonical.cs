using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>Canonical form of linear addresses: 48 bits, 57 with 5-level paging (AMD volume 2, 5.3.1).</summary>
public static unsafe class Canonical
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Is(CpuState* s, ulong linear)
    {
        int shift = (s->Cr4 & Cr4.La57) != 0 ? 7 : 16;
        return (ulong)((long)(linear << shift) >> shift) == linear;
    }
}
