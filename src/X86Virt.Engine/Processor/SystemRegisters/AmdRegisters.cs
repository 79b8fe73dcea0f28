namespace X86Virt.Engine.Processor;

/// <summary>
/// Registers of AMD's processors that kernels read, and set bits of, when they start: system, hardware, north bridge and core
/// configuration. What is written is kept; there is nothing in this processor for them to configure.
/// </summary>
internal static unsafe class AmdRegisters
{
    private const uint SystemConfiguration = 0xC001_0010, HardwareConfiguration = 0xC001_0015, TopMemory = 0xC001_001A, TopMemory2 = 0xC001_001D,
        NorthBridgeConfiguration = 0xC001_001F, InterruptPendingMessage = 0xC001_0055, MmioConfigurationBase = 0xC001_0058, VmControl = 0xC001_0114,
        FirstCoreConfiguration = 0xC001_1020, FirstPerformance = 0xC001_0000, LastPerformance = 0xC001_0007;

    private const int DecodeConfiguration = 9;
    private const ulong LfenceSerializes = 2;

    /// <summary>HWCR: the time-stamp counter runs at the frequency of P-state 0.</summary>
    private const ulong TscFrequencySelect = 1 << 24;

    public static void Reset(Cpu cpu)
    {
        cpu.State->Hwcr = cpu.Model.Has(ProcessorFeature.InvariantTsc) ? TscFrequencySelect : 0;
        cpu.State->CoreConfiguration[DecodeConfiguration] = LfenceSerializes;
    }

    public static bool TryRead(CpuState* s, uint index, out ulong value)
    {
        ulong* register = Find(s, index);
        value = register == null ? 0 : *register;
        return register != null || IsZero(index);
    }

    public static bool TryWrite(CpuState* s, uint index, ulong value)
    {
        ulong* register = Find(s, index);
        if (register != null)
            *register = value;
        return register != null || IsZero(index);
    }

    private static ulong* Find(CpuState* s, uint index) => index switch
    {
        SystemConfiguration => &s->SysCfg,
        HardwareConfiguration => &s->Hwcr,
        TopMemory => &s->TopMemory,
        TopMemory2 => &s->TopMemory2,
        NorthBridgeConfiguration => &s->NorthBridgeConfiguration,
        >= FirstCoreConfiguration and < FirstCoreConfiguration + CpuState.CoreConfigurations => s->CoreConfiguration + (index - FirstCoreConfiguration),
        _ => null,
    };

    /// <summary>Of things that are not there and cannot be switched on: software writes 0 to performance counters without asking for them, as all of AMD's processors have some.</summary>
    private static bool IsZero(uint index) => index is (>= FirstPerformance and <= LastPerformance) or InterruptPendingMessage or MmioConfigurationBase or VmControl;
}
