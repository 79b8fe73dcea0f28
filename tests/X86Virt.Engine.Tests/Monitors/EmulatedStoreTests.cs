using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>What a monitor stores for its guest is memory like any other.</summary>
public sealed unsafe class EmulatedStoreTests
{
    private const int Function = 0x8000, Unclaimed = 0x1000_0000;

    /// <summary>MOVS reads where no memory answers, which is emulated; what it stores turns NOP; RET into INC EBX, once that was executed.</summary>
    [Fact]
    public void ChangedCodeIsExecutedAnew() => SystemBench.OnEveryEngine(32, cpu =>
    {
        cpu.Memory.Write(Function, (byte[])[0x90, 0xC3, 0xC3]);
        Assert.Null(cpu.Execute(32, a =>
        {
            foreach (int destination in (int[])[Function + 0x100, Function])
            {
                a.mov(esi, Unclaimed);
                a.mov(edi, destination);
                a.movsb();
                a.mov(eax, Function);
                a.call(eax);
            }
        }, 2 * 7));
        Assert.Equal(1UL, cpu.State->Rbx);
    });
}
