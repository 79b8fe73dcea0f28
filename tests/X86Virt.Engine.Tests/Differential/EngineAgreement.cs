using System.Text;
using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>The engines run the same random blocks from the same state and must leave the same state, faults in the middle included.</summary>
public unsafe class EngineAgreement
{
    private static int Blocks => int.TryParse(Environment.GetEnvironmentVariable("X86VIRT_FUZZ_BLOCKS"), out int blocks) ? blocks : 3000;

    [Theory]
    [InlineData(64, "DecodedCache")]
    [InlineData(64, "BinaryTranslation")]
    [InlineData(32, "DecodedCache")]
    [InlineData(32, "BinaryTranslation")]
    [InlineData(16, "DecodedCache")]
    [InlineData(16, "BinaryTranslation")]
    public void RandomBlocksLeaveTheStateThatTheInterpreterLeaves(int bitness, string engine)
    {
        using var reference = new BareCpu(bitness, BareCpu.Engines["Interpreter"]);
        using var tested = new BareCpu(bitness, BareCpu.Engines[engine]);
        for (int seed = 0; seed < Blocks; seed++)
        {
            var random = new RandomCode(seed, bitness);
            byte[] code = random.Block(1 + seed % 12);
            ulong[] registers = new ulong[16];
            for (int i = 0; i < (bitness == 64 ? 16 : 8); i++)
                registers[i] = bitness == 64 ? random.Register() : (uint)random.Register();
            uint flags = (uint)random.Register() & (uint)Flags.RflagsStatus;
            string expected = Run(reference, code, registers, flags, seed);
            string actual = Run(tested, code, registers, flags, seed);
            if (expected != actual)
                Assert.Fail($"seed {seed}, {bitness}-bit\n{Disassemble(code, bitness)}\ninterpreter: {expected}\n{engine}: {actual}\nbefore: {string.Join(' ', registers.Select(r => r.ToString("x")))}");
        }
    }

    private static string Run(BareCpu cpu, byte[] code, ulong[] registers, uint flags, int seed)
    {
        cpu.Restart();
        cpu.Fill(seed);
        for (int i = 0; i < 16; i++)
            cpu.State->Gpr[i] = registers[i];
        cpu.State->StatusFlags = Flags.FromRflags(flags);
        long before = cpu.State->Retired;
        cpu.Run(code, 1 + seed % 12);
        var text = new StringBuilder();
        for (int i = 0; i < 16; i++)
            text.Append(cpu.State->Gpr[i].ToString("x")).Append(' ');
        text.Append($"rip {cpu.State->Rip:x} flags {Flags.Rflags(cpu.State):x} retired {cpu.State->Retired - before} shutdown {cpu.Shutdown} memory {cpu.Checksum():x}");
        return text.ToString();
    }

    private static string Disassemble(byte[] code, int bitness)
    {
        var decoder = Iced.Intel.Decoder.Create(bitness, new ByteArrayCodeReader(code), BareCpu.CodeAddress, DecoderOptions.AMD);
        var text = new StringBuilder();
        while (decoder.IP < BareCpu.CodeAddress + (ulong)code.Length)
        {
            Instruction instruction = decoder.Decode();
            text.AppendLine($"{instruction.IP:x} {Convert.ToHexString(code, (int)(instruction.IP - BareCpu.CodeAddress), instruction.Length)} {instruction}");
        }
        return text.ToString();
    }
}
