using System.Numerics;
using System.Runtime.CompilerServices;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// What <see cref="LinearMemory"/> does when the fast tags do not match: canonical check, translation, both pages of a crossing
/// access before either is touched, devices, tracked pages, alignment check, data breakpoints.
/// </summary>
internal static unsafe class SlowMemory
{
    public static bool Read(CpuState* s, Op* op, AccessMode mode, ulong linear, byte* destination, int size)
    {
        TlbEntry* e = Entry(s, mode, linear);
        if (e->ReadTag == (linear & ~0xFFFUL) && InPage(linear, size))
        {
            HostMemory.Copy(destination, (byte*)(e->Addend + (nint)linear), size);
            return true;
        }
        Cpu cpu = Cpu.Of(s);
        int first = FirstPart(linear, size);
        if (!Check(cpu, op, mode, ref linear, size, PagePermissions.Read)
            || !Translate(cpu, op, mode, linear, PagePermissions.Read, out ulong physical))
            return false;
        ulong physical2 = 0;
        if (first < size && !Translate(cpu, op, mode, NextPage(s, linear, first), PagePermissions.Read, out physical2))
            return false;
        if (mode == AccessMode.UserAligned && Misaligned(s, op, linear, size))
            return false;
        s->Trapped |= first < size || e->ReadTag != (linear & ~0xFFFUL);
        DebugRegisters.OnAccess(s, op, linear, size, write: false);
        ReadPhysical(cpu, op, physical, destination, first);
        if (first < size)
            ReadPhysical(cpu, op, physical2, destination + first, size - first);
        return true;
    }

    public static bool Write(CpuState* s, Op* op, AccessMode mode, ulong linear, byte* source, int size)
    {
        TlbEntry* e = Entry(s, mode, linear);
        if (e->WriteTag == (linear & ~0xFFFUL) && InPage(linear, size))
        {
            HostMemory.Copy((byte*)(e->Addend + (nint)linear), source, size);
            return true;
        }
        Cpu cpu = Cpu.Of(s);
        int first = FirstPart(linear, size);
        if (!Check(cpu, op, mode, ref linear, size, PagePermissions.Write)
            || !Translate(cpu, op, mode, linear, PagePermissions.Write, out ulong physical))
            return false;
        ulong physical2 = 0;
        if (first < size && !Translate(cpu, op, mode, NextPage(s, linear, first), PagePermissions.Write, out physical2))
            return false;
        if (mode == AccessMode.UserAligned && Misaligned(s, op, linear, size))
            return false;
        s->Trapped |= first < size || e->WriteTag != (linear & ~0xFFFUL);
        DebugRegisters.OnAccess(s, op, linear, size, write: true);
        WritePhysical(cpu, op, physical, source, first);
        if (first < size)
            WritePhysical(cpu, op, physical2, source + first, size - first);
        return true;
    }

