using System.Runtime.CompilerServices;
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

    /// <summary>Not the guest's fault but one of nested page tables, of which <see cref="NestedPaging"/> knows; no bit of an error code.</summary>
    Nested = 1u << 31,
}

/// <summary>One level of a page walk, for people and for shadows.</summary>
/// <param name="Level">5 (PML5) to 1 (page table).</param>
/// <param name="EntryAddress">Guest-physical address of the entry.</param>
/// <param name="Entry">The entry as read, before A and D are set.</param>
public readonly record struct PageWalkStep(int Level, ulong EntryAddress, ulong Entry);

/// <summary>The entries that a walk read, by level.</summary>
internal unsafe struct PageWalkPath
{
    /// <summary>Level of the first table.</summary>
    public int Top;

    /// <summary>Level of the last entry read.</summary>
    public int Last;

    /// <summary>The page found is larger than 4 KiB, and with nested paging so is the nested one.</summary>
    public bool Large;

    /// <summary>Guest-physical addresses of the entries.</summary>
    public fixed ulong Addresses[PageTableFormat.MostLevels + 1];

    /// <summary>The entries as read, before A and D are set.</summary>
    public fixed ulong Entries[PageTableFormat.MostLevels + 1];
}

/// <summary>
/// Translates linear addresses through the guest's page tables (AMD volume 2, chapter 5): no paging, 32-bit with PSE, PAE,
/// 4-level and 5-level; U/S, R/W, NX, WP, SMEP, SMAP, reserved bits; sets A and D as hardware does.
/// </summary>
public static unsafe class PageWalker
{
    /// <summary>
    /// Walks for an access. On success gives the physical address and everything the page allows in <paramref name="mode"/>;
    /// on a fault returns false with the error code. <paramref name="update"/> sets A and D bits (an inspecting walk does not).
    /// </summary>
    [SkipLocalsInit]
    public static bool Walk(Cpu cpu, ulong linear, AccessMode mode, PagePermissions access, bool update,
        out ulong physical, out PagePermissions permissions, out PageFaultCode fault, List<PageWalkStep>? steps = null)
    {
        PageWalkPath path;
        bool mapped = Walk(cpu, linear, mode, access, update, &path, out physical, out permissions, out fault);
        if (steps != null && path.Top != 0)
        {
            for (int level = path.Top; level >= path.Last; level--)
                steps.Add(new PageWalkStep(level, path.Addresses[level], path.Entries[level]));
        }
        return mapped;
    }

    /// <summary>The same; <paramref name="path"/> gets what was read, its top 0 if paging is off.</summary>
    internal static bool Walk(Cpu cpu, ulong linear, AccessMode mode, PagePermissions access, bool update, PageWalkPath* path,
        out ulong physical, out PagePermissions permissions, out PageFaultCode fault)
    {
        SvmCounts? nested = cpu.Nested == null ? null : cpu.Svm!.Counts;
        long nestedReferences = nested?.NestedReferences ?? 0;
        path->Large = false;
        bool mapped = ReadTables(cpu, linear, mode, access, update, path, out physical, out permissions, out fault);
        if (update && path->Top != 0)
        {
            // Entries for large pages would not have spared the walk that sets the D bit.
            bool spared = mapped && path->Large && cpu.Tlb.LargePages.Hold(linear, permissions)
                && ((access & PagePermissions.Write) == 0 || (path->Entries[path->Last] & PageEntry.Dirty) != 0);
            cpu.Tlb.WalkCache.Count(cpu.PageTables + PageTableFormat.Current(cpu.State), linear, path, pointersAreRegisters: nested == null && !cpu.State->LongMode, mapped, spared);
            nested?.CountGuestWalk(nested.NestedReferences - nestedReferences, spared);
        }
        return mapped;
    }

