using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Translation;

/// <summary>
/// What guest code is translated to, compared with files that are kept: a change of code quality is seen without timing anything. To write the
/// files anew run the test with X86VIRT_UPDATE_GOLDEN=1, and look at what changed.
/// </summary>
public class GoldenTranslationTests
{
    private const string Update = "X86VIRT_UPDATE_GOLDEN";

    [GoldenFact]
    public void TranslationsAreThoseThatAreKept() => Compare("translations.txt", text =>
    {
        foreach ((string name, int bitness, Action<Iced.Intel.Assembler> write) in Snippets.Units)
        {
            text.Append(CultureInfo.InvariantCulture, $"# {name} ({bitness}-bit)\n");
            foreach (TranslationUnit unit in Translate(bitness, write))
            {
                text.Append(CultureInfo.InvariantCulture, $"unit {unit.Address:x}: {unit.HostBytes} bytes and {unit.ColdBytes} out of line\n");
                text.AppendJoin("", unit.Head.Select(line => $"    {line}\n"));
                foreach (TranslatedInstruction instruction in unit.Instructions)
                {
                    text.Append(CultureInfo.InvariantCulture, $"  {instruction.Text} ; {instruction.Kind}\n");
                    text.AppendJoin("", instruction.Host.Select(line => $"    {line}\n"));
                }
                text.AppendJoin("", unit.LinksOut.Select(link => $"  -> {link}\n"));
            }
            text.Append('\n');
        }
    });

    /// <summary>Host instructions in line for each guest instruction, its flags not wanted behind it.</summary>
    [GoldenFact]
    public void HostInstructionsForEachGuestInstructionAreAsManyAsAreKept() => Compare("host-instructions.txt", text =>
    {
        foreach (int bitness in (int[])[64, 32])
        {
            text.Append(CultureInfo.InvariantCulture, $"# {bitness}-bit code\n");
            int sum = 0, forms = 0;
            foreach (Action<Iced.Intel.Assembler> write in Snippets.Forms(bitness))
            {
                // Something that overwrites all flags stands behind, so that they are dead.
                TranslatedInstruction made = Translate(bitness, a => { write(a); a.cmp(Iced.Intel.AssemblerRegisters.esi, Iced.Intel.AssemblerRegisters.esi); })[0].Instructions[0];
                text.Append(CultureInfo.InvariantCulture, $"{made.Text,-40} {made.Kind,-9} {made.Host.Count,3}\n");
                sum += made.Host.Count;
                forms++;
            }
            text.Append(CultureInfo.InvariantCulture, $"all {forms}: {sum}\n\n");
        }
    });

    private static IReadOnlyList<TranslationUnit> Translate(int bitness, Action<Iced.Intel.Assembler> write)
    {
        using var cpu = new BareCpu(bitness, BareCpu.Engines["BinaryTranslation"]);
        byte[] code = BareCpu.Assemble(bitness, write);
        cpu.Run(code, 64);
        // Without its own end it may have run on into what is behind.
        return [.. ((BinaryTranslation)cpu.Engine).ReadUnits("").Where(u => u.Address - BareCpu.CodeAddress < (ulong)code.Length)];
    }

    private static void Compare(string file, Action<StringBuilder> write, [CallerFilePath] string source = "")
    {
        var text = new StringBuilder();
        write(text);
        string actual = text.ToString();
        string path = Path.Combine(Path.GetDirectoryName(source)!, file);
        if (Environment.GetEnvironmentVariable(Update) == "1")
            File.WriteAllText(path, actual);
        string[] expectedLines = File.ReadAllText(path).Split('\n'), actualLines = actual.Split('\n');
        for (int i = 0; i < Math.Max(expectedLines.Length, actualLines.Length); i++)
        {
            string expected = i < expectedLines.Length ? expectedLines[i] : "(end)", found = i < actualLines.Length ? actualLines[i] : "(end)";
            Assert.True(expected == found, $"{file}, line {i + 1}: '{found}' is not '{expected}'. If that is meant, run this test with {Update}=1 and look at the file.");
        }
    }

    /// <summary>Other hosts have other instructions to translate to.</summary>
    private sealed class GoldenFactAttribute : FactAttribute
    {
        public GoldenFactAttribute()
        {
            if (!Bmi2.IsSupported || !Avx.IsSupported)
                Skip = "The host has no BMI2 or no AVX: translations for it are not kept.";
        }
    }
}
