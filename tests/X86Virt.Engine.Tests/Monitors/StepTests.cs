using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>A step is one instruction, whatever a monitor has to do for it.</summary>
public sealed unsafe class StepTests
{
    /// <summary>Pages that the monitor has not mapped yet exit, and are no steps.</summary>
    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    public void AnInstructionThatTouchesANewPageIsOneStep(int bitness) => SystemBench.OnEveryEngine(bitness, cpu =>
    {
        const int Pages = 8;
        cpu.Memory.Write(BareCpu.CodeAddress, BareCpu.Assemble(bitness, a =>
        {
            for (int page = 0; page < Pages; page++)
                a.mov(__dword_ptr[0x20_000 + page * 0x1000], page + 1);
        }));
        for (int step = 1; step <= Pages; step++)
        {
            Assert.True(cpu.Engine.Step());
            Assert.Equal(step, cpu.State->Retired);
            Assert.Equal((uint)step, cpu.Memory.Read<uint>(0x1F_000 + (ulong)step * 0x1000));
        }
    });
}
