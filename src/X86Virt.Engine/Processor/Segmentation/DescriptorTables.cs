namespace X86Virt.Engine.Processor;

/// <summary>Reads descriptors from the GDT and the LDT, and sets their accessed and busy bits.</summary>
internal static unsafe class DescriptorTables
{
    private const ushort LocalTable = 4;

    /// <summary>The error code that names a selector.</summary>
    public static uint ErrorCode(ushort selector, uint external = 0) => (uint)(selector & ~3) | external;

    public static bool IsNull(ushort selector) => (selector & ~3) == 0;

    /// <summary>Linear address of a descriptor; false if the table does not hold <paramref name="size"/> bytes of it.</summary>
    public static bool Locate(CpuState* s, ushort selector, int size, out ulong linear)
    {
        uint offset = (uint)(selector & ~7);
        if ((selector & LocalTable) != 0)
        {
            SegmentRegister* ldt = CpuState.Seg(s, Segment.Ldtr);
            linear = ldt->Base + offset;
            return ldt->Present && offset + (uint)(size - 1) <= ldt->Limit;
        }
        linear = s->Gdtr.Base + offset;
        return offset + (uint)(size - 1) <= s->Gdtr.Limit;
    }

    /// <summary>
    /// Reads a descriptor; 16 bytes of system descriptors in long mode. Raises <paramref name="vector"/> with the selector as error code
    /// where the table ends before it.
    /// </summary>
    public static bool Read(CpuState* s, Op* op, ushort selector, Vector vector, uint external, out Descriptor descriptor)
    {
        descriptor = default;
        if (!Locate(s, selector, 8, out ulong linear))
        {
            Fault.Raise(s, op, vector, ErrorCode(selector, external));
            return false;
        }
        if (!LinearMemory.ReadSystem(s, op, linear, out ulong low))
            return false;
        descriptor = new Descriptor(low);
        if (!descriptor.IsSystem || !s->LongMode || descriptor.Type is SystemType.TaskGate)
            return true;
        if (!Locate(s, selector, 16, out _))
        {
            Fault.Raise(s, op, vector, ErrorCode(selector, external));
            return false;
        }
        if (!LinearMemory.ReadSystem(s, op, linear + 8, out ulong high))
            return false;
        descriptor = new Descriptor(low, high);
        return true;
    }

    public static bool Read(CpuState* s, Op* op, ushort selector, out Descriptor descriptor)
        => Read(s, op, selector, Vector.GeneralProtection, 0, out descriptor);

    /// <summary>Sets the accessed bit of a code or data descriptor in memory; false after a page fault.</summary>
    public static bool MarkAccessed(CpuState* s, Op* op, ushort selector, ref Descriptor descriptor)
    {
        if (descriptor.IsAccessed)
            return true;
        descriptor = descriptor.WithAccessed;
        Locate(s, selector, 8, out ulong linear);
        return LinearMemory.WriteSystem(s, op, linear + 5, (byte)(descriptor.Low >> 40));
    }

    /// <summary>Sets or clears the busy bit of a TSS descriptor; false after a page fault.</summary>
    public static bool MarkBusy(CpuState* s, Op* op, ushort selector, bool busy)
    {
        Locate(s, selector, 8, out ulong linear);
        if (!LinearMemory.ReadSystem(s, op, linear + 5, out byte type))
            return false;
        byte wanted = (byte)(busy ? type | SystemType.Busy : type & ~SystemType.Busy);
        return wanted == type || LinearMemory.WriteSystem(s, op, linear + 5, wanted);
    }
}