    /// <summary>The entry of an address in a mode that need not be the one in force: the processor's own accesses have tags to match, too.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TlbEntry* Entry(CpuState* s, AccessMode mode, ulong linear)
        => s->Tlbs + (int)mode * Tlb.Entries + (int)((linear >> 12) & Tlb.IndexMask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool InPage(ulong linear, int size) => ((linear ^ (linear + (ulong)(size - 1))) & ~0xFFFUL) == 0;

    public static byte* Modify(CpuState* s, Op* op, ulong linear, int size)
    {
        if (!Probe(s, op, s->AccessMode, linear, size, PagePermissions.Read | PagePermissions.Write)
            || !Read(s, op, s->AccessMode, linear, s->ModifyBuffer, size))
            return null;
        s->ModifyAddress = linear;
        return s->ModifyBuffer;
    }

    public static void Commit(CpuState* s, Op* op, int size) => Write(s, op, s->AccessMode, s->ModifyAddress, s->ModifyBuffer, size);

    public static bool Probe(CpuState* s, Op* op, AccessMode mode, ulong linear, int size, PagePermissions access)
    {
        Cpu cpu = Cpu.Of(s);
        int first = FirstPart(linear, size);
        return Check(cpu, op, mode, ref linear, size, access)
            && Translate(cpu, op, mode, linear, access, out _)
            && (first == size || Translate(cpu, op, mode, NextPage(s, linear, first), access, out _))
            && !(mode == AccessMode.UserAligned && Misaligned(s, op, linear, size));
    }

    /// <summary>
    /// Translates one address for one kind of access, from the TLB or by a walk, and opens the fast path where the page allows it.
    /// </summary>
    public static bool Translate(Cpu cpu, Op* op, AccessMode mode, ulong linear, PagePermissions access, out ulong physical)
    {
        PagePermissions wanted = access | ((access & PagePermissions.Write) != 0 ? PagePermissions.Dirty : 0);
        TlbTranslation* t = cpu.Tlb.Find(mode, linear);
        if (t == null || (t->Permissions & wanted) != wanted)
        {
            PagePermissions permissions;
            PageFaultCode fault;
            bool mapped = cpu.Shadow is { } shadow && cpu.Nested == null
                ? shadow.Translate(linear, mode, access, out physical, out permissions, out fault)
                : PageWalker.Walk(cpu, linear, mode, access, true, out physical, out permissions, out fault);
            if (!mapped)
            {
                // The entry that faulted goes, as hardware drops it: the guest's handler need not flush after mending the tables.
                if (t != null)
                    cpu.FlushTlbPage(linear);
                if ((fault & PageFaultCode.Nested) != 0)
                    cpu.Svm!.RaiseNestedFault(op);
                else
                    Fault.Page(cpu.State, op, linear, fault);
                return false;
            }
            t = cpu.Tlb.Fill(mode, linear, physical, permissions);
        }
        physical = t->PhysicalPage | (linear & 0xFFF);
        if (mode != AccessMode.UserAligned)
            Open(cpu, mode, linear, t);
        return true;
    }

    private static void Open(Cpu cpu, AccessMode mode, ulong linear, TlbTranslation* t)
    {
        RegionKind kind = cpu.Memory.Lookup(t->PhysicalPage, out byte* host);
        if (host == null)
            return;
        PagePermissions fast = t->Permissions & (PagePermissions.Read | PagePermissions.Write | PagePermissions.Fetch);
        if (kind != RegionKind.Ram || (t->Permissions & PagePermissions.Dirty) == 0
            || cpu.Memory.Tracking(cpu.Memory.PageIndex(host)) != PageTracking.None)
            fast &= ~PagePermissions.Write;
        if (DebugRegisters.WatchesPage(cpu.State, linear))
            fast &= PagePermissions.Fetch;
        cpu.Tlb.Open(mode, linear, host, fast);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int FirstPart(ulong linear, int size) => Math.Min(size, 0x1000 - (int)(linear & 0xFFF));

    private static ulong NextPage(CpuState* s, ulong linear, int first)
        => s->LongMode ? linear + (ulong)first : (uint)(linear + (ulong)first);

    /// <summary>Canonical form in long mode; linear addresses are 32 bits wide elsewhere.</summary>
    private static bool Check(Cpu cpu, Op* op, AccessMode mode, ref ulong linear, int size, PagePermissions access)
    {
        CpuState* s = cpu.State;
        if (BeyondFlatSegment(s, op, linear, size))
        {
            Fault.Segment(s, op, op->Segment);
            return false;
        }
        if (!s->LongMode)
        {
            linear = (uint)linear;
            return true;
        }
        if (Canonical.Is(s, linear) && Canonical.Is(s, linear + (ulong)(size - 1)))
            return true;
        Fault.Segment(s, op, op != null ? op->Segment : Segment.Ds);
        return false;
    }

    /// <summary>An operand across 4 GiB is outside its segment, flat as that may be; handlers leave flat segments unchecked.</summary>
    private static bool BeyondFlatSegment(CpuState* s, Op* op, ulong linear, int size)
        => (s->Mode & CodeMode.Flat) != 0 && !s->Code64 && op != null && (op->Flags & OpFlags.Checked) == 0
            && (uint)linear + (ulong)(size - 1) > uint.MaxValue;

    private static bool Misaligned(CpuState* s, Op* op, ulong linear, int size)
    {
        int alignment = BitOperations.IsPow2(size) && size <= 8 ? size : size == 10 ? 8 : size == 6 ? 2 : 1;
        if ((linear & (ulong)(alignment - 1)) == 0)
            return false;
        Fault.Raise(s, op, Vector.AlignmentCheck, 0);
        return true;
    }

    private static void ReadPhysical(Cpu cpu, Op* op, ulong physical, byte* destination, int size)
    {
        RegionKind kind = cpu.Memory.Lookup(physical, out byte* host);
        if (host != null)
        {
            HostMemory.Copy(destination, host, size);
            return;
        }
        long ahead = BeginDeviceAccess(cpu, op, kind);
        for (int done = 0, part; done < size; done += part)
        {
            part = DevicePart(physical + (ulong)done, size - done);
            ulong value = cpu.Memory.Read(physical + (ulong)done, part);
            Unsafe.CopyBlockUnaligned(destination + done, &value, (uint)part);
        }
        cpu.State->Budget -= ahead;
    }

    private static void WritePhysical(Cpu cpu, Op* op, ulong physical, byte* source, int size)
    {
        RegionKind kind = cpu.Memory.Lookup(physical, out byte* host);
        if (kind == RegionKind.Ram)
        {
            HostMemory.Copy(host, source, size);
            cpu.Memory.NotifyWrite(host, size);
            return;
        }
        if (kind == RegionKind.Rom)
            return;
        long ahead = BeginDeviceAccess(cpu, op, kind);
        for (int done = 0, part; done < size; done += part)
        {
            part = DevicePart(physical + (ulong)done, size - done);
            ulong value = 0;
            Unsafe.CopyBlockUnaligned(&value, source + done, (uint)part);
            cpu.Memory.Write(physical + (ulong)done, part, value);
        }
        cpu.State->Budget -= ahead;
    }

    /// <summary>
    /// Makes the retired-instruction count exact while a device looks at the clock, and has the block left behind this instruction,
    /// so that what the device does to timers and interrupts counts from the next one on.
    /// </summary>
    private static long BeginDeviceAccess(Cpu cpu, Op* op, RegionKind kind)
    {
        if (kind == RegionKind.Device)
            cpu.Statistics.DeviceAccesses++;
        if (op == null)
            return 0;
        CpuState* s = cpu.State;
        Control.LeaveAfter(s, op);
        long ahead = Op.BlockOf(op)->Count - op->Ordinal - 1;
        s->Budget += ahead;
        return ahead;
    }

    private static int DevicePart(ulong address, int left)
    {
        int part = 8;
        while (part > left || (address & (ulong)(part - 1)) != 0)
            part >>= 1;
        return part;
    }
}
