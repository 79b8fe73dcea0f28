namespace X86Virt.Engine.Processor;

/// <summary>What came of SVM; plain fields that the processor's thread counts.</summary>
public sealed class SvmCounts
{
    private readonly long[] _exits = new long[ExitSlots];

    private const int NestedSlot = 0xC0, InvalidSlot = 0xC1, EmulationSlot = 0xC2;

    /// <summary>Room for a count of each exit code.</summary>
    internal const int ExitSlots = 0xC3;

    /// <summary>Times that VMRUN entered a guest.</summary>
    public long Entries;

    /// <summary>World switches that flushed the guest's half of the TLB.</summary>
    public long TlbFlushes;

    /// <summary>Walks of nested page tables, and the entries that they and the walks of guest tables above them read.</summary>
    public long NestedWalks;
    public long NestedReferences;

    /// <summary>Walks of guest tables through nested ones, and those that entries for large pages would have spared (<see cref="LargePageTlb"/>), with what they read of both.</summary>
    public long GuestWalks;
    public long SparedGuestWalks;
    public long SparedReferences;

    /// <summary>Guest-physical pages that the nested TLB had.</summary>
    public long NestedTlbHits;

    /// <summary>How often guest mode was left for a reason.</summary>
    public long Exits(SvmExitCode code) => _exits[Slot(code)];

    /// <summary>How often it was left at all, refused VMCBs included.</summary>
    public long AllExits => _exits.Sum();

    /// <summary>Reasons for which it was left, with their counts.</summary>
    public IEnumerable<(SvmExitCode Code, long Count)> Snapshot()
    {
        for (int slot = 0; slot < ExitSlots; slot++)
        {
            if (_exits[slot] != 0)
                yield return (slot switch { NestedSlot => SvmExitCode.NestedPageFault, InvalidSlot => SvmExitCode.Invalid, _ => (SvmExitCode)slot }, _exits[slot]);
        }
    }

    /// <summary>A walk of guest tables through nested ones.</summary>
    /// <param name="references">Entries of both that it read.</param>
    /// <param name="spared">Whether entries for large pages would have spared it.</param>
    internal void CountGuestWalk(long references, bool spared)
    {
        GuestWalks++;
        if (!spared)
            return;
        SparedGuestWalks++;
        SparedReferences += references;
    }

    internal void Count(SvmExitCode code) => _exits[Slot(code)]++;

    internal static int Slot(SvmExitCode code) => code switch
    {
        SvmExitCode.NestedPageFault => NestedSlot,
        SvmExitCode.Invalid => InvalidSlot,
        SvmExitCode.Emulation => EmulationSlot,
        _ => (int)code,
    };
}
