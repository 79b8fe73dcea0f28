using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>What HardwareAssist cannot have is refused by name.</summary>
public sealed class HardwareAssistConfigurationTests
{
    private static readonly MachineConfiguration s_machine = new() { Name = "refused", MemorySize = 4 << 20, Engine = EngineKind.HardwareAssist };

    private static string Refusal(MachineConfiguration configuration) => Assert.Throws<MachineException>(() => new VirtualMachine(configuration)).ErrorId;

    [Fact]
    public void PagingThatIsNotAMonitors() => Assert.Equal("InvalidPaging", Refusal(s_machine with { Paging = PagingKind.Walk }));

    [Fact]
    public void NestedPagingOfAnotherEngine() => Assert.Equal("InvalidPaging", Refusal(s_machine with { Engine = EngineKind.DecodedCache, Paging = PagingKind.Nested }));

    [Fact]
    public void NestedPagingOfTheFirstGeneration()
        => Assert.Equal("NoNestedPaging", Refusal(s_machine with { Paging = PagingKind.Nested, Generation = ProcessorGeneration.FirstGeneration }));

    [Fact]
    public void AGenerationThatThereIsNot() => Assert.Equal("InvalidGeneration", Refusal(s_machine with { Generation = (ProcessorGeneration)9 }));

    [Fact]
    public void ItselfAsSilicon() => Assert.Equal("InvalidSilicon", Refusal(s_machine with { Silicon = EngineKind.HardwareAssist }));
}
