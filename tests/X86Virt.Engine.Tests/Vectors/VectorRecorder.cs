using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Differential;
using Xunit;

namespace X86Virt.Engine.Tests.Vectors;

/// <summary>
/// Fills in vector files from the host processor: set X86VIRT_RECORD_VECTORS to the folder that has them. Disassembly and result of
/// every line are written anew; mode, bytes and the state before are its author's.
/// </summary>
public unsafe class VectorRecorder
{
    [RecorderFact]
    public void RecordFromTheHost()
    {
        using HostOracle oracle = HostOracle.Start(1);
        oracle.Memory.Clear();
        foreach (string path in Directory.EnumerateFiles(RecorderFactAttribute.Folder!, "*.txt"))
            File.WriteAllLines(path, [.. File.ReadAllLines(path).Select(line => line.Length == 0 || line[0] == '#' ? line : Record(oracle, line))]);
    }

    private static string Record(HostOracle oracle, string line)
    {
        TextVector vector = TextVector.Parse(line);
        ulong code = 0x800 + (vector.Mode == 16 ? 0 : OracleLayout.Code);
        var before = new CaseState(new CasePlace(vector.Mode, code));
        before.Assign(vector.Before);
        before.Memory.CopyTo(oracle.Memory);

        OracleCase* c = oracle.Case(0);
        c->Mode = (byte)vector.Mode;
        c->VectorState = 1;
        c->CodeOffset = 0x800;
        c->Length = (byte)vector.Bytes.Length;
        for (int i = 0; i < vector.Bytes.Length; i++)
            c->Bytes[i] = vector.Bytes[i];
        for (int i = 0; i < 16; i++)
            c->Gpr[i] = before.Gpr[i];
        c->Flags = 0x202 | before.Flags;
        before.Image.CopyTo(new Span<byte>(oracle.VectorState(0), XsaveImage.Size));
        oracle.Run(1);

        CaseState after = before.Copy();
        Outcome* outcome = &c->Outcome;
        Instruction instruction = vector.Decode();
        if (outcome->Fault == (uint)Vector.PageFault)
            throw new InvalidOperationException($"'{line}' has an operand outside its data: #PF at {outcome->Address:X}.");
        if (outcome->Fault != OracleLayout.NoFault)
            after.Fault = CaseState.NameFault((Vector)outcome->Fault, HasErrorCode((Vector)outcome->Fault) ? outcome->ErrorCode : null);
        for (int i = 0; i < 16; i++)
            after.Gpr[i] = outcome->Gpr[i];
        after.Flags = (uint)(outcome->Flags & (Flags.RflagsStatus | Flags.Df));
        after.Ignored = DifferentialRun.FlagsOf(instruction.RflagsUndefined);
        after.SetRip(outcome->Rip);
        new ReadOnlySpan<byte>(oracle.VectorState(0) + OracleLayout.VectorOutput, XsaveImage.Size).CopyTo(after.Image);
        if (outcome->ChangeCount > OracleCase.MaxChanges)
            throw new InvalidOperationException($"'{line}' changes more than {OracleCase.MaxChanges} quadwords.");
        for (int i = 0; i < (int)outcome->ChangeCount; i++)
            BitConverter.TryWriteBytes(after.Memory.AsSpan((int)outcome->Changes[i * 2]), outcome->Changes[i * 2 + 1]);
        return vector.Format(after.Describe(before, instruction));
    }

    private static bool HasErrorCode(Vector vector) => vector is Vector.GeneralProtection or Vector.StackFault or Vector.AlignmentCheck;
}

/// <summary>Runs only when asked to.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RecorderFactAttribute : FactAttribute
{
    public static string? Folder => Environment.GetEnvironmentVariable("X86VIRT_RECORD_VECTORS");

    public RecorderFactAttribute()
        => Skip = string.IsNullOrEmpty(Folder) ? "X86VIRT_RECORD_VECTORS names no folder to record into." : HostOracle.LegacyUnavailable;
}
