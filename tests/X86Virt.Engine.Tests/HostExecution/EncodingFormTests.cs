using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.HostExecution;

public unsafe class EncodingFormTests
{
    /// <summary>Every form of the host's instruction sets decodes, binds and executes in both engines; none is an invalid opcode.</summary>
    [Theory, InlineData(false), InlineData(true)]
    public void EveryFormOfTheHostsInstructionSetsExecutes(bool decodedCache)
    {
        int count = 0;
        using BareCpu cpu = HostExecution.Cpu(decodedCache);
        foreach ((Code code, bool memory, byte[] bytes) in EncodingForms.All(HostFeatures.Executes))
        {
            X87State.Initialize(cpu.State);
            // One of the forms is LDMXCSR.
            cpu.State->Mxcsr = 0x1F80;
            cpu.State->Rsi = HostExecution.Data;
            cpu.State->Rdi = HostExecution.Data;
            cpu.Run(bytes, 1);
            Assert.False(cpu.Shutdown, $"{code} ({(memory ? "memory" : "register")}, {Convert.ToHexString(bytes)}): {cpu.State->Exception.Vector}");
            Assert.Equal(BareCpu.CodeAddress + (ulong)bytes.Length, cpu.State->Rip);
            count++;
        }
        Assert.True(count > 1000, $"{count} forms");
    }

    [Fact]
    public void EveryFormHasASlotInTheHandlerTable()
    {
        var handlers = new HandlerTable(new ProcessorModel());
        var last = new Instruction { Code = Enum.GetValues<Code>().Max() };
        Op op;
        handlers.Bind(last, true, &op);
        Assert.NotEqual(0, (nint)op.Handler);
        handlers.Dispose();
    }
}
