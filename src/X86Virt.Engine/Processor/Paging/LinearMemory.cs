using System.Runtime.CompilerServices;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Accesses by linear address, as handlers make them. Each returns false (or null) after raising the fault for the handler to return;
/// nothing was accessed then, not even in part. The fast path is one tag compare; an access that crosses a page never matches.
/// </summary>
public static unsafe class LinearMemory
{
    /// <summary>Reads with the rights of the current privilege level.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Read<T>(CpuState* s, Op* op, ulong linear, out T value) where T : unmanaged
    {
        TlbEntry* e = s->Tlb + ((linear >> 12) & Tlb.IndexMask);
        if (((linear + (ulong)(sizeof(T) - 1)) & ~0xFFFUL) == e->ReadTag)
        {
            value = Unsafe.ReadUnaligned<T>((byte*)(e->Addend + (nint)linear));
            return true;
        }
        Unsafe.SkipInit(out value);
        fixed (T* p = &value)
            return SlowMemory.Read(s, op, s->AccessMode, linear, (byte*)p, sizeof(T));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Write<T>(CpuState* s, Op* op, ulong linear, T value) where T : unmanaged
    {
        TlbEntry* e = s->Tlb + ((linear >> 12) & Tlb.IndexMask);
        if (((linear + (ulong)(sizeof(T) - 1)) & ~0xFFFUL) == e->WriteTag)
        {
            Unsafe.WriteUnaligned((byte*)(e->Addend + (nint)linear), value);
            return true;
        }
        return SlowMemory.Write(s, op, s->AccessMode, linear, (byte*)&value, sizeof(T));
    }

    /// <summary>
    /// Opens an operand of up to 16 bytes for read-modify-write: write permission is checked first. Change it in place, then
    /// call <see cref="Commit"/>. Null after a fault.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Modify<T>(CpuState* s, Op* op, ulong linear) where T : unmanaged
    {
        TlbEntry* e = s->Tlb + ((linear >> 12) & Tlb.IndexMask);
        if (((linear + (ulong)(sizeof(T) - 1)) & ~0xFFFUL) == e->WriteTag)
            return (T*)(e->Addend + (nint)linear);
        return (T*)SlowMemory.Modify(s, op, linear, sizeof(T));
    }

    /// <summary>Ends a read-modify-write that <see cref="Modify"/> opened; it cannot fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Commit<T>(CpuState* s, Op* op, T* operand) where T : unmanaged
    {
        if ((byte*)operand == s->ModifyBuffer)
            SlowMemory.Commit(s, op, sizeof(T));
    }

    /// <summary>Reads as the processor itself does (descriptor tables, TSS): supervisor rights, whatever CPL is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ReadSystem<T>(CpuState* s, Op* op, ulong linear, out T value) where T : unmanaged
    {
        byte* host = Direct(s, SystemMode(s), linear, sizeof(T), write: false);
        if (host != null)
        {
            value = Unsafe.ReadUnaligned<T>(host);
            return true;
        }
        Unsafe.SkipInit(out value);
        fixed (T* p = &value)
            return SlowMemory.Read(s, op, SystemMode(s), linear, (byte*)p, sizeof(T));
    }

    public static bool WriteSystem<T>(CpuState* s, Op* op, ulong linear, T value) where T : unmanaged
        => SlowMemory.Write(s, op, SystemMode(s), linear, (byte*)&value, sizeof(T));

    /// <summary>
    /// Host address of <paramref name="size"/> bytes in one page that an access mode, which need not be the one in force, may access directly, else
    /// null with nothing raised.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Direct(CpuState* s, AccessMode mode, ulong linear, int size, bool write)
    {
        TlbEntry* e = s->Tlbs + (int)mode * Tlb.Entries + (int)((linear >> 12) & Tlb.IndexMask);
        ulong tag = write ? e->WriteTag : e->ReadTag;
        return (linear & ~0xFFFUL) == tag && ((linear + (ulong)(size - 1)) & ~0xFFFUL) == tag ? (byte*)(e->Addend + (nint)linear) : null;
    }

    /// <summary>Raises the fault that a write of <paramref name="size"/> bytes (4096 at most) would raise; writes nothing.</summary>
    public static bool ProbeWrite(CpuState* s, Op* op, ulong linear, int size)
        => SlowMemory.Probe(s, op, s->AccessMode, linear, size, PagePermissions.Write);

    public static bool ProbeRead(CpuState* s, Op* op, ulong linear, int size)
        => SlowMemory.Probe(s, op, s->AccessMode, linear, size, PagePermissions.Read);

    /// <summary>Reads a block of any length up to a page (FXRSTOR, XRSTOR, operands of host-executed instructions).</summary>
    public static bool ReadBytes(CpuState* s, Op* op, ulong linear, byte* destination, int size)
        => SlowMemory.Read(s, op, s->AccessMode, linear, destination, size);

    public static bool WriteBytes(CpuState* s, Op* op, ulong linear, byte* source, int size)
        => SlowMemory.Write(s, op, s->AccessMode, linear, source, size);

    /// <summary>
    /// Host address of the first byte at <paramref name="linear"/> if a run of bytes up to the end of its page may be accessed
    /// directly (string instructions), else null with nothing raised.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Direct(CpuState* s, ulong linear, bool write)
    {
        TlbEntry* e = s->Tlb + ((linear >> 12) & Tlb.IndexMask);
        return (linear & ~0xFFFUL) == (write ? e->WriteTag : e->ReadTag) ? (byte*)(e->Addend + (nint)linear) : null;
    }

    internal static AccessMode SystemMode(CpuState* s) => (s->Cr4 & Cr4.Smap) != 0 ? AccessMode.SupervisorSmap : AccessMode.Supervisor;
}
