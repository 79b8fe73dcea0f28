using X86Virt.Engine.Costs;

namespace X86Virt.Engine.Monitors;

/// <summary>A change of techniques.</summary>
/// <param name="Machine">The machine's name.</param>
/// <param name="Number">Of the change, from 1.</param>
/// <param name="Instructions">Instructions retired when it was made.</param>
/// <param name="From">The technique before.</param>
/// <param name="To">The technique behind it.</param>
/// <param name="LostCycles">What the one had cost more than the other would have, by the profile.</param>
/// <param name="Reason">The kind of event that cost most of it.</param>
/// <param name="Nanoseconds">Host time of the change.</param>
public sealed record HybridSwitch(string Machine, long Number, long Instructions, CostTechnique From, CostTechnique To, double LostCycles, string Reason, double Nanoseconds);

/// <summary>What a machine's changes of techniques came to, in cycles of a profile's processor.</summary>
/// <param name="Machine">The machine's name.</param>
/// <param name="Profile">The profile.</param>
/// <param name="Technique">The technique in force.</param>
/// <param name="Switches">Changes so far.</param>
/// <param name="SoftwareInstructions">Instructions retired under binary translation.</param>
/// <param name="HardwareInstructions">Instructions retired under hardware assist.</param>
/// <param name="Cycles">What the run has cost, changes included.</param>
/// <param name="SoftwareCycles">What it would have cost under binary translation alone.</param>
/// <param name="HardwareCycles">What it would have cost under hardware assist alone.</param>
/// <param name="SwitchNanoseconds">Mean host time of a change.</param>
public sealed record HybridSummary(string Machine, string Profile, CostTechnique Technique, long Switches, long SoftwareInstructions, long HardwareInstructions,
    double Cycles, double SoftwareCycles, double HardwareCycles, double SwitchNanoseconds)
{
    /// <summary>The better of the two techniques by what it was: above 1 where moving between them was ahead of both.</summary>
    public double Advantage => Cycles > 0 ? Math.Min(SoftwareCycles, HardwareCycles) / Cycles : 1;
}
