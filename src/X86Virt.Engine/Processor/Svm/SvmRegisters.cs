namespace X86Virt.Engine.Processor;

/// <summary>SVM's model-specific registers (AMD volume 2, 15.30), and EFER.SVME's lock.</summary>
internal static class SvmRegisters
{
    public const ulong TscRatioOne = 1UL << 32;

    private const uint TscRatio = 0xC000_0104, VmCr = 0xC001_0114, IgnoreFerr = 0xC001_0115, SmmControl = 0xC001_0116, HostSaveArea = 0xC001_0117, Key = 0xC001_0118;
    private const ulong TscRatioReserved = 0xFFFF_FF00_0000_0000, VmCrWritable = 0x1F, RedirectInit = 1 << 1, IgnoreA20 = 1 << 2, Lock = 1 << 3, Disable = 1 << 4;

    /// <summary>Whether an INIT becomes #SX (VM_CR.R_INIT).</summary>
    public static bool RedirectsInit(SvmUnit svm) => (svm.VmCr & RedirectInit) != 0;

    /// <summary>Whether VM_CR forbids EFER.SVME.</summary>
    public static bool IsDisabled(SvmUnit svm) => (svm.VmCr & Disable) != 0;

    public static bool TryRead(SvmUnit svm, uint index, out ulong value)
    {
        value = index switch
        {
            TscRatio => svm.TscRatio,
            VmCr => svm.VmCr,
            HostSaveArea => svm.HostSaveArea,
            // What was given to the key cannot be read.
            _ => 0,
        };
        return Exists(index);
    }

    /// <summary>False for reserved bits, which the caller makes #GP, and for registers that are not SVM's: ask <see cref="Exists"/>.</summary>
    public static bool TryWrite(Cpu cpu, SvmUnit svm, uint index, ulong value)
    {
        switch (index)
        {
            case TscRatio:
                if ((value & TscRatioReserved) != 0)
                    return false;
                svm.TscRatio = value;
                return true;
            case VmCr:
                return TryWriteVmCr(cpu, svm, value);
            case HostSaveArea:
                if ((value & 0xFFF) != 0 || value >> cpu.PhysicalAddressBits != 0)
                    return false;
                svm.HostSaveArea = value;
                return true;
            case Key:
                // The right key opens the lock; it is the one that was given before VM_CR was locked.
                if ((svm.VmCr & Lock) == 0)
                    svm.Key = value;
                else if (svm.Key != 0 && value == svm.Key)
                    svm.VmCr &= ~Lock;
                return true;
            default:
                return Exists(index);
        }
    }

    public static bool Exists(uint index) => index is TscRatio or VmCr or IgnoreFerr or SmmControl or HostSaveArea or Key;

    /// <summary>Once locked, the lock and the disable bit stay; SVM cannot be disabled while it is in use.</summary>
    private static unsafe bool TryWriteVmCr(Cpu cpu, SvmUnit svm, ulong value)
    {
        if ((value & ~VmCrWritable) != 0 || ((value & Disable) != 0 && (cpu.State->Efer & Efer.Svme) != 0))
            return false;
        ulong kept = (svm.VmCr & Lock) != 0 ? Lock | Disable : 0;
        svm.VmCr = (svm.VmCr & kept) | (value & ~kept);
        cpu.Memory.IgnoresA20Gate = (svm.VmCr & IgnoreA20) != 0;
        return true;
    }
}
