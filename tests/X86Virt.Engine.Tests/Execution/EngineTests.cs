using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Execution;

public unsafe class EngineTests
{
    [Theory]
    [InlineData("Interpreter")]
    [InlineData("DecodedCache")]
    [InlineData("BinaryTranslation")]
    public void LoopRetiresTheInstructionsItExecutes(string engine)
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            var loop = a.CreateLabel();
            a.xor(eax, eax);
            a.mov(ecx, 1000);
            a.Label(ref loop);
            a.add(rax, rcx);
            a.dec(ecx);
            a.jnz(loop);
            a.mov(__qword_ptr[0x8000], rax);
        });
        using var cpu = new BareCpu(64, BareCpu.Engines[engine]);
        cpu.Run(code, 3 + 3000);

        Assert.Equal(500500UL, cpu.State->Rax);
        Assert.Equal(500500UL, cpu.Memory.Read<ulong>(0x8000));
        Assert.Equal(3003, cpu.State->Retired);
        Assert.Equal(BareCpu.CodeAddress + (ulong)code.Length, cpu.State->Rip);
    }

    [Theory]
    [InlineData("Interpreter")]
    [InlineData("DecodedCache")]
    [InlineData("BinaryTranslation")]
    public void CodeThatRewritesItselfAheadRunsTheNewCode(string engine)
    {
        byte[] code = BareCpu.Assemble(64, a =>
        {
            var patched = a.CreateLabel();
            a.lea(rbx, __[patched]);
            a.mov(__byte_ptr[rbx + 1], 7);
            a.nop();
            a.Label(ref patched);
            a.mov(eax, 1);
            a.nop();
        });
        using var cpu = new BareCpu(64, BareCpu.Engines[engine]);
        cpu.Run(code, 5);

        Assert.Equal(7UL, cpu.State->Rax);
        Assert.Equal(5, cpu.State->Retired);
    }
}
