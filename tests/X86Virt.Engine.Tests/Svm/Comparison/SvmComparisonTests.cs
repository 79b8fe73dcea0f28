using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Privileged;
using Xunit;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>
/// Runs <see cref="SvmCases"/> on every engine and on QEMU's emulation of SVM, and compares the reports value by value. They may differ only where
/// reviewed.txt says why.
/// </summary>
public class SvmComparisonTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20), LimitHere = TimeSpan.FromMinutes(5);

    /// <summary>Where a monitor without nested paging differs: it maps a page between two stores of an event's delivery, the first of which is into the GDT that the delivery goes by.</summary>
    private static readonly ReviewedDifference[] s_withShadow = [new(new Regex("^VMCB with bit 20 of CR4$"), "the frame of an exception overwrites the GDT")];

    private static readonly Lazy<SvmCase[]> Cases = new(() => [.. SvmCases.All()]);
    private static readonly Lazy<SvmCase[]> CasesOfQemu = new(() => [.. Cases.Value.Where(c => !c.EndsQemu)]);
    private static readonly Lazy<string[][]> Here = new(() => Run("Interpreter", Cases.Value));

    /// <summary>A folder that the image and reports are written to, for people who look into a difference.</summary>
    private static readonly string? Output = Environment.GetEnvironmentVariable("X86VIRT_SVM_OUTPUT");

    [Theory]
    [InlineData("DecodedCache", PagingKind.Walk)]
    [InlineData("BinaryTranslation", PagingKind.Walk)]
    [InlineData("BinaryTranslation", PagingKind.Shadow)]
    [InlineData("HardwareAssist, nested", null)]
    [InlineData("HardwareAssist, shadow", null)]
    [InlineData("HardwareAssist, first generation", null)]
    [InlineData("Hybrid, nested", null)]
    [InlineData("Hybrid, shadow", null)]
    public void EveryEngineReportsTheSame(string engine, PagingKind? paging)
        => Assert.Empty(Differences(Cases.Value, Here.Value, Run(engine, Cases.Value, paging), (_, value, _) => value, HasShadow(engine) ? s_withShadow : []));

    private static bool HasShadow(string engine) => engine is "HardwareAssist, shadow" or "HardwareAssist, first generation" or "Hybrid, shadow";

    [QemuFact]
    public void QemuReportsTheSame()
    {
        SvmCase[] cases = CasesOfQemu.Value;
        byte[] image = SvmImage.Build(cases).Image;
        string[][] report = Parse(Qemu.Run(image, Limit, "-cpu", "max"));
        Write("Qemu", cases, report);
        if (Output != null)
            File.WriteAllBytes(Path.Combine(Output, "image"), image);
        string[][] here = [.. Here.Value.Zip(Cases.Value).Where(p => !p.Second.EndsQemu).Select(p => p.First)];
        List<string> differences = Differences(cases, here, report, ComparableWithQemu, ReviewedDifferences.Read("Svm", "Comparison", "reviewed.txt"));
        if (Output != null)
            File.WriteAllLines(Path.Combine(Output, "Differences"), differences);
        Assert.Empty(differences);
    }

    [Fact]
    public void CasesHaveDifferentNames() => Assert.Equal(Cases.Value.Length, Cases.Value.Select(c => c.Name).Distinct().Count());

    /// <summary>
    /// What QEMU does otherwise everywhere: it has neither nRIP nor decode assists nor the address size and segment of string instructions, which its CPUID
    /// says; never sets RF; keeps notes of its own in EVENTINJ, and in EXITINTINFO while that is not valid; gives -1 as a number of 32 bits. Of a VMCB that is
    /// refused nothing else is defined, and neither is AF behind logical instructions.
    /// </summary>
    private static string ComparableWithQemu(string field, string value, SvmExitCode exit)
    {
        const ulong InvalidHalf = uint.MaxValue, StringDetails = 0x1F80, ResumeFlag = 1 << 16, AuxiliaryFlag = 1 << 4;
        ulong number = Convert.ToUInt64(value, 16);
        bool refused = (ulong)exit is InvalidHalf or ulong.MaxValue;
        number = field switch
        {
            "exit" when refused => InvalidHalf,
            _ when refused && !field.StartsWith("host ", StringComparison.Ordinal) => 0,
            "nrip" or "fetched" or "inject" => 0,
            "info1" when exit is < SvmExitCode.Exception0 or SvmExitCode.Cr0SelectiveWrite or SvmExitCode.Invlpg or SvmExitCode.SoftwareInterrupt => 0,
            "info1" when exit == SvmExitCode.Port => number & ~StringDetails,
            "intinfo" when (number & SvmWorld.Valid) == 0 => 0,
            "rflags" or "stack3" or "stack4" or "stack5" => number & ~(ResumeFlag | AuxiliaryFlag),
            _ => number,
        };
        return number.ToString("x", CultureInfo.InvariantCulture);
    }

    private static unsafe string[][] Run(string engine, SvmCase[] cases, PagingKind? paging = PagingKind.Walk)
    {
        (byte[] image, uint entry) = SvmImage.Build(cases);
        using var cpu = new BareCpu(32, BareCpu.SystemEngines[engine], ramSize: 4 << 20, ProcessorModel.Parse(null, ["Svm", "Monitor"]));
        // A monitor has chosen its own.
        if (paging is { } kind)
            cpu.Cpu.UsePaging(kind);
        var output = new StringBuilder();
        cpu.Bus.Written = (port, value) =>
        {
            if (port == 0xE9)
                output.Append((char)(byte)value);
        };
        cpu.Memory.Write(SvmImage.Base, image);
        cpu.State->Rip = entry;
        cpu.Cpu.SetDeadline(long.MaxValue / 2);
        // A guest that faults for ever retires nothing, so that no deadline would end it.
        using (new Timer(_ => cpu.Cpu.RequestAttention(Attention.Stop), null, LimitHere, Timeout.InfiniteTimeSpan))
            cpu.Continue();
        string[][] report = Parse(output.ToString());
        Write(engine, cases, report);
        Assert.True(report.Length == cases.Length,
            $"Stopped in \"{cases[Math.Min(report.Length, cases.Length - 1)].Name}\" at {cpu.State->Rip:x}: {string.Join("; ", cpu.Cpu.ExceptionHistory.ToList())}");
        return report;
    }

    // The firmware may have printed before.
    private static string[][] Parse(string output)
        => [.. output.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(values => values.Length >= SvmImage.Fields.Count)
            .Select(values => values[^SvmImage.Fields.Count..])];

    private static void Write(string name, SvmCase[] cases, string[][] report)
    {
        if (Output != null)
            File.WriteAllLines(Path.Combine(Output, name), report.Zip(cases, (values, c) => $"{c.Name}: {string.Join(' ', values.Zip(SvmImage.Fields, (v, f) => $"{f.Name}={v}"))}"));
    }

    private static List<string> Differences(SvmCase[] cases, string[][] ours, string[][] theirs, Func<string, string, SvmExitCode, string> comparable, IReadOnlyList<ReviewedDifference> reviewed)
    {
        Assert.Equal(cases.Length, theirs.Length);
        int exitField = SvmImage.Fields.Select((f, i) => (f, i)).First(p => p.f.Name == "exit").i;
        var differences = new List<string>();
        for (int i = 0; i < theirs.Length; i++)
        {
            string[] a = ours[i], b = theirs[i];
            SvmExitCode here = Exit(a[exitField]), there = Exit(b[exitField]);
            string difference = string.Concat(SvmImage.Fields.Select((f, j) => (f.Name, A: comparable(f.Name, a[j], here), B: comparable(f.Name, b[j], there))).Where(v => v.A != v.B)
                .Select(v => $"\n    {v.Name}: {v.A}, there {v.B}"));
            if (difference.Length != 0 && !reviewed.Any(r => r.Covers(cases[i].Name)))
                differences.Add($"{cases[i].Name}{difference}\n");
        }
        return differences;
    }

    private static SvmExitCode Exit(string value) => (SvmExitCode)Convert.ToUInt64(value, 16);
}
