using System.Text;
using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Differential;
using Xunit;

namespace X86Virt.Engine.Tests.Vectors;

/// <summary>Every line of every file in Vectors, on every engine.</summary>
public unsafe class TextVectorTests
{
    /// <summary>The data lie where the recorder has them, so that pushed pointers are the same.</summary>
    private const ulong RamSize = CasePlace.Window + 0x10000;

    private const int MaximumPasses = 1000;

    private static readonly byte[] JumpToNext = [0xEB, 0];

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Vectors");

    public static TheoryData<string, string> FilesAndEngines()
    {
        var data = new TheoryData<string, string>();
        foreach (string path in Directory.EnumerateFiles(Folder, "*.txt").Order(StringComparer.Ordinal))
        {
            foreach (string engine in BareCpu.Engines.Keys)
                data.Add(Path.GetFileName(path), engine);
        }
        return data;
    }

    [Theory, MemberData(nameof(FilesAndEngines))]
    public void EveryLineEndsAsItSays(string file, string engine)
    {
        var wrong = new StringBuilder();
        var machines = new Dictionary<int, BareCpu>();
        int count = 0;
        foreach (string line in File.ReadLines(Path.Combine(Folder, file)))
        {
            if (line.Length == 0 || line[0] == '#')
                continue;
            count++;
            TextVector vector = TextVector.Parse(line);
            if (!machines.TryGetValue(vector.Mode, out BareCpu? cpu))
                machines.Add(vector.Mode, cpu = new BareCpu(vector.Mode, BareCpu.Engines[engine], RamSize));
            if (!HostExecutes(vector.Decode()))
                continue;
            if (Check(cpu, vector) is { } difference)
                wrong.AppendLine($"{line}\n    but {difference}");
        }
        foreach (BareCpu cpu in machines.Values)
            cpu.Dispose();
        Assert.True(count > 0, $"{file} has no vectors.");
        Assert.True(wrong.Length == 0, $"{file} on {engine}:\n{wrong}");
    }

    /// <summary>x87 and vector instructions are only there where the host has them.</summary>
    private static bool HostExecutes(in Instruction instruction) => HostFeatures.Needed(instruction.Code) is null or InstructionSets.None || HostFeatures.Executes(instruction.Code);

    private static string? Check(BareCpu cpu, TextVector vector)
    {
        string text = vector.Disassemble();
        if (text != vector.Text)
            return $"the bytes are {text}";
        var place = new CasePlace(vector.Mode, BareCpu.CodeAddress);
        var before = new CaseState(place);
        before.Assign(vector.Before);
        CaseState expected = before.Copy();
        expected.Rip = vector.Bytes.Length;
        expected.Assign(vector.After);
        CaseState actual = Execute(cpu, vector, before);
        return expected.Difference(actual, vector.Decode());
    }

    private static CaseState Execute(BareCpu cpu, TextVector vector, CaseState before)
    {
        cpu.Restart();
        CpuState* s = cpu.State;
        s->Cr0 = (s->Cr0 & ~(Cr0.Em | Cr0.Ts)) | Cr0.Ne | Cr0.Mp;
        s->Cr4 |= Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Osxsave;
        s->Xcr0 = HostFeatures.StateComponents;
        for (int i = 0; i < 16; i++)
            s->Gpr[i] = before.Gpr[i];
        s->StatusFlags = Flags.FromRflags(before.Flags);
        s->SystemFlags = (s->SystemFlags & ~Flags.Df) | (before.Flags & Flags.Df);
        fixed (byte* image = before.Image)
            XsaveImage.Load(s, image);
        cpu.Memory.Write(before.Place.Data, before.Memory);

        // A jump behind the instruction ends the block that it is in, so that there is something to translate.
        byte[] code = [.. vector.Bytes, .. JumpToNext];
        Instruction instruction = vector.Decode();
        bool alone = instruction.IsStringInstruction || instruction.FlowControl != FlowControl.Next;
        int passes = 0;
        do
        {
            cpu.Run(code, alone ? 1 : 2);
        }
        while (s->Rip == BareCpu.CodeAddress && cpu.FirstFault == null && ++passes < MaximumPasses);

        CaseState after = before.Copy();
        if (cpu.Cpu.ExceptionHistory.ToList() is [var first, ..])
            after.Fault = CaseState.NameFault(first.Vector, first.ErrorCode);
        for (int i = 0; i < 16; i++)
            after.Gpr[i] = s->Gpr[i];
        after.Flags = (uint)(Flags.Rflags(s) & (Flags.RflagsStatus | Flags.Df));
        after.SetRip(alone ? s->Rip : s->Rip - (ulong)JumpToNext.Length);
        fixed (byte* image = after.Image)
            XsaveImage.Store(s, image);
        new ReadOnlySpan<byte>(cpu.Memory.Block + before.Place.Data, CasePlace.DataSize).CopyTo(after.Memory);
        return after;
    }
}
