namespace X86Virt.Engine.Processor;

/// <summary>What VMRUN refuses with VMEXIT_INVALID (AMD volume 2, 15.5.1, 15.20 and 15.25.3).</summary>
internal static unsafe class VmcbCheck
{
    // Two pages; the one for ports has three bits more.
    private const ulong PortMapSize = 0x2001, MsrMapSize = 0x2000;

    public static bool IsValid(Cpu cpu, Vmcb* v)
        => HasValidControls(cpu, v) && HasValidRegisters(cpu, v) && HasValidMode(cpu, v) && HasValidEvent(v);

    private static bool HasValidControls(Cpu cpu, Vmcb* v)
    {
        if (v->Asid == 0 || !v->Has(SvmExitCode.Vmrun) || Reaches(cpu, v->PortMap, PortMapSize) || Reaches(cpu, v->MsrMap, MsrMapSize))
            return false;
        // The host's paging is that of the nested tables.
        return !cpu.Svm!.UsesNestedPaging(v)
            || ((cpu.State->Cr0 & Cr0.Pg) != 0 && v->NestedCr3 >> cpu.PhysicalAddressBits == 0 && MemoryTypeRegisters.IsPat(v->GuestPat));
    }

    /// <summary>Whether a map extends to the first physical address that there is not, or behind it.</summary>
    private static bool Reaches(Cpu cpu, ulong address, ulong size)
        => address >> cpu.PhysicalAddressBits != 0 || ((address & ~0xFFFUL) + size) >> cpu.PhysicalAddressBits != 0;

    private static bool HasValidRegisters(Cpu cpu, Vmcb* v)
        => (v->Efer & Efer.Svme) != 0 && (v->Efer & ~(ModelSpecificRegisters.EferBits(cpu) | Efer.Lma)) == 0
            && v->Cr0 >> 32 == 0 && (v->Cr0 & (Cr0.Cd | Cr0.Nw)) != Cr0.Nw
            && v->Cr3 >> cpu.PhysicalAddressBits == 0 && (v->Cr4 & ~cpu.Model.Cr4Bits) == 0
            && v->Dr6 >> 32 == 0 && v->Dr7 >> 32 == 0;

    private static bool HasValidMode(Cpu cpu, Vmcb* v)
    {
        const ulong Needed = Cr0.Pe | Cr0.Pg;
        if (!cpu.Model.Svm.RunsRealMode && (v->Cr0 & Needed) != Needed)
            return false;
        if ((v->Efer & Efer.Lme) == 0 || (v->Cr0 & Cr0.Pg) == 0)
            return true;
        return (v->Cr4 & Cr4.Pae) != 0 && (v->Cr0 & Cr0.Pe) != 0 && !(v->Cs.Long && v->Cs.Big);
    }

    private static bool HasValidEvent(Vmcb* v)
    {
        VmcbEvent e = v->EventInjection;
        if (!e.IsValid)
            return true;
        bool code64 = (v->Efer & Efer.Lme) != 0 && (v->Cr0 & Cr0.Pg) != 0 && v->Cs.Long;
        return e.Type switch
        {
            VmcbEventType.Intr or VmcbEventType.Nmi or VmcbEventType.SoftwareInterrupt => true,
            VmcbEventType.Exception => IsException((Vector)e.Vector, code64),
            _ => false,
        };
    }

    /// <summary>INTO and BOUND do not exist in 64-bit code.</summary>
    private static bool IsException(Vector vector, bool code64)
        => Enum.IsDefined(vector) && vector != Vector.Nmi && (!code64 || vector is not (Vector.Overflow or Vector.BoundRange));
}
