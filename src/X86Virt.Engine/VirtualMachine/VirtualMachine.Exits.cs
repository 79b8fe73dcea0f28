using X86Virt.Engine.Monitors;

namespace X86Virt.Engine;

/// <summary>The exits of a machine that a monitor runs by VMRUN.</summary>
public sealed partial class VirtualMachine
{
    private static readonly TimeSpan s_exitLook = TimeSpan.FromMilliseconds(20);

    /// <summary>The last exits, the oldest first; those of user intercepts only, if so wanted. The machine is not held for it.</summary>
    /// <exception cref="MachineException">NoVmExits: the machine's engine has none.</exception>
    public IReadOnlyList<VmExit> ReadExits(int count, bool requested = false, DisassemblySyntax syntax = DisassemblySyntax.Intel)
    {
        List<ExitEntry> entries = RingOf(requested).ReadBeyond(0);
        return [.. entries.Skip(entries.Count - count).Select(e => VmExit.Of(Name, e, syntax))];
    }

    /// <summary>
    /// The last exits, then others as they come, until the machine stops or it is cancelled. A guest that exits faster than they are taken does not wait: the
    /// numbers show what was missed.
    /// </summary>
    /// <exception cref="MachineException">NoVmExits.</exception>
    public IEnumerable<VmExit> FollowExits(int last, bool requested, DisassemblySyntax syntax, CancellationToken cancellation)
    {
        ExitRing ring = RingOf(requested);
        return Follow(ring, ring.Count - last);

        IEnumerable<VmExit> Follow(ExitRing ring, long position)
        {
            while (!cancellation.IsCancellationRequested)
            {
                // The state first: what a machine did before it stopped must be seen.
                bool last = State == MachineState.Stopped;
                long end = ring.Count;
                foreach (ExitEntry e in ring.ReadBeyond(position))
                {
                    yield return VmExit.Of(Name, e, syntax);
                    if (cancellation.IsCancellationRequested)
                        yield break;
                }
                if (last && ring.Count == end)
                    yield break;
                if (end == position)
                    cancellation.WaitHandle.WaitOne(s_exitLook);
                position = end;
            }
        }
    }

    /// <summary>Whether the machine's engine has exits.</summary>
    public bool HasVmExits => _engine is HardwareAssist;

    private ExitRing RingOf(bool requested)
    {
        ExitLog log = Hypervisor.Exits;
        return requested ? log.Requested : log.All;
    }

    private HardwareAssist Hypervisor
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _engine as HardwareAssist
                ?? throw new MachineException("NoVmExits", $"Machine '{Name}' runs on {Engine}, which has no #VMEXITs. Set-VirtualMachine -Engine HardwareAssist changes that; Measure-VmExit -Kind and Trace-VM -Event show what other engines do.");
        }
    }
}
