using X86Virt.Engine.Monitors;

namespace X86Virt.Engine;

/// <summary>A machine whose guest is moved between techniques.</summary>
public sealed partial class VirtualMachine
{
    /// <summary>The last changes of techniques, the oldest first.</summary>
    /// <exception cref="MachineException">NotHybrid: the machine's engine has but one technique.</exception>
    public IReadOnlyList<HybridSwitch> ReadHybridHistory() => Inspect(_ => HybridEngine.History(Name));

    /// <summary>What they came to.</summary>
    /// <exception cref="MachineException">NotHybrid.</exception>
    public HybridSummary ReadHybridSummary() => Inspect(_ => HybridEngine.Summary(Name));

    private Hybrid HybridEngine => _engine as Hybrid
        ?? throw new MachineException("NotHybrid", $"Machine '{Name}' runs on {Engine} all the time. Set-VirtualMachine -Engine Hybrid changes that.");
}
