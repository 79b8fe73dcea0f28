namespace X86Virt.Engine.Processor;

/// <summary>
/// PAT and the memory-type range registers (AMD volume 2, 7.7 and 7.8). Memory is coherent whatever its type, so they are kept and
/// checked, and have no effect.
/// </summary>
internal static unsafe class MemoryTypeRegisters
{
    public const uint Pat = 0x277;

    private const uint Capabilities = 0xFE, PhysBase0 = 0x200, PhysMask7 = 0x20F, Fixed64K = 0x250, Fixed16K = 0x258, Fixed4K = 0x268, DefaultType = 0x2FF;
    private const int VariableRanges = 8;
    private const ulong HasFixedRanges = 1 << 8, HasWriteCombining = 1 << 10;

    // MTRRdefType and MTRRphysMask bits.
    private const ulong FixedEnable = 1 << 10, Enable = 1 << 11, Valid = 1 << 11;

    private const byte Uncacheable = 0, WriteCombining = 1, WriteThrough = 4, WriteProtect = 5, WriteBack = 6, UncachedMinus = 7;

    public static bool IsRange(uint index)
        => index is Capabilities or DefaultType or Fixed64K or Fixed16K or Fixed16K + 1 or (>= Fixed4K and < Fixed4K + 8) or (>= PhysBase0 and <= PhysMask7);

    public static ulong ReadRange(CpuState* s, uint index) => index switch
    {
        Capabilities => VariableRanges | HasFixedRanges | HasWriteCombining,
        DefaultType => s->MtrrDefType,
        >= PhysBase0 and <= PhysMask7 => s->MtrrVariable[(int)(index - PhysBase0)],
        _ => s->MtrrFixed[FixedSlot(index)],
    };

    /// <summary>False for reserved bits and types, and for the capabilities, which cannot be written.</summary>
    public static bool TryWriteRange(Cpu cpu, uint index, ulong value)
    {
        CpuState* s = cpu.State;
        switch (index)
        {
            case Capabilities:
                return false;
            case DefaultType:
                if ((value & ~(Enable | FixedEnable | 0xFF)) != 0 || !IsRangeType((byte)value))
                    return false;
                s->MtrrDefType = value;
                return true;
            case >= PhysBase0 and <= PhysMask7:
                ulong address = ((1UL << cpu.PhysicalAddressBits) - 1) & ~0xFFFUL;
                bool mask = (index & 1) != 0;
                if ((value & ~(address | (mask ? Valid : 0xFF))) != 0 || (!mask && !IsRangeType((byte)value)))
                    return false;
                s->MtrrVariable[(int)(index - PhysBase0)] = value;
                return true;
            default:
                // AMD's extension bits 3 and 4 of a type are refused: SYSCFG does not offer them.
                if (!AllOf(value, IsRangeType))
                    return false;
                s->MtrrFixed[FixedSlot(index)] = value;
                return true;
        }
    }

    /// <summary>Whether all eight types of a PAT exist.</summary>
    public static bool IsPat(ulong value) => AllOf(value, type => IsRangeType(type) || type == UncachedMinus);

    public static bool TryWritePat(CpuState* s, ulong value)
    {
        if (!IsPat(value))
            return false;
        s->Pat = value;
        return true;
    }

    /// <summary>
    /// As firmware leaves them for a guest that is booted without any: RAM is write-back, video memory and the hole for devices below
    /// 4 GiB (from <paramref name="holeStart"/>, of a power of two of bytes) are uncacheable, and read-only memory is write-protect.
    /// </summary>
    public static void SetAsFirmwareDoes(Cpu cpu, ulong holeStart)
    {
        const ulong FourGiB = 1UL << 32;
        if (!cpu.Model.Has(ProcessorFeature.Mtrr))
            return;
        CpuState* s = cpu.State;
        s->MtrrFixed[0] = s->MtrrFixed[1] = Filled(WriteBack);
        s->MtrrFixed[2] = Filled(Uncacheable);
        for (int i = 3; i < 11; i++)
            s->MtrrFixed[i] = Filled(WriteProtect);
        s->MtrrVariable[0] = holeStart | Uncacheable;
        s->MtrrVariable[1] = (((1UL << cpu.PhysicalAddressBits) - 1) & ~(FourGiB - holeStart - 1)) | Valid;
        s->MtrrDefType = Enable | FixedEnable | WriteBack;
    }

    private static ulong Filled(byte type) => type * 0x0101_0101_0101_0101UL;

    private static int FixedSlot(uint index) => index switch
    {
        Fixed64K => 0,
        < Fixed4K => 1 + (int)(index - Fixed16K),
        _ => 3 + (int)(index - Fixed4K),
    };

    private static bool AllOf(ulong types, Func<byte, bool> valid)
    {
        for (int shift = 0; shift < 64; shift += 8)
        {
            if (!valid((byte)(types >> shift)))
                return false;
        }
        return true;
    }

    private static bool IsRangeType(byte type) => type is Uncacheable or WriteCombining or WriteThrough or WriteProtect or WriteBack;
}
