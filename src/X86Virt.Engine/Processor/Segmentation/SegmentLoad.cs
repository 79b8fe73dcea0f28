namespace X86Virt.Engine.Processor;

/// <summary>Loads of ES, SS, DS, FS, GS with all their checks (AMD volume 2, 4.10 and 4.11; MOV, POP, LDS and the like).</summary>
internal static unsafe class SegmentLoad
{
    private const SegmentAttributes RealData = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Writable | SegmentAttributes.Accessed;

    /// <summary>Attributes of every segment in virtual-8086 mode.</summary>
    public const SegmentAttributes Virtual8086Attributes = RealData | SegmentAttributes.DplMask;

    /// <summary>Loads a data or stack segment register; false after a fault, with nothing changed.</summary>
    public static bool Load(CpuState* s, Op* op, Segment segment, ushort selector)
    {
        if (!s->ProtectedMode)
            LoadReal(s, segment, selector);
        else if (s->Virtual8086)
            LoadVirtual8086(s, segment, selector);
        else if (!Fetch(s, op, segment, selector, out SegmentRegister loaded))
            return false;
        else
            *CpuState.Seg(s, segment) = loaded;
        ModeChange.SegmentLoaded(s, segment);
        return true;
    }

    /// <summary>Does the protected-mode checks of a load and gives what the register would hold.</summary>
    public static bool Fetch(CpuState* s, Op* op, Segment segment, ushort selector, out SegmentRegister loaded)
        => segment == Segment.Ss
            ? FetchStack(s, op, selector, s->Cpl, Vector.GeneralProtection, 0, out loaded)
            : FetchData(s, op, selector, Vector.GeneralProtection, 0, out loaded);

    /// <summary>Limit and attributes stay what they were, which is what makes big real mode.</summary>
    public static void LoadReal(CpuState* s, Segment segment, ushort selector)
    {
        SegmentRegister* r = CpuState.Seg(s, segment);
        if (!r->Present)
            (r->Limit, r->Attributes) = (0xFFFF, RealData);
        r->Selector = selector;
        r->Base = (uint)selector << 4;
    }

    public static void LoadVirtual8086(CpuState* s, Segment segment, ushort selector)
        => *CpuState.Seg(s, segment) = new SegmentRegister
        {
            Selector = selector,
            Base = (uint)selector << 4,
            Limit = 0xFFFF,
            Attributes = Virtual8086Attributes,
        };

    /// <summary>Checks for ES, DS, FS, GS; a descriptor that may not be used raises <paramref name="vector"/>.</summary>
    public static bool FetchData(CpuState* s, Op* op, ushort selector, Vector vector, uint external, out SegmentRegister loaded)
    {
        loaded = new SegmentRegister { Selector = selector };
        if (DescriptorTables.IsNull(selector))
            return true;
        if (!DescriptorTables.Read(s, op, selector, vector, external, out Descriptor d))
            return false;
        bool guarded = !d.IsCode || !d.IsConforming;
        if (!d.IsReadable || (guarded && Math.Max(s->Cpl, selector & 3) > d.Dpl))
        {
            Fault.Raise(s, op, vector, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        return Finish(s, op, selector, Vector.SegmentNotPresent, external, ref d, out loaded);
    }

    /// <summary>Checks for SS at the privilege level <paramref name="cpl"/>; not present is #SS.</summary>
    public static bool FetchStack(CpuState* s, Op* op, ushort selector, int cpl, Vector vector, uint external, out SegmentRegister loaded)
    {
        loaded = new SegmentRegister { Selector = selector };
        if (DescriptorTables.IsNull(selector))
        {
            if (s->Code64 && cpl != 3 && (selector & 3) == cpl)
                return true;
            Fault.Raise(s, op, vector, external);
            return false;
        }
        if (!DescriptorTables.Read(s, op, selector, vector, external, out Descriptor d))
            return false;
        if ((selector & 3) != cpl || !d.IsWritable || d.Dpl != cpl)
        {
            Fault.Raise(s, op, vector, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        return Finish(s, op, selector, Vector.StackFault, external, ref d, out loaded);
    }

    private static bool Finish(CpuState* s, Op* op, ushort selector, Vector absent, uint external, ref Descriptor d, out SegmentRegister loaded)
    {
        loaded = d.ToRegister(selector);
        if (!d.Present)
        {
            Fault.Raise(s, op, absent, DescriptorTables.ErrorCode(selector, external));
            return false;
        }
        if (!DescriptorTables.MarkAccessed(s, op, selector, ref d))
            return false;
        loaded.Attributes |= SegmentAttributes.Accessed;
        return true;
    }

    /// <summary>After a return to an outer level: registers that the new level may not use become null (AMD volume 2, 4.11.2).</summary>
    public static void DropInner(CpuState* s)
    {
        DropInner(s, Segment.Es);
        DropInner(s, Segment.Ds);
        DropInner(s, Segment.Fs);
        DropInner(s, Segment.Gs);
    }

    private static void DropInner(CpuState* s, Segment segment)
    {
        SegmentRegister* r = CpuState.Seg(s, segment);
        bool conforming = r->IsCode && (r->Attributes & SegmentAttributes.ExpandDown) != 0;
        if (!r->Present || conforming || r->Dpl >= s->Cpl)
            return;
        *r = default;
        ModeChange.SegmentLoaded(s, segment);
    }
}
