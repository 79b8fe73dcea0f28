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
        ExitLog log = Hypervisor.Exits;
        List<ExitEntry> entries = log.Ring(requested).ReadBeyond(0, int.MaxValue, out _);
        double unit = log.NanosecondsPerTick;
        return [.. entries.Skip(entries.Count - count).Select(e => VmExit.Of(Name, e, unit, syntax))];
    }

    /// <summary>The last exits, then others as they come.</summary>
    /// <exception cref="MachineException">NoVmExits.</exception>
    public VmExitFollower FollowExits(int last, bool requested, DisassemblySyntax syntax) => new(this, Hypervisor.Exits, last, requested, syntax);

    /// <summary>
    /// The last exits, then others as they come, until the machine stops or it is cancelled. A guest that exits faster than they are taken does not wait: the
    /// numbers show what was missed.
    /// </summary>
    /// <exception cref="MachineException">NoVmExits.</exception>
    public IEnumerable<VmExit> FollowExits(int last, bool requested, DisassemblySyntax syntax, CancellationToken cancellation)
    {
        VmExitFollower follower = FollowExits(last, requested, syntax);
        return Follow();

        IEnumerable<VmExit> Follow()
        {
            bool last = false;
            while (!last && !cancellation.IsCancellationRequested)
            {
                // The state first: what a machine did before it stopped must be seen.
                last = State == MachineState.Stopped;
                IReadOnlyList<VmExit> exits = follower.Read();
                foreach (VmExit exit in exits.TakeWhile(_ => !cancellation.IsCancellationRequested))
                    yield return exit;
                if (!last && exits.Count == 0)
                    cancellation.WaitHandle.WaitOne(s_exitLook);
            }
        }
    }

    /// <summary>Whether the machine is no more.</summary>
    public bool IsRemoved => _disposed;

    internal ExitLog? FindExitLog() => Assist?.Exits;

    /// <summary>Whether the machine's engine has exits.</summary>
    public bool HasVmExits => Assist != null;

    /// <summary>The hypervisor in the engine.</summary>
    private HardwareAssist? Assist => _engine as HardwareAssist ?? (_engine as Hybrid)?.Hardware;

    private HardwareAssist Hypervisor
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return Assist
                ?? throw new MachineException("NoVmExits", $"Machine '{Name}' runs on {Engine}, which has no #VMEXITs. Set-VirtualMachine -Engine HardwareAssist changes that; Measure-VmExit -Kind and Trace-VM -Event show what other engines do.");
        }
    }
}
