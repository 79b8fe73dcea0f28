using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>How instructions are written.</summary>
public enum DisassemblySyntax
{
    /// <summary>As in Intel's and AMD's manuals.</summary>
    Intel,

    /// <summary>AT&amp;T, as the GNU tools write it.</summary>
    Att,
    Nasm,
    Masm,
}

/// <summary>An instruction in guest memory.</summary>
/// <param name="Address">Linear address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Bytes">The encoding in hexadecimal.</param>
/// <param name="Text">The instruction; "(bad)" if the bytes are none.</param>
/// <param name="IsNext">RIP points at it.</param>
public sealed record DisassembledInstruction(ulong Address, int Length, string Bytes, string Text, bool IsNext);

/// <summary>Guest code as text.</summary>
public static unsafe class Disassembler
{
    private const int MaximumLength = 15;

    /// <summary>The operand size that code executes with now: 16, 32 or 64.</summary>
    public static int BitnessOf(Cpu cpu) => (cpu.State->Mode & CodeMode.SizeMask) switch
    {
        CodeMode.Code64 => 64,
        CodeMode.Code32 => 32,
        _ => 16,
    };

    /// <summary>
    /// Disassembles <paramref name="count"/> instructions, fewer where memory ends; none if there is no memory at the address.
    /// </summary>
    /// <param name="cpu">The processor whose page tables and mode apply.</param>
    /// <param name="address">Linear address of the first.</param>
    /// <param name="count">How many at most.</param>
    /// <param name="syntax">How to write them.</param>
    /// <param name="bitness">16, 32 or 64; 0 for the processor's present mode.</param>
    public static IReadOnlyList<DisassembledInstruction> Disassemble(Cpu cpu, ulong address, int count, DisassemblySyntax syntax, int bitness = 0)
    {
        if (bitness == 0)
            bitness = BitnessOf(cpu);
        Formatter formatter = FormatterOf(syntax);
        var output = new StringOutput();
        var result = new List<DisassembledInstruction>();
        byte[] code = new byte[MaximumLength];
        var reader = new ByteArrayCodeReader(code);
        ulong next = cpu.LinearRip;

        // Branch targets are offsets in the code segment, as RIP is.
        ulong codeBase = bitness == 64 ? 0 : CpuState.Seg(cpu.State, Segment.Cs)->Base;
        var decoder = Decoder.Create(bitness, reader, DecoderOptions.AMD);
        while (result.Count < count)
        {
            int available = GuestMemory.ReadSome(cpu, address, code);
            if (available == 0)
                break;
            reader.Position = 0;
            decoder.IP = bitness == 16 ? (ushort)(address - codeBase) : bitness == 32 ? (uint)(address - codeBase) : address;
            decoder.Decode(out Instruction instruction);
            bool good = instruction.Code != Code.INVALID && instruction.Length <= available;
            if (good)
                formatter.Format(instruction, output);
            int length = good ? instruction.Length : 1;
            string text = good ? output.ToStringAndReset() : "(bad)";
            result.Add(new DisassembledInstruction(address, length, Convert.ToHexStringLower(code, 0, length), text, address == next));
            address += (ulong)length;
            if (bitness != 64)
                address = (uint)address;
        }
        return result;
    }

    /// <summary>The instruction at a linear address; empty if there is no memory.</summary>
    public static string TextAt(Cpu cpu, ulong address, DisassemblySyntax syntax)
    {
        IReadOnlyList<DisassembledInstruction> one = Disassemble(cpu, address, 1, syntax);
        return one.Count == 0 ? "" : one[0].Text;
    }

    /// <summary>The instruction that bytes are, at an offset in its code segment; empty if they are none or not all of one.</summary>
    public static string Text(ReadOnlySpan<byte> code, int bitness, ulong rip, DisassemblySyntax syntax)
    {
        var decoder = Decoder.Create(bitness, new ByteArrayCodeReader(code.ToArray()), DecoderOptions.AMD);
        decoder.IP = rip;
        decoder.Decode(out Instruction instruction);
        if (instruction.Code == Code.INVALID)
            return "";
        var output = new StringOutput();
        FormatterOf(syntax).Format(instruction, output);
        return output.ToString();
    }

    private static Formatter FormatterOf(DisassemblySyntax syntax)
    {
        Formatter formatter = syntax switch
        {
            DisassemblySyntax.Att => new GasFormatter(),
            DisassemblySyntax.Nasm => new NasmFormatter(),
            DisassemblySyntax.Masm => new MasmFormatter(),
            _ => new IntelFormatter(),
        };
        FormatterOptions options = formatter.Options;
        options.UppercaseHex = false;
        options.BranchLeadingZeros = false;
        options.SpaceAfterOperandSeparator = true;
        if (syntax != DisassemblySyntax.Masm)
        {
            options.HexPrefix = "0x";
            options.HexSuffix = null;
        }
        return formatter;
    }
}
