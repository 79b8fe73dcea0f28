using X86Virt.Engine.Monitors;

namespace X86Virt.Engine;

/// <summary>
/// Reads the exits of a machine as they come, by polling: neither is the machine held nor does it wait. A machine that is given another engine goes on from
/// its first exit; one that has no exits for now has none to read.
/// </summary>
public sealed class VmExitFollower
{
    private readonly VirtualMachine _machine;
    private readonly bool _requested;
    private readonly DisassemblySyntax _syntax;
    private ExitRing? _ring;
    private long _position;

    internal VmExitFollower(VirtualMachine machine, ExitRing ring, int last, bool requested, DisassemblySyntax syntax)
    {
        _machine = machine;
        _ring = ring;
        _position = Math.Max(0, ring.Count - last);
        _requested = requested;
        _syntax = syntax;
    }

    /// <summary>Exits that were gone before they were read.</summary>
    public long Missed { get; private set; }

    /// <summary>At most so many exits behind those read before, the oldest that there still is first.</summary>
    public IReadOnlyList<VmExit> Read(int most = int.MaxValue)
    {
        ExitRing? ring = _machine.FindExitRing(_requested);
        if (ring != _ring)
            (_ring, _position) = (ring, 0);
        if (ring == null)
            return [];
        List<ExitEntry> entries = ring.ReadBeyond(_position, most, out long next);
        Missed += next - _position - entries.Count;
        _position = next;
        return [.. entries.Select(e => VmExit.Of(_machine.Name, e, _syntax))];
    }
}
