using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// MOVS, STOS, LODS, CMPS, SCAS with every repeat prefix and address size. A repeated one works in passes that never leave the pages
/// its operands start in; each pass counts as one instruction retired, so passes depend on registers alone and every engine
/// retires the same number.
/// </summary>
internal static unsafe class StringFamily
{
    private const byte Rcx = 1 * 8, Rsi = 6 * 8, Rdi = 7 * 8;

    public static Handler Bind(in Instruction instruction) => instruction.Code switch
    {
        Code.Movsb_m8_m8 => &Execute<Movs, byte>,
        Code.Movsw_m16_m16 => &Execute<Movs, ushort>,
        Code.Movsd_m32_m32 => &Execute<Movs, uint>,
        Code.Movsq_m64_m64 => &Execute<Movs, ulong>,
        Code.Stosb_m8_AL => &Execute<Stos, byte>,
        Code.Stosw_m16_AX => &Execute<Stos, ushort>,
        Code.Stosd_m32_EAX => &Execute<Stos, uint>,
        Code.Stosq_m64_RAX => &Execute<Stos, ulong>,
        Code.Lodsb_AL_m8 => &Execute<Lods, byte>,
        Code.Lodsw_AX_m16 => &Execute<Lods, ushort>,
        Code.Lodsd_EAX_m32 => &Execute<Lods, uint>,
        Code.Lodsq_RAX_m64 => &Execute<Lods, ulong>,
        Code.Cmpsb_m8_m8 => &Execute<Cmps, byte>,
        Code.Cmpsw_m16_m16 => &Execute<Cmps, ushort>,
        Code.Cmpsd_m32_m32 => &Execute<Cmps, uint>,
        Code.Cmpsq_m64_m64 => &Execute<Cmps, ulong>,
        Code.Scasb_AL_m8 => &Execute<Scas, byte>,
        Code.Scasw_AX_m16 => &Execute<Scas, ushort>,
        Code.Scasd_EAX_m32 => &Execute<Scas, uint>,
        Code.Scasq_RAX_m64 => &Execute<Scas, ulong>,
        _ => null,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong AddressMask(Op* op)
        => (op->Flags & OpFlags.Narrow) == 0 ? ulong.MaxValue : (op->Flags & OpFlags.Address16) != 0 ? 0xFFFF : 0xFFFF_FFFFUL;

    /// <summary>Adds to rSI, rDI or rCX at the address size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Advance(CpuState* s, byte register, ulong mask, ulong by)
    {
        ulong* r = (ulong*)((byte*)s + register);
        ulong sum = (*r + by) & mask;
        *r = mask == 0xFFFF ? (*r & ~0xFFFFUL) | sum : sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Step<T>(CpuState* s) where T : unmanaged => (s->SystemFlags & Flags.Df) != 0 ? -sizeof(T) : sizeof(T);

    private static Op* Execute<TOperation, T>(CpuState* s, Op* op) where TOperation : struct, IStringOperation where T : unmanaged
    {
        ulong mask = AddressMask(op);
        if ((op->Flags & (OpFlags.Rep | OpFlags.Repne)) != 0)
            return Repeat<TOperation, T>(s, op, mask);
        if (!Element<TOperation, T>(s, op, s->Rsi & mask, s->Rdi & mask))
            return null;
        Move<TOperation>(s, mask, (ulong)Step<T>(s));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Move<TOperation>(CpuState* s, ulong mask, ulong by) where TOperation : struct, IStringOperation
    {
        if (TOperation.UsesSource)
            Advance(s, Rsi, mask, by);
        if (TOperation.UsesDestination)
            Advance(s, Rdi, mask, by);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Element<TOperation, T>(CpuState* s, Op* op, ulong sourceOffset, ulong destinationOffset)
        where TOperation : struct, IStringOperation where T : unmanaged
    {
        ulong source = 0, destination = 0;
        return (!TOperation.UsesSource || Operand.Linear(s, op, op->Segment, sourceOffset, sizeof(T), false, out source))
            && (!TOperation.UsesDestination || Operand.Linear(s, op, Segment.Es, destinationOffset, sizeof(T), TOperation.Writes, out destination))
            && TOperation.Element<T>(s, op, source, destination);
    }

    /// <summary>
    /// Goes page by page: what was done of one page counts as a retired instruction, and between two of them interrupts and the deadline are
    /// looked at.
    /// </summary>
    private static Op* Repeat<TOperation, T>(CpuState* s, Op* op, ulong mask) where TOperation : struct, IStringOperation where T : unmanaged
    {
        // Where no element was done, not even the upper halves of 32-bit registers change.
        if ((s->Rcx & mask) == 0)
            return op + 1;
        while (true)
        {
            Piece piece = Page<TOperation, T>(s, op, mask);
            if (piece == Piece.Faulted)
                return null;
            if (piece == Piece.Last)
                return s->Budget >= 0 ? op + 1 : Control.Complete(s, op);
            // Going on at once saves the way through the dispatch loop.
            Block* block = Op.BlockOf(op);
            if (s->Attention != Attention.None || !block->Valid || s->Budget + block->Count - op->Ordinal - 1 <= 0)
                return Control.Repeat(s, op);
            s->Budget--;
        }
    }

    private enum Piece
    {
        Last,
        More,
        Faulted,
    }

    /// <summary>Executes elements up to the end of a page of either operand, one at least.</summary>
    private static Piece Page<TOperation, T>(CpuState* s, Op* op, ulong mask) where TOperation : struct, IStringOperation where T : unmanaged
    {
        ulong count = s->Rcx & mask;
        nint step = Step<T>(s);
        ulong limit = count;
        if (TOperation.UsesSource)
            limit = Math.Min(limit, ElementsInPage<T>((s->Rsi & mask) + s->AddressBase[(int)op->Segment], step));
        if (TOperation.UsesDestination)
            limit = Math.Min(limit, ElementsInPage<T>((s->Rdi & mask) + s->AddressBase[(int)Segment.Es], step));
        if ((s->SystemFlags & Flags.Tf) != 0)
            limit = 1;

        bool found = false, faulted = false;
        ulong done = 0;
        while (done < limit && !found)
        {
            ulong source = (s->Rsi + done * (ulong)step) & mask, destination = (s->Rdi + done * (ulong)step) & mask;
            ulong run = Run<TOperation, T>(s, op, source, destination, limit - done, step, mask);
            if (run == 0)
            {
                if (!Element<TOperation, T>(s, op, source, destination))
                {
                    faulted = true;
                    break;
                }
                run = 1;
                // A data breakpoint traps behind the element that hit it.
                if ((s->Attention & Attention.DebugTrap) != 0)
                    limit = done + 1;
            }
            done += run;
            found = TOperation.Compares && (s->StatusFlags & Flags.Zf) != 0 == ((op->Flags & OpFlags.Repne) != 0);
        }

        if (done != 0)
        {
            Move<TOperation>(s, mask, done * (ulong)step);
            Advance(s, Rcx, mask, 0 - done);
        }
        return faulted ? Piece.Faulted : found || done == count ? Piece.Last : Piece.More;
    }

    /// <summary>Elements that start in the page of the first one, in step order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong ElementsInPage<T>(ulong linear, nint step) where T : unmanaged
    {
        uint offset = (uint)linear & 0xFFF;
        return step > 0 ? (0x1000 - offset + (uint)sizeof(T) - 1) / (uint)sizeof(T) : offset / (uint)sizeof(T) + 1;
    }

    /// <summary>
    /// Does as many elements as lie in pages that may be accessed directly; 0 if the first one must go the slow way (devices, code,
    /// page crossings, what the TLB does not hold yet, whatever will fault).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Run<TOperation, T>(CpuState* s, Op* op, ulong sourceOffset, ulong destinationOffset, ulong count, nint step, ulong mask)
        where TOperation : struct, IStringOperation where T : unmanaged
    {
        byte* source = null, destination = null;
        if (TOperation.UsesSource)
        {
            source = Open<T>(s, op, op->Segment, sourceOffset, false, ref count, step, mask);
            if (source == null)
                return 0;
        }
        if (TOperation.UsesDestination)
        {
            destination = Open<T>(s, op, Segment.Es, destinationOffset, TOperation.Writes, ref count, step, mask);
            if (destination == null)
                return 0;
        }
        return TOperation.Run<T>(s, op, source, destination, count, step);
    }

    /// <summary>
    /// Host address of the element at an offset if it and those behind it can be accessed directly; lowers <paramref name="count"/> to how many.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Open<T>(CpuState* s, Op* op, Segment segment, ulong offset, bool write, ref ulong count, nint step, ulong mask) where T : unmanaged
    {
        ulong linear = offset + s->AddressBase[(int)segment];
        if (!s->Code64)
            linear = (uint)linear;
        uint inPage = (uint)linear & 0xFFF;
        uint room = 0x1000 - inPage;
        if (room < (uint)sizeof(T))
            return null;
        byte* host = LinearMemory.Direct(s, linear, write);
        if (host == null)
            return null;
        count = Math.Min(count, (step > 0 ? room : inPage + (uint)sizeof(T)) / (uint)sizeof(T));
        ulong bytes = count * (ulong)sizeof(T);
        ulong low = step > 0 ? offset : offset - (bytes - (ulong)sizeof(T));
        // The run must not wrap at the address size, and its segment must allow all of it.
        if (mask != ulong.MaxValue && (low > offset || low + bytes - 1 > mask))
            return null;
        if ((op->Flags & OpFlags.Checked) != 0 && !SegmentAccess.Allows(s, segment, low, (int)bytes, write))
            return null;
        return host;
    }
}
