namespace X86Virt.Engine.Processor;

/// <summary>What a processor claims to be: CPUID and the limits that follow from it.</summary>
public sealed class ProcessorModel
{
    public int PhysicalAddressBits { get; init; } = 40;
    public bool HasGigabytePages { get; init; } = true;
    public bool HasLongMode { get; init; } = true;
}
