using System.Diagnostics;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Keeps the last exits and counts all of them, by reason. Nothing is allocated for an exit but at the first of its reason; the guest cannot notice any of it:
/// host time is measured and never used.
/// </summary>
internal sealed unsafe class ExitLog(Cpu silicon)
{
    /// <summary>Exits that are kept.</summary>
    public const int Size = 4096;

    /// <summary>Exits that are kept of those that a user asked for.</summary>
    public const int RequestedSize = 1024;

    private readonly Cpu _silicon = silicon;
    private readonly ReasonCounts?[] _reasons = new ReasonCounts?[SvmCounts.ExitSlots];
    private long _started, _lastRetired;

    public ExitRing All { get; } = new(Size);

    /// <summary>Exits that matched a user's intercept, which others do not push out.</summary>
    public ExitRing Requested { get; } = new(RequestedSize);

    /// <summary>The guest has been left; the VMCB tells why.</summary>
    public void Begin(Vmcb* v, bool requested)
    {
        _started = Stopwatch.GetTimestamp();
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
        ReadCode(ref e);
    }

    /// <summary>The exit under way turned out to be one that a user asked for.</summary>
    public void MarkRequested() => All.Next.IsRequested = true;

    /// <summary>The exit has been seen to.</summary>
    public void End()
    {
        ref ExitEntry e = ref All.Next;
        e.HostTicks = Stopwatch.GetTimestamp() - _started;
        // What the monitor has executed for the guest is part of the exit.
        _lastRetired = _silicon.State->Retired;
        int slot = SvmCounts.Slot(e.Code);
        (_reasons[slot] ??= new ReasonCounts(e.Code)).Add(e.HostTicks);
        if (e.IsRequested)
        {
            Requested.Next = e;
            Requested.Publish();
        }
        All.Publish();
    }

    /// <summary>Counts by reason, as they are now.</summary>
    public IReadOnlyList<ReasonCounts> Snapshot() => [.. _reasons.OfType<ReasonCounts>().Select(r => r.Copy())];

    /// <summary>Takes the instruction from where the guest's TLB still leads, which costs no walk; what it has lost stays unknown.</summary>
    private void ReadCode(ref ExitEntry e)
    {
        e.ByteCount = 0;
        ulong linear = e.CodeBase + e.Rip;
        if (e.Bitness != 64)
            linear = (uint)linear;
        Tlb tlb = _silicon.GuestTlb;
        TlbTranslation* t = e.Cpl == 3 ? tlb.Find(AccessMode.User, linear) : tlb.Find(AccessMode.Supervisor, linear);
        if (t == null)
            t = tlb.Find(e.Cpl == 3 ? AccessMode.UserAligned : AccessMode.SupervisorSmap, linear);
        if (t == null || !_silicon.Memory.TryFindRegion(t->PhysicalPage, out MemoryRegion region) || region.Host == null)
            return;
        int offset = (int)linear & 0xFFF;
        int count = Math.Min(ExitEntry.MostBytes, 0x1000 - offset);
        fixed (byte* bytes = e.Bytes)
            Buffer.MemoryCopy(region.Host + (t->PhysicalPage - region.Start) + offset, bytes, ExitEntry.MostBytes, count);
        e.ByteCount = (byte)count;
    }
}
