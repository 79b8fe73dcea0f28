namespace X86Virt.Engine;

/// <summary>Where a machine is in its life.</summary>
public enum MachineState
{
    /// <summary>Not started yet, or ended: see <see cref="VirtualMachine.StopReason"/>.</summary>
    Stopped,
    Running,

    /// <summary>Held between two instructions; goes on exactly where it was.</summary>
    Suspended,
}

/// <summary>Which execution engine runs the guest.</summary>
public enum EngineKind
{
    /// <summary>Fetches and decodes every instruction every time.</summary>
    Interpreter,

    /// <summary>Decodes an instruction once and runs the handler it was bound to.</summary>
    DecodedCache,

    /// <summary>Translates guest code to host code; on x64 hosts only.</summary>
    BinaryTranslation,

    /// <summary>A hypervisor that runs the guest on virtual silicon with SVM, by VMRUN on a VMCB, and handles its #VMEXITs.</summary>
    HardwareAssist,

    /// <summary>Binary translation and hardware assist by turns, whichever costs the guest less by a cost profile.</summary>
    Hybrid,
}

/// <summary>Where guest time comes from.</summary>
public enum ClockKind
{
    /// <summary>Retired instructions at a nominal rate; an idle guest skips to its next timer. Deterministic.</summary>
    Virtual,

    /// <summary>The host's clock, for people at a console.</summary>
    RealTime,
}

/// <summary>Why a machine stopped.</summary>
public enum StopKind
{
    None,

    /// <summary>The guest switched the power off (ACPI).</summary>
    PowerOff,

    /// <summary>The guest wrote to isa-debug-exit; <see cref="VirtualMachine.ExitCode"/> says what.</summary>
    DebugExit,

    /// <summary>The guest halted the processor with interrupts off: nothing can wake it.</summary>
    Halt,

    /// <summary>The guest asked for a reset of a machine that was told not to reboot.</summary>
    Reset,

    /// <summary>An exception could not be delivered, nor the double fault that followed.</summary>
    TripleFault,

    /// <summary>Stopped by its user.</summary>
    User,

    /// <summary>A defect of the machine monitor itself; state is kept.</summary>
    InternalError,
}

/// <summary>What ended a machine, where, and for guest errors how it came to that.</summary>
/// <param name="Kind">The kind of end.</param>
/// <param name="Message">One sentence for people.</param>
/// <param name="Rip">The guest's RIP when it ended.</param>
public sealed record StopReason(StopKind Kind, string Message, ulong Rip)
{
    public static readonly StopReason None = new(StopKind.None, "", 0);

    public override string ToString() => Message.Length == 0 ? Kind.ToString() : $"{Kind}: {Message}";
}
