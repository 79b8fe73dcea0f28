using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Where two engines parted.</summary>
/// <param name="Retired">Instructions after which both still agreed; the next one makes the difference.</param>
/// <param name="Instruction">Linear address of that instruction.</param>
/// <param name="Differences">What differs behind it: name, then the value on each engine.</param>
public sealed record LockstepDifference(long Retired, ulong Instruction, IReadOnlyList<(string Name, string First, string Second)> Differences);

/// <summary>
/// Runs the same machine on two engines, compares registers and memory at intervals, and finds the first instruction that the engines
/// execute differently: by running both again up to the last agreement and looking closer.
/// </summary>
public sealed class Lockstep(MachineConfiguration configuration, EngineKind first, EngineKind second)
{
    private const int Narrowing = 32;

    /// <summary>Instructions executed by each engine so far, including repetitions.</summary>
    public long Executed { get; private set; }

    /// <summary>What the first engine's guest wrote to its console.</summary>
    public string Console { get; private set; } = "";

    /// <summary>Why the guest ended, if it did.</summary>
    public StopReason StopReason { get; private set; } = StopReason.None;

    /// <summary>Runs until the guest stops, the count is reached or the engines differ; null if they do not.</summary>
    /// <param name="instructions">At most so many.</param>
    /// <param name="stride">Instructions between two comparisons.</param>
    public LockstepDifference? Run(long instructions, long stride = 1_000_000)
    {
        long agreed = 0;
        LockstepDifference? found = null;
        while (true)
        {
            LockstepDifference? difference = RunOnce(agreed, instructions, stride);
            // A difference that goes away when looked at more closely is still one.
            if (difference == null || stride == 1)
                return difference ?? found;
            found = difference;
            agreed = difference.Retired;
            instructions = agreed + stride;
            stride = Math.Max(1, stride / Narrowing);
        }
    }

    private LockstepDifference? RunOnce(long start, long end, long stride)
    {
        using var a = new VirtualMachine(configuration with { Engine = first });
        using var b = new VirtualMachine(configuration with { Engine = second });
        a.Step(start);
        b.Step(start);
        while (true)
        {
            long at = a.InstructionsRetired;
            ulong instruction = a.Inspect(MachineComparison.LinearRip);
            if (a.State == MachineState.Stopped || at >= end)
            {
                Console = a.Console.ToString();
                StopReason = a.StopReason;
                return null;
            }
            a.Step(stride);
            b.Step(stride);
            Executed += stride;
            IReadOnlyList<(string, string, string)> differences = a.Inspect(x => b.Inspect(y => MachineComparison.Compare(x, y)));
            if (differences.Count > 0)
                return new LockstepDifference(at, instruction, differences);
            if (a.InstructionsRetired == at && a.State != MachineState.Stopped)
                return null;
        }
    }
}
