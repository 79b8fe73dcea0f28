namespace X86Virt.Engine.Processor;

/// <summary>What a task-state segment keeps of a task, in both layouts (AMD volume 2, figures 12-5 and 12-6).</summary>
internal unsafe struct TaskImage
{
    private const int RipOffset32 = 0x20, RipOffset16 = 0x0E, LdtOffset32 = 0x60, LdtOffset16 = 0x2A, Cr3Offset = 0x1C, TrapOffset = 0x64;

    // Order of the segment selectors in a TSS; a 16-bit one ends with DS.
    private const int SelectorsIn32 = 6, SelectorsIn16 = 4;

    private fixed byte _bytes[104];
    private bool _wide;

    /// <summary>The flags to load; NT may be added.</summary>
    public uint Flags;

    public static ulong SaveOffset(bool wide) => wide ? RipOffset32 : (ulong)RipOffset16;

    /// <summary>Bytes of the part that a switch saves: from the instruction pointer to the last selector.</summary>
    public static int SaveSize(bool wide) => wide ? LdtOffset32 - RipOffset32 : LdtOffset16 - RipOffset16;

    public static bool Read(CpuState* s, Op* op, AccessMode mode, ulong linear, bool wide, TaskImage* image)
    {
        *image = new TaskImage { _wide = wide };
        if (!SlowMemory.Read(s, op, mode, linear, image->_bytes, (int)(wide ? TaskState.Limit32 : TaskState.Limit16) + 1))
            return false;
        image->Flags = (uint)image->Field(1);
        return true;
    }

    /// <summary>Field of the saved part: 0 instruction pointer, 1 flags, 2 to 9 general registers, 10 on selectors.</summary>
    private readonly ulong Field(int index)
    {
        fixed (byte* bytes = _bytes)
            return _wide ? *(uint*)(bytes + RipOffset32 + index * 4) : *(ushort*)(bytes + RipOffset16 + index * 2);
    }

    public readonly ulong Rip => Field(0);

    /// <summary>A 16-bit TSS leaves the upper halves of the registers undefined: all ones, as on the first processors.</summary>
    public readonly ulong Gpr(int index) => _wide ? Field(2 + index) : 0xFFFF_0000 | Field(2 + index);

    public readonly ushort Selector(int segment) => segment < (_wide ? SelectorsIn32 : SelectorsIn16) ? (ushort)Field(10 + segment) : (ushort)0;

    public readonly ushort Ldt => Word(_wide ? LdtOffset32 : LdtOffset16);

    public readonly bool Trap => _wide && (Word(TrapOffset) & 1) != 0;

    public readonly uint Cr3
    {
        get
        {
            fixed (byte* bytes = _bytes)
                return *(uint*)(bytes + Cr3Offset);
        }
    }

    private readonly ushort Word(int offset)
    {
        fixed (byte* bytes = _bytes)
            return *(ushort*)(bytes + offset);
    }

    /// <summary>Writes the current task's registers to its TSS, which the caller has probed.</summary>
    public static void Save(CpuState* s, AccessMode mode, ulong linear, bool wide, ulong rip, bool clearNested, bool resume)
    {
        ulong flags = Processor.Flags.Rflags(s) | (resume ? Processor.Flags.Rf : 0u);
        if (clearNested)
            flags &= ~(ulong)Processor.Flags.Nt;
        int size = SaveSize(wide);
        byte* bytes = stackalloc byte[LdtOffset32 - RipOffset32];
        // Only the selectors are written, not the reserved halves beside them.
        SlowMemory.Read(s, null, mode, linear + SaveOffset(wide), bytes, size);
        Put(bytes, wide, 0, rip);
        Put(bytes, wide, 1, flags);
        for (int i = 0; i < 8; i++)
            Put(bytes, wide, 2 + i, s->Gpr[i]);
        for (int i = 0; i < (wide ? SelectorsIn32 : SelectorsIn16); i++)
            *(ushort*)(bytes + (10 + i) * (wide ? 4 : 2)) = CpuState.Seg(s, (Segment)i)->Selector;
        SlowMemory.Write(s, null, mode, linear + SaveOffset(wide), bytes, size);
    }

    private static void Put(byte* bytes, bool wide, int index, ulong value)
    {
        if (wide)
            *(uint*)(bytes + index * 4) = (uint)value;
        else
            *(ushort*)(bytes + index * 2) = (ushort)value;
    }
}
