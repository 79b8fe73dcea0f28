using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>Error code bits of a page fault (AMD volume 2, 8.4.2).</summary>
[Flags]
public enum PageFaultCode : uint
{
    None = 0,
    Present = 1,
    Write = 2,
    User = 4,
    Reserved = 8,
    Fetch = 16,
}

/// <summary>One level of a page walk, for people and for shadows.</summary>
/// <param name="Level">5 (PML5) to 1 (page table).</param>
/// <param name="EntryAddress">Guest-physical address of the entry.</param>
/// <param name="Entry">The entry as read, before A and D are set.</param>
public readonly record struct PageWalkStep(int Level, ulong EntryAddress, ulong Entry);

/// <summary>
/// Translates linear addresses through the guest's page tables (AMD volume 2, chapter 5): no paging, 32-bit with PSE, PAE,
/// 4-level and 5-level; U/S, R/W, NX, WP, SMEP, SMAP, reserved bits; sets A and D as hardware does.
/// </summary>
public static unsafe class PageWalker
{
    private const ulong P = 1;
    private const ulong Rw = 2;
    private const ulong Us = 4;
    private const ulong Accessed = 0x20;
    private const ulong Dirty = 0x40;
    private const ulong Ps = 0x80;
    private const ulong GlobalBit = 0x100;
    private const ulong Nx = 1UL << 63;

