using System.Numerics;
using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Status flags in the layout that LAHF and SETO AL leave in AX, which translated code can store and load in two instructions
/// and from which RFLAGS is two shifts away. Bits of <see cref="CpuState.StatusFlags"/> other than these six are 0.
/// </summary>
public static unsafe class Flags
{
    public const uint Of = 0x0001;
    public const uint Cf = 0x0100;
    public const uint Pf = 0x0400;
    public const uint Af = 0x1000;
    public const uint Zf = 0x4000;
    public const uint Sf = 0x8000;
    public const uint All = Of | Cf | Pf | Af | Zf | Sf;

    /// <summary>Status bits of RFLAGS: CF, PF, AF, ZF, SF, OF.</summary>
    public const uint RflagsStatus = 0x8D5;

    public const uint Tf = 1 << 8;
    public const uint If = 1 << 9;
    public const uint Df = 1 << 10;
    public const uint IoplMask = 3 << 12;
    public const uint Nt = 1 << 14;
    public const uint Rf = 1 << 16;
    public const uint Vm = 1 << 17;
    public const uint Ac = 1 << 18;
    public const uint Vif = 1 << 19;
    public const uint Vip = 1 << 20;
    public const uint Id = 1 << 21;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ToRflags(uint status) => ((status >> 8) & 0xD5) | ((status & Of) << 11);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint FromRflags(ulong rflags) => (((uint)rflags & 0xD5) << 8) | (((uint)rflags >> 11) & Of);

    /// <summary>All of RFLAGS at an instruction boundary (RF only where it still holds).</summary>
    public static ulong Rflags(CpuState* s)
        => ToRflags(s->StatusFlags) | (s->BoundaryRetired == s->Retired ? s->SystemFlags : s->SystemFlags & ~Rf);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Top<T>() where T : unmanaged => sizeof(T) * 8 - 1;

    /// <summary>SF, ZF and PF of a result already truncated to T.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint SignZeroParity<T>(ulong result) where T : unmanaged
    {
        uint flags = (uint)(result >> Top<T>()) << 15;
        flags |= result == 0 ? Zf : 0;
        return flags | ((~(uint)BitOperations.PopCount((uint)(byte)result) & 1) << 10);
    }

    /// <summary>CF, AF and OF from the vector of carries (or borrows) out of each bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Carries<T>(ulong carries) where T : unmanaged
    {
        uint top = (uint)(carries >> (Top<T>() - 1));
        return (((top >> 1) & 1) << 8) | (((uint)carries & 8) << 9) | (((top >> 1) ^ top) & Of);
    }

    /// <summary>Flags of result = a + b (+ carry in), all truncated to T.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Add<T>(ulong a, ulong b, ulong result) where T : unmanaged
        => SignZeroParity<T>(result) | Carries<T>((a & b) | ((a | b) & ~result));

    /// <summary>Flags of result = a - b (- borrow in), all truncated to T.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Subtract<T>(ulong a, ulong b, ulong result) where T : unmanaged
        => SignZeroParity<T>(result) | Carries<T>((~a & b) | (~(a ^ b) & result));

    /// <summary>Flags of AND, OR, XOR, TEST: CF, OF and AF clear (AF is undefined; hardware clears it).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Logic<T>(ulong result) where T : unmanaged => SignZeroParity<T>(result);

    /// <summary>Evaluates condition code <paramref name="cc"/> (0 = O … 15 = G, as encoded in Jcc).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Condition(uint status, int cc)
    {
        bool value = (cc >> 1) switch
        {
            0 => (status & Of) != 0,
            1 => (status & Cf) != 0,
            2 => (status & Zf) != 0,
            3 => (status & (Cf | Zf)) != 0,
            4 => (status & Sf) != 0,
            5 => (status & Pf) != 0,
            6 => ((status >> 15) ^ status) << 31 != 0,
            _ => (status & Zf) != 0 || ((status >> 15) ^ status) << 31 != 0,
        };
        return value ^ ((cc & 1) != 0);
    }
}
