using System.Globalization;
using Iced.Intel;

namespace X86Virt.Engine.Tests.Vectors;

/// <summary>
/// One line of a vector file: <c>mode | bytes | disassembly | before | after</c>. Registers not named are 0 before (rSP: <c>stack</c>), and
/// unchanged after; so is memory. <see cref="CaseState.Assign(string)"/> has the notation.
/// </summary>
internal sealed class TextVector
{
    private TextVector(int mode, byte[] bytes, string text, string before, string after)
        => (Mode, Bytes, Text, Before, After) = (mode, bytes, text, before, after);

    public int Mode { get; }
    public byte[] Bytes { get; }
    public string Text { get; }
    public string Before { get; }
    public string After { get; }

    public static TextVector Parse(string line)
    {
        string[] columns = line.Split('|', StringSplitOptions.TrimEntries);
        if (columns.Length != 5)
            throw new FormatException($"'{line}' is not 'mode | bytes | disassembly | before | after'.");
        return new TextVector(int.Parse(columns[0], CultureInfo.InvariantCulture), Convert.FromHexString(columns[1]), columns[2], columns[3], columns[4]);
    }

    public Instruction Decode(ulong address = 0)
    {
        Decoder decoder = Decoder.Create(Mode, Bytes, address, DecoderOptions.AMD);
        decoder.Decode(out Instruction instruction);
        return instruction;
    }

    /// <summary>Branch targets are relative to the instruction.</summary>
    public string Disassemble()
    {
        var formatter = new NasmFormatter();
        formatter.Options.SpaceAfterOperandSeparator = true;
        formatter.Options.BranchLeadingZeros = false;
        var output = new StringOutput();
        formatter.Format(Decode(), output);
        return output.ToString();
    }

    public string Format(string after) => $"{Mode} | {Convert.ToHexString(Bytes)} | {Disassemble()} | {Before} | {after}";
}
