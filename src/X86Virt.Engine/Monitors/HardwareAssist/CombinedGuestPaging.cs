using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Nested paging where the guest is a hypervisor that has its own guest under nested paging: the silicon has room for one set of nested tables, so that it gets those of the
/// guest and the monitor's combined, from its guest's physical addresses to the host's. They are filled where that guest faults, by a walk of the hypervisor's tables
/// that sets A and D in them, and kept for as long as the processor that the hypervisor believes to have would keep its nested TLB.
/// </summary>
internal sealed unsafe class CombinedGuestPaging(Cpu guest, NestedPageTables tables) : NestedGuestPaging(tables)
{
    private readonly Cpu _guest = guest;
    private long _flushes;

    public override void Enter(Vmcb* v)
    {
        long flushes = _guest.Nested!.Flushes;
        if (flushes != _flushes)
            Tables.Clear();
        _flushes = flushes;
        base.Enter(v);
    }

    public override FaultOutcome Resolve(Vmcb* v, out PageFaultCode trueCode)
    {
        trueCode = PageFaultCode.None;
        var code = (PageFaultCode)v->ExitInfo1;
        PagePermissions access = (code & PageFaultCode.Write) != 0 ? PagePermissions.Read | PagePermissions.Write
            : (code & PageFaultCode.Fetch) != 0 ? PagePermissions.Fetch : PagePermissions.Read;
        // The hypervisor's own faults come of executing the instruction on the record, as they do there.
        return _guest.Nested!.TranslatePage(v->ExitInfo2, access, update: true, out ulong physical, out PagePermissions allowed)
            && Tables.TryMap(v->ExitInfo2, physical, Rights(allowed)) ? FaultOutcome.Mapped : FaultOutcome.Emulate;
    }

    /// <summary>A page is not written before the D bit of the hypervisor's entry is set.</summary>
    private static ulong Rights(PagePermissions allowed)
    {
        const PagePermissions Store = PagePermissions.Write | PagePermissions.Dirty;
        return PageEntry.Us | ((allowed & Store) == Store ? PageEntry.Rw : 0) | ((allowed & PagePermissions.Fetch) == 0 ? PageEntry.Nx : 0);
    }
}
