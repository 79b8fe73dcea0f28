using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>A register or memory location that two machines do not agree about, values in hexadecimal.</summary>
public sealed record ValueDifference(string Name, string First, string Second);

/// <summary>Where two machines parted.</summary>
/// <param name="Retired">Instructions after which both still agreed; the next one makes the difference.</param>
/// <param name="Instruction">Linear address of that instruction.</param>
/// <param name="Text">That instruction, disassembled.</param>
/// <param name="Differences">What differs behind it: name, then the value on each.</param>
/// <param name="First">All registers of the first machine behind it.</param>
/// <param name="Second">All registers of the second machine behind it.</param>
public sealed record LockstepDifference(
    long Retired,
    ulong Instruction,
    string Text,
    IReadOnlyList<ValueDifference> Differences,
    IReadOnlyList<RegisterValue> First,
    IReadOnlyList<RegisterValue> Second);

/// <summary>
/// Runs two machines side by side, the same one on two engines usually, compares registers and memory at intervals, and finds the first instruction that they
/// execute differently: by running both again up to the last agreement and looking closer.
/// </summary>
public sealed class Lockstep(MachineConfiguration first, MachineConfiguration second)
{
    private const int Narrowing = 32;

    /// <summary>Instructions executed by each machine so far, including repetitions.</summary>
    public long Executed { get; private set; }

    /// <summary>Instructions that the guest had retired at the end.</summary>
    public long Retired { get; private set; }

    /// <summary>What the first machine's guest wrote to its console.</summary>
    public string Console { get; private set; } = "";

    /// <summary>Why the guest ended, if it did.</summary>
    public StopReason StopReason { get; private set; } = StopReason.None;

    /// <summary>Runs until the guest stops, the count is reached or the machines differ; null if they do not.</summary>
    /// <param name="instructions">At most so many.</param>
    /// <param name="stride">Instructions between two comparisons.</param>
    /// <param name="cancellation">Ends it with an exception between two comparisons.</param>
    public LockstepDifference? Run(long instructions, long stride = 1_000_000, CancellationToken cancellation = default)
    {
        long agreed = 0;
        LockstepDifference? found = null;
        while (true)
        {
            LockstepDifference? difference = RunOnce(agreed, instructions, stride, cancellation);
            // A difference that goes away when looked at more closely is still one.
            if (difference == null || stride == 1)
                return difference ?? found;
            found = difference;
            agreed = difference.Retired;
            instructions = agreed + stride;
            stride = Math.Max(1, stride / Narrowing);
        }
    }

    private LockstepDifference? RunOnce(long start, long end, long stride, CancellationToken cancellation)
    {
        using var a = new VirtualMachine(first);
        using var b = new VirtualMachine(second);
        a.Step(start);
        b.Step(start);
        // Steps are counted, too: an instruction that faults is one and retires nothing.
        for (long done = 0; ; done += stride)
        {
            long at = a.InstructionsRetired;
            ulong instruction = a.Inspect(MachineComparison.LinearRip);
            cancellation.ThrowIfCancellationRequested();
            if (a.State == MachineState.Stopped || at >= end || done >= end - start)
            {
                Retired = at;
                Console = a.Console.Read(0);
                StopReason = a.StopReason;
                return null;
            }
            string text = stride == 1 && a.Disassemble(null, 1) is [var next] ? next.Text : "";
            a.Step(stride);
            b.Step(stride);
            Executed += stride;
            IReadOnlyList<ValueDifference> differences = a.Inspect(x => b.Inspect(y => MachineComparison.Compare(x, y)));
            if (differences.Count > 0)
                return new LockstepDifference(at, instruction, text, differences, Registers(a), Registers(b));
            if (a.InstructionsRetired == at && a.State != MachineState.Stopped && a.Inspect(IsHalted))
                return null;
        }
    }

    private static unsafe bool IsHalted(Cpu cpu) => cpu.State->Halted;

    private static IReadOnlyList<RegisterValue> Registers(VirtualMachine machine) => machine.ReadRegisters((_, _, isPart) => !isPart);
}
