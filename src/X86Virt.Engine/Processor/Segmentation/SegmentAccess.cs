namespace X86Virt.Engine.Processor;

/// <summary>Limit and type checks of memory operands outside 64-bit mode (AMD volume 2, 4.12).</summary>
public static unsafe class SegmentAccess
{
    /// <summary>
    /// Checks an access of <paramref name="size"/> bytes at <paramref name="offset"/> and gives its linear address; raises #SS or #GP otherwise.
    /// </summary>
    public static bool Check(CpuState* s, Op* op, Segment segment, ulong offset, int size, bool write, out ulong linear)
    {
        SegmentRegister* r = CpuState.Seg(s, segment);
        linear = s->Code64 ? offset + s->AddressBase[(int)segment] : (uint)(r->Base + offset);
        if (s->Code64)
            return true;
        if (Allows(s, r, offset, size, write))
            return true;
        Fault.Segment(s, op, segment);
        return false;
    }

    /// <summary>Whether <see cref="Check"/> would let the access through; raises nothing.</summary>
    public static bool Allows(CpuState* s, Segment segment, ulong offset, int size, bool write)
        => s->Code64 || Allows(s, CpuState.Seg(s, segment), offset, size, write);

    internal static bool Allows(CpuState* s, SegmentRegister* r, ulong offset, int size, bool write)
    {
        if (!r->Present)
            return false;
        SegmentAttributes type = r->Attributes;
        if (s->ProtectedMode && !s->Virtual8086)
        {
            bool code = (type & SegmentAttributes.Code) != 0;
            if (write ? code || (type & SegmentAttributes.Writable) == 0 : code && (type & SegmentAttributes.Writable) == 0)
                return false;
        }
        ulong last = offset + (ulong)(size - 1);
        if ((type & (SegmentAttributes.Code | SegmentAttributes.ExpandDown)) == SegmentAttributes.ExpandDown)
            return offset > r->Limit && last <= (r->Big ? 0xFFFF_FFFF : 0xFFFFu);
        return last <= r->Limit;
    }
}
