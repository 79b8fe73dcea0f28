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
    private ExitLog? _log;
    private long _position;

    internal VmExitFollower(VirtualMachine machine, ExitLog log, int last, bool requested, DisassemblySyntax syntax)
    {
        _machine = machine;
        _log = log;
        _position = Math.Max(0, log.Ring(requested).Count - last);
        _requested = requested;
        _syntax = syntax;
    }

    /// <summary>Exits that were gone before they were read.</summary>
    public long Missed { get; private set; }

    /// <summary>At most so many exits behind those read before, the oldest that there still is first.</summary>
    public IReadOnlyList<VmExit> Read(int most = int.MaxValue)
    {
        ExitLog? log = _machine.FindExitLog();
        if (log != _log)
            (_log, _position) = (log, 0);
        if (log == null)
            return [];
        List<ExitEntry> entries = log.Ring(_requested).ReadBeyond(_position, most, out long next);
        Missed += next - _position - entries.Count;
        _position = next;
        double unit = log.NanosecondsPerTick;
        return [.. entries.Select(e => VmExit.Of(_machine.Name, e, unit, _syntax))];
    }
}
