using System.Runtime.Intrinsics;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Keeps the last exits and counts all of them, by reason. Nothing is allocated for an exit but at the first of its reason; the guest cannot notice any of it:
/// host time is measured and never used.
/// </summary>
internal sealed unsafe partial class ExitLog(Cpu silicon)
{
    /// <summary>Exits that are kept.</summary>
    public const int Size = 4096;

    /// <summary>Exits that are kept of those that a user asked for.</summary>
    public const int RequestedSize = 1024;

    private readonly Cpu _silicon = silicon;
    private readonly HostClock _clock = new();
    private readonly ReasonCounts?[] _reasons = new ReasonCounts?[SvmCounts.ExitSlots];
    private long _started, _lastRetired, _emulated, _avoided;

    public ExitRing All { get; } = new(Size);

    /// <summary>What host time is told in.</summary>
    public double NanosecondsPerTick => _clock.NanosecondsPerTick;

    /// <summary>Exits that matched a user's intercept, which others do not push out.</summary>
    public ExitRing Requested { get; } = new(RequestedSize);

    public ExitRing Ring(bool requested) => requested ? Requested : All;

    /// <summary>The guest has been left; the VMCB tells why.</summary>
    public void Begin(Vmcb* v, bool requested, bool nested)
    {
        _started = _clock.Now;
        CpuState* s = _silicon.State;
        ref ExitEntry e = ref All.Next;
        e.Number = All.Count + 1;
        e.Code = v->ExitCode;
        e.Info1 = v->ExitInfo1;
        e.Info2 = v->ExitInfo2;
        e.InFlight = v->ExitIntInfo;
        bool code64 = (v->Efer & Efer.Lma) != 0 && v->Cs.Long;
        e.CodeBase = code64 ? 0 : v->Cs.Base;
        e.Rip = v->Rip;
        e.Rax = v->Rax;
        e.Rcx = s->Rcx;
        e.Rdx = s->Rdx;
        e.Retired = s->Retired;
        e.SinceLast = s->Retired - _lastRetired;
        e.Bitness = (byte)(code64 ? 64 : v->Cs.Big ? 32 : 16);
        e.Cpl = v->Cpl;
        e.IsRequested = requested;
        e.IsNested = nested;
        e.IsAssisted = _silicon.Model.Svm.Has(SvmFeatures.DecodeAssists);
        ReadCode(ref e, v);
    }

    /// <summary>The exit under way turned out to be one that a user asked for.</summary>
    public void MarkRequested() => All.Next.IsRequested = true;

    /// <summary>The monitor has executed instructions for the guest in seeing to the exit under way.</summary>
    public void CountEmulated(long instructions) => _emulated += instructions;

    /// <summary>Instructions that would have exited were executed along with the exit under way.</summary>
    public void CountAvoided(long exits) => _avoided += exits;

    /// <summary>The exit has been seen to.</summary>
    public void End()
    {
        ref ExitEntry e = ref All.Next;
        e.HostTicks = _clock.Now - _started;
        // What the monitor has executed for the guest is part of the exit.
        _lastRetired = _silicon.State->Retired;
        int slot = SvmCounts.Slot(e.Code);
        (_reasons[slot] ??= new ReasonCounts(e.Code)).Add(e.HostTicks, _emulated, _avoided);
        _emulated = _avoided = 0;
        if (e.IsRequested)
        {
            Requested.Next = e;
            Requested.Publish();
        }
        All.Publish();
    }

    /// <summary>Counts by reason, as they are now.</summary>
    public IReadOnlyList<ReasonCounts> Snapshot() => [.. _reasons.OfType<ReasonCounts>().Select(r => r.Copy())];

    /// <summary>Takes the instruction from the decode assist, or from where the guest's TLB still leads, which costs no walk; what it has lost stays unknown.</summary>
    private void ReadCode(ref ExitEntry e, Vmcb* v)
    {
        e.ByteCount = 0;
        fixed (byte* bytes = e.Bytes)
        {
            // The decode assist of a fault.
            if (v->FetchedCount != 0)
            {
                Vector128.Load(&v->FetchedCount + 1).Store(bytes);
                e.ByteCount = Math.Min(v->FetchedCount, (byte)ExitEntry.MostBytes);
                return;
            }
        }
        ulong linear = e.CodeBase + e.Rip;
        if (e.Bitness != 64)
            linear = (uint)linear;
        byte* code = FindCode(linear, e.Cpl);
        if (code == null)
            return;
        int left = 0x1000 - ((int)linear & 0xFFF);
        fixed (byte* bytes = e.Bytes)
        {
            if (left >= ExitEntry.RoomForBytes)
                Vector128.Load(code).Store(bytes);
            else
                Buffer.MemoryCopy(code, bytes, ExitEntry.RoomForBytes, left);
        }
        e.ByteCount = (byte)Math.Min(left, ExitEntry.MostBytes);
    }

    /// <summary>The guest's code at an address, up to the end of its page; null where the TLB does not lead there.</summary>
    public byte* FindCode(ulong linear, byte cpl)
    {
        byte* code = Find(cpl == 3 ? AccessMode.User : AccessMode.Supervisor, linear);
        return code != null ? code : Find(cpl == 3 ? AccessMode.UserAligned : AccessMode.SupervisorSmap, linear);
    }

    private byte* Find(AccessMode mode, ulong linear)
    {
        Tlb tlb = _silicon.GuestTlb;
        TlbEntry* e = tlb.Of(mode) + (int)((linear >> 12) & Tlb.IndexMask);
        if (e->FetchTag == (linear & ~0xFFFUL))
            return (byte*)((nint)linear + e->Addend);
        // Not for fetches straight from memory, as where there are breakpoints.
        TlbTranslation* t = tlb.Find(mode, linear);
        return t != null && _silicon.Memory.TryFindRegion(t->PhysicalPage, out MemoryRegion region) && region.Host != null
            ? region.Host + (t->PhysicalPage - region.Start) + (linear & 0xFFF) : null;
    }
}