    /// <summary>
    /// Walks for an access. On success gives the physical address and everything the page allows in <paramref name="mode"/>;
    /// on a fault returns false with the error code. <paramref name="update"/> sets A and D bits (an inspecting walk does not).
    /// </summary>
    public static bool Walk(Cpu cpu, ulong linear, AccessMode mode, PagePermissions access, bool update,
        out ulong physical, out PagePermissions permissions, out PageFaultCode fault, List<PageWalkStep>? steps = null)
    {
        CpuState* s = cpu.State;
        fault = PageFaultCode.None;
        if ((s->Cr0 & Cr0.Pg) == 0)
        {
            physical = linear & 0xFFFF_FFFF;
            permissions = PagePermissions.Read | PagePermissions.Write | PagePermissions.Fetch | PagePermissions.Dirty;
            return true;
        }

        PhysicalMemory memory = cpu.Memory;
        bool pae = (s->Cr4 & Cr4.Pae) != 0;
        bool longMode = s->LongMode;
        bool nxe = pae && (s->Efer & Efer.Nxe) != 0;
        ulong physicalMask = (1UL << cpu.PhysicalAddressBits) - 1;
        ulong reserved = pae ? ~physicalMask & 0x000F_FFFF_FFFF_F000 : 0;
        if (pae && !nxe)
            reserved |= Nx;
        if (pae && !longMode)
            reserved |= 0x7FF0_0000_0000_0000;

        int level = !pae ? 2 : !longMode ? 3 : (s->Cr4 & Cr4.La57) != 0 ? 5 : 4;
        ulong table = !pae ? s->Cr3 & 0xFFFF_F000 : !longMode ? s->Cr3 & DirectoryPointers.TableMask : s->Cr3 & physicalMask & ~0xFFFUL;
        int indexBits = pae ? 9 : 10;
        int entrySize = pae ? 8 : 4;

        ulong rights = Rw | Us;
        ulong noExecute = 0;
        ulong* path = stackalloc ulong[6];
        ulong* entries = stackalloc ulong[6];
        ulong entry;
        int shift;
        for (; ; level--)
        {
            shift = 12 + (level - 1) * indexBits;
            ulong index = (linear >> shift) & ((1UL << indexBits) - 1);
            if (level == 3 && !longMode)
                index &= 3;
            ulong address = table + index * (ulong)entrySize;
            bool kept = level == 3 && !longMode;
            entry = kept ? s->DirectoryPointers[index] : memory.Read(address, entrySize);
            path[level] = address;
            entries[level] = entry;
            steps?.Add(new PageWalkStep(level, address, entry));
            if ((entry & P) == 0)
            {
                fault = Code(s, mode, access, nxe);
                physical = 0;
                permissions = PagePermissions.None;
                return false;
            }

            bool large = (entry & Ps) != 0 && (pae ? level == 2 || (level == 3 && longMode && cpu.HasGigabytePages) : level == 2 && (s->Cr4 & Cr4.Pse) != 0);
            ulong bad = kept ? 0 : reserved;
            if (pae && !large && level > 2 && !kept)
                bad |= Ps;
            if (large)
                bad |= pae ? ((1UL << shift) - 1) & ~0x1FFFUL : 1UL << 21;
            if ((entry & bad) != 0)
            {
                fault = Code(s, mode, access, nxe) | PageFaultCode.Present | PageFaultCode.Reserved;
                physical = 0;
                permissions = PagePermissions.None;
                return false;
            }

            if (!kept)
            {
                rights &= entry;
                noExecute |= entry;
            }
            if (level == 1 || large)
                break;
            table = pae ? entry & physicalMask & ~0xFFFUL : entry & 0xFFFF_F000;
        }

        ulong pageMask = (1UL << shift) - 1;
        ulong frame = pae ? entry & physicalMask & ~0xFFFUL & ~pageMask
            : level == 2 ? (entry & 0xFFC0_0000) | ((entry & 0x1F_E000) << 19)
            : entry & 0xFFFF_F000;
        physical = frame | (linear & pageMask);

        bool user = (rights & Us) != 0;
        permissions = PagePermissions.None;
        bool readable = mode >= AccessMode.User ? user : mode == AccessMode.Supervisor || !user;
        if (readable)
        {
            permissions |= PagePermissions.Read;
            if ((rights & Rw) != 0 || (mode < AccessMode.User && (s->Cr0 & Cr0.Wp) == 0))
                permissions |= PagePermissions.Write;
        }
        bool executable = !nxe || (noExecute & Nx) == 0;
        if (executable && (mode >= AccessMode.User ? user : !user || (s->Cr4 & Cr4.Smep) == 0))
            permissions |= PagePermissions.Fetch;

        if ((permissions & access) != access)
        {
            fault = Code(s, mode, access, nxe) | PageFaultCode.Present;
            return false;
        }

        int leaf = level;
        if (update)
            SetAccessedDirty(memory, path, entries, leaf, pae, longMode, entrySize, access);
        if (((entry & Dirty) != 0) || (access & PagePermissions.Write) != 0)
            permissions |= PagePermissions.Dirty;
        if ((entry & GlobalBit) != 0 && (s->Cr4 & Cr4.Pge) != 0)
            permissions |= PagePermissions.Global;
        if (leaf > 1)
            permissions |= PagePermissions.Large;
        return true;
    }

    private static void SetAccessedDirty(PhysicalMemory memory, ulong* path, ulong* entries, int leaf, bool pae, bool longMode, int entrySize, PagePermissions access)
    {
        int top = !pae || !longMode ? 2 : 5;
        for (int level = top; level >= leaf; level--)
        {
            if (path[level] == 0 && entries[level] == 0)
                continue;
            ulong wanted = entries[level] | Accessed;
            if (level == leaf && (access & PagePermissions.Write) != 0)
                wanted |= Dirty;
            if (wanted != entries[level])
                memory.Write(path[level], entrySize, wanted);
        }
    }

    private static PageFaultCode Code(CpuState* s, AccessMode mode, PagePermissions access, bool nxe)
    {
        PageFaultCode code = PageFaultCode.None;
        if ((access & PagePermissions.Write) != 0)
            code |= PageFaultCode.Write;
        if (mode >= AccessMode.User)
            code |= PageFaultCode.User;
        if ((access & PagePermissions.Fetch) != 0 && (nxe || (s->Cr4 & Cr4.Smep) != 0))
            code |= PageFaultCode.Fetch;
        return code;
    }
}
