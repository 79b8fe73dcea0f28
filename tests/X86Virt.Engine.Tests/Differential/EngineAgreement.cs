using System.Text;
using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>The engines run the same random blocks from the same state and must leave the same state, faults in the middle included.</summary>
public unsafe class EngineAgreement
{
    private static int Blocks => int.TryParse(Environment.GetEnvironmentVariable("X86VIRT_FUZZ_BLOCKS"), out int blocks) ? blocks : 3000;

    public static TheoryData<int, string, bool> Cases()
    {
        var cases = new TheoryData<int, string, bool>();
        foreach (int bitness in (int[])[64, 32, 16])
        {
            foreach (string engine in (string[])["DecodedCache", "BinaryTranslation"])
            {
                cases.Add(bitness, engine, false);
                cases.Add(bitness, engine, true);
            }
        }
        return cases;
    }

    [Theory, MemberData(nameof(Cases))]
    public void RandomBlocksLeaveTheStateThatTheInterpreterLeaves(int bitness, string engine, bool units)
    {
        using var reference = new BareCpu(bitness, BareCpu.Engines["Interpreter"]);
        using var tested = new BareCpu(bitness, BareCpu.Engines[engine]);
        for (int seed = 0; seed < Blocks; seed++)
        {
            var random = new RandomCode(seed, bitness, units);
            byte[] code = random.Block(1 + seed % 12);
            ulong[] registers = new ulong[16];
            for (int i = 0; i < (bitness == 64 ? 16 : 8); i++)
                registers[i] = bitness == 64 ? random.Register() : (uint)random.Register();
            uint flags = (uint)random.Register() & (uint)Flags.RflagsStatus;
            string expected = Run(reference, code, registers, flags, seed, units);
            string actual = Run(tested, code, registers, flags, seed, units);
            if (expected != actual)
                Assert.Fail($"seed {seed}, {bitness}-bit\n{Disassemble(code, bitness)}\ninterpreter: {expected}\n{engine}: {actual}\nbefore: {string.Join(' ', registers.Select(r => r.ToString("x")))}");
        }
    }

    private static string Run(BareCpu cpu, byte[] code, ulong[] registers, uint flags, int seed, bool units)
    {
        cpu.Restart();
        cpu.Fill(seed);
        for (int i = 0; i < 16; i++)
            cpu.State->Gpr[i] = registers[i];
        cpu.State->StatusFlags = Flags.FromRflags(flags);
        if (units)
            EnableUnits(cpu, seed);
        long before = cpu.State->Retired;
        cpu.Run(code, 1 + seed % 12);
        var text = new StringBuilder();
        for (int i = 0; i < 16; i++)
            text.Append(cpu.State->Gpr[i].ToString("x")).Append(' ');
        text.Append($"rip {cpu.State->Rip:x} flags {Flags.Rflags(cpu.State):x} retired {cpu.State->Retired - before} shutdown {cpu.Shutdown} memory {cpu.Checksum():x}");
        if (units)
        {
            text.Append($" mxcsr {cpu.State->Mxcsr:x} x87 {Convert.ToHexString(new ReadOnlySpan<byte>(cpu.State->Fx, 32 + 8 * 16 + 4))}");
            text.Append($" vectors {Convert.ToHexString(new ReadOnlySpan<byte>(cpu.State->Vectors, 16 * CpuState.VectorSize))}");
        }
        return text.ToString();
    }

    private static void EnableUnits(BareCpu cpu, int seed)
    {
        CpuState* s = cpu.State;
        s->Cr4 |= Cr4.Osfxsr | Cr4.Osxsave;
        s->Xcr0 = 7;
        X87State.Initialize(s);
        // Now and then something is unmasked from the start.
        s->Mxcsr = seed % 16 == 0 ? 0x1F00u : 0x1F80;
        X87State.SetControl(s, (ushort)(seed % 16 == 1 ? 0x33F : 0x37F));
        var random = new Random(seed);
        random.NextBytes(new Span<byte>(s->Vectors, 16 * CpuState.VectorSize));
        for (int i = 0; i < 8; i++)
        {
            *(double*)(s->Vectors + i * CpuState.VectorSize) = random.NextDouble() * 1000 - 500;
            *(float*)(s->Vectors + i * CpuState.VectorSize + 8) = random.NextSingle() * 10;
        }
        ModeChange.Update(cpu.Cpu);
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
