using System.Globalization;
using System.Text;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Privileged;

/// <summary>
/// Runs <see cref="PrivilegedCases"/> on every engine and on QEMU, and compares the reports line by line. Lines may differ only where
/// reviewed.txt says why.
/// </summary>
public class PrivilegedComparisonTests
{
    // As many as fit below the tables.
    private const int CasesInImage = 2500;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly Lazy<PrivilegedCase[][]> Images = new(() => [.. PrivilegedCases.All().Chunk(CasesInImage)]);
    private static readonly Lazy<string[]> Here = new(() => Run("Interpreter"));

    /// <summary>A folder that reports are written to, for people who look into a difference.</summary>
    private static readonly string? Output = Environment.GetEnvironmentVariable("X86VIRT_PRIVILEGED_OUTPUT");

    [Theory, InlineData("DecodedCache"), InlineData("BinaryTranslation"), InlineData("HardwareAssist, first generation")]
    public void EveryEngineReportsTheSame(string engine) => Assert.Empty(Differences(Here.Value, Run(engine), reviewed: []));

    [QemuFact]
    public void QemuReportsTheSame()
    {
        string[] report = [.. Images.Value.SelectMany(cases => Lines(Qemu.Run(PrivilegedGuest.Build(cases).Image, Limit, "-cpu", "max")))];
        Write("Qemu", report);
        Assert.Empty(Differences(Here.Value, report, ReviewedDifferences.Read("Privileged", "reviewed.txt")));
    }

    [Fact]
    public void CasesHaveDifferentNames()
    {
        string[] names = [.. Images.Value.SelectMany(i => i).Select(c => c.Name)];
        Assert.Equal(names.Length, names.Distinct().Count());
    }

    private static string[] Run(string engine)
    {
        string[] report = [.. Images.Value.SelectMany(cases => RunHere(cases, BareCpu.SystemEngines[engine]))];
        Write(engine, report);
        return report;
    }

    private static void Write(string name, string[] report)
    {
        if (Output != null)
            File.WriteAllLines(Path.Combine(Output, name), report.Zip(Images.Value.SelectMany(i => i), (line, c) => $"{c.Name}: {line}"));
    }

    private static unsafe string[] RunHere(PrivilegedCase[] cases, Func<Cpu, ExecutionEngine> engine)
    {
        (byte[] image, uint entry) = PrivilegedGuest.Build(cases);
        using var cpu = new BareCpu(32, engine, ramSize: 4 << 20);
        var output = new StringBuilder();
        cpu.Bus.Written = (port, value) =>
        {
            if (port == 0xE9)
                output.Append((char)(byte)value);
        };
        cpu.Memory.Write(PrivilegedGuest.Base, image);
        cpu.State->Rip = entry;
        cpu.Cpu.SetDeadline(long.MaxValue / 2);
        // A case that faults for ever retires nothing, so that no deadline would end it.
        using (new Timer(_ => cpu.Cpu.RequestAttention(Attention.Stop), null, Limit, Timeout.InfiniteTimeSpan))
            cpu.Continue();
        string[] lines = Lines(output.ToString());
        Assert.True(lines.Length == cases.Length,
            $"Stopped in case \"{cases[Math.Min(lines.Length, cases.Length - 1)].Name}\": {string.Join("; ", cpu.Cpu.ExceptionHistory.ToList())}");
        return lines;
    }

    // The number of the case comes first in a line; the firmware may have printed before.
    private static string[] Lines(string output)
        => [.. output.Split('\n').Where(line => line.Length > 100).Select(line => line[^(line.Length % 9 == 0 ? line.Length : line.Length / 9 * 9)..])];

    private static List<string> Differences(string[] ours, string[] theirs, IReadOnlyList<ReviewedDifference> reviewed)
    {
        PrivilegedCase[] cases = [.. Images.Value.SelectMany(i => i)];
        Assert.Equal(cases.Length, theirs.Length);
        var differences = new List<string>();
        for (int i = 0; i < cases.Length; i++)
        {
            string a = Comparable(ours[i]), b = Comparable(theirs[i]);
            if (a != b && !reviewed.Any(r => r.Covers(cases[i].Name)))
                differences.Add($"{cases[i].Name}\n  {a}\n  {b}\n");
        }
        return differences;
    }

    /// <summary>
    /// Leaves out what QEMU is known to do otherwise everywhere: RF in pushed flags, which it never sets, and accessed bits of tables on the
    /// way to a page fault, which it sets.
    /// </summary>
    private static string Comparable(string line)
    {
        uint[] words = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(w => uint.Parse(w, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
        const uint PageFault = (uint)Vector.PageFault, DoubleFaultTask = GuestTables.DoneVector + (uint)Vector.DoubleFault;
        // The number of the case, the vector; then the frame, at the most error code to GS.
        for (int i = 2; i < 12; i++)
            words[i] &= ~Flags.Rf;
        if (words[1] is PageFault or DoubleFaultTask)
            words[^3] = words[^4] = 0;
        return string.Join(' ', words.Skip(1).Select(w => w.ToString("x", CultureInfo.InvariantCulture)));
    }
}