    private static bool ReadTables(Cpu cpu, ulong linear, AccessMode mode, PagePermissions access, bool update, PageWalkPath* path,
        out ulong physical, out PagePermissions permissions, out PageFaultCode fault)
    {
        CpuState* s = cpu.State;
        fault = PageFaultCode.None;
        if ((s->Cr0 & Cr0.Pg) == 0)
        {
            path->Top = path->Last = 0;
            physical = linear & 0xFFFF_FFFF;
            permissions = PagePermissions.Read | PagePermissions.Write | PagePermissions.Fetch | PagePermissions.Dirty;
            return cpu.Nested == null || Nest(cpu, access, update, ref physical, ref permissions, out fault, out _);
        }

        PhysicalMemory memory = cpu.Memory;
        int number = PageTableFormat.Current(s);
        NestedPaging? nested = cpu.Nested;
        PageTableFormat* format = cpu.PageTables + number;
        int level = PageTableFormat.Levels(s, number);
        PageRights rights = PageRights.All;
        EntryFormat* f;
        ulong table, entry;
        path->Top = level;
        if (level != 3)
        {
            table = format->Root(s);
        }
        else
        {
            // Checked when it was loaded; grants all rights and has no A bit.
            int index = (int)(linear >> 30) & (DirectoryPointers.Count - 1);
            entry = s->DirectoryPointers[index];
            path->Addresses[level] = (s->Cr3 & DirectoryPointers.TableMask) + (ulong)index * 8;
            if (nested != null)
            {
                // They are not kept, but read by every walk (AMD volume 2, 15.25.10).
                if (!nested.TranslateTable(path->Addresses[level], update, out ulong host))
                    return Fault(path, level, PageFaultCode.Nested, out physical, out permissions, out fault);
                entry = memory.Read(host, sizeof(ulong));
            }
            path->Entries[level] = entry;
            if ((entry & PageEntry.Present) == 0)
                return Fault(path, level, Code(s, mode, access), out physical, out permissions, out fault);
            if (nested != null && DirectoryPointers.IsInvalid(cpu, entry))
                return Fault(path, level, Code(s, mode, access) | PageFaultCode.Present | PageFaultCode.Reserved, out physical, out permissions, out fault);
            table = entry & format->Level(level)->TableMask;
            level--;
        }
        for (; ; level--)
        {
            f = format->Level(level);
            ulong address = table + f->Index(linear) * (ulong)format->EntrySize;
            if (nested != null && !nested.TranslateTable(address, update, out address))
                return Fault(path, level, PageFaultCode.Nested, out physical, out permissions, out fault);
            entry = memory.Read(address, format->EntrySize);
            path->Addresses[level] = address;
            path->Entries[level] = entry;
            if ((entry & PageEntry.Present) == 0)
                return Fault(path, level, Code(s, mode, access), out physical, out permissions, out fault);

            bool page = f->IsPage(entry);
            if ((entry & (page ? f->PageReserved : f->TableReserved)) != 0)
                return Fault(path, level, Code(s, mode, access) | PageFaultCode.Present | PageFaultCode.Reserved, out physical, out permissions, out fault);

            rights &= PageEntry.Rights(entry);
            if (page)
                break;
            table = entry & f->TableMask;
        }

        physical = f->Page(entry) | (linear & ((1UL << f->Shift) - 1));
        permissions = Permissions(s, mode, rights);
        if ((permissions & access) != access)
        {
            path->Last = level;
            fault = Code(s, mode, access) | PageFaultCode.Present;
            return false;
        }

        path->Last = level;
        if (update)
            SetAccessedDirty(memory, format, path, (access & PagePermissions.Write) != 0);
        if ((entry & PageEntry.Dirty) != 0 || (access & PagePermissions.Write) != 0)
            permissions |= PagePermissions.Dirty;
        if ((entry & PageEntry.Global) != 0 && (s->Cr4 & Cr4.Pge) != 0)
            permissions |= PagePermissions.Global;
        if (level > 1)
        {
            permissions |= PagePermissions.Large;
            path->Large = true;
        }
        if (nested == null)
            return true;
        bool nests = Nest(cpu, access, update, ref physical, ref permissions, out fault, out bool large);
        path->Large &= large;
        return nests;
    }

    /// <summary>From the guest-physical address to the host's, with the rights that the nested tables leave.</summary>
    private static bool Nest(Cpu cpu, PagePermissions access, bool update, ref ulong physical, ref PagePermissions permissions, out PageFaultCode fault, out bool large)
    {
        const PagePermissions Common = PagePermissions.Read | PagePermissions.Write | PagePermissions.Fetch | PagePermissions.Dirty;
        fault = PageFaultCode.None;
        bool nests = cpu.Nested!.TranslatePage(physical, access, update, out physical, out PagePermissions allowed);
        large = (allowed & PagePermissions.Large) != 0;
        if (!nests)
        {
            fault = PageFaultCode.Nested;
            return false;
        }
        permissions &= allowed | ~Common;
        return true;
    }

    /// <summary>What rights to a page allow in an access mode (AMD volume 2, 5.6).</summary>
    internal static PagePermissions Permissions(CpuState* s, AccessMode mode, PageRights rights)
    {
        bool user = (rights & PageRights.User) != 0;
        var permissions = PagePermissions.None;
        bool readable = mode >= AccessMode.User ? user : mode == AccessMode.Supervisor || !user;
        if (readable)
        {
            permissions |= PagePermissions.Read;
            if ((rights & PageRights.Write) != 0 || (mode < AccessMode.User && (s->Cr0 & Cr0.Wp) == 0))
                permissions |= PagePermissions.Write;
        }
        if ((rights & PageRights.Execute) != 0 && (mode >= AccessMode.User ? user : !user || (s->Cr4 & Cr4.Smep) == 0))
            permissions |= PagePermissions.Fetch;
        return permissions;
    }

    private static bool Fault(PageWalkPath* path, int level, PageFaultCode code, out ulong physical, out PagePermissions permissions, out PageFaultCode fault)
    {
        path->Last = level;
        fault = code;
        physical = 0;
        permissions = PagePermissions.None;
        return false;
    }

    private static void SetAccessedDirty(PhysicalMemory memory, PageTableFormat* format, PageWalkPath* path, bool write)
    {
        for (int level = path->Top == 3 ? 2 : path->Top; level >= path->Last; level--)
        {
            ulong wanted = path->Entries[level] | PageEntry.Accessed;
            if (level == path->Last && write)
                wanted |= PageEntry.Dirty;
            if (wanted != path->Entries[level])
                memory.Write(path->Addresses[level], format->EntrySize, wanted);
        }
    }

    private static PageFaultCode Code(CpuState* s, AccessMode mode, PagePermissions access)
    {
        PageFaultCode code = PageFaultCode.None;
        if ((access & PagePermissions.Write) != 0)
            code |= PageFaultCode.Write;
        if (mode >= AccessMode.User)
            code |= PageFaultCode.User;
        bool nxe = (s->Cr4 & Cr4.Pae) != 0 && (s->Efer & Efer.Nxe) != 0;
        if ((access & PagePermissions.Fetch) != 0 && (nxe || (s->Cr4 & Cr4.Smep) != 0))
            code |= PageFaultCode.Fetch;
        return code;
    }
}
