using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Refuses configurations that no machine can be made of.</summary>
internal static class ConfigurationCheck
{
    private const ulong MaximumMemory = 1UL << 38;
    private const long MinimumClockRate = 1_000_000, MaximumClockRate = 100_000_000_000;

    /// <exception cref="MachineException">Names the setting, its value and the remedy.</exception>
    public static void Validate(MachineConfiguration c)
    {
        if (string.IsNullOrWhiteSpace(c.Name))
            throw new MachineException("InvalidName", "The machine's name is empty. Give it one with -Name.");
        if (c.MemorySize < MachineConfiguration.MinimumMemory || c.MemorySize > MaximumMemory)
            throw new MachineException("InvalidMemory", $"A machine cannot have {c.MemorySize} bytes of memory. Give it between 1 MiB and 256 GiB with -Memory, such as 256MB.");
        if ((c.MemorySize & 0xFFF) != 0)
            throw new MachineException("InvalidMemory", $"Memory of {c.MemorySize} bytes is not made of whole pages. Give -Memory a multiple of 4096.");
        if (c.ClockRate is < MinimumClockRate or > MaximumClockRate)
            throw new MachineException("InvalidClockRate", $"A clock rate of {c.ClockRate} Hz is out of range. Give -ClockRate between 1000000 and 100000000000.");
        if (!Enum.IsDefined(c.Engine))
            throw new MachineException("InvalidEngine", $"There is no engine {c.Engine}. Choose one of {string.Join(", ", Enum.GetNames<EngineKind>())}.");
        TranslationOptions t = c.Translation;
        if (t.CacheSize is < TranslationOptions.SmallestCacheSize or > TranslationOptions.LargestCacheSize)
            throw new MachineException("InvalidTranslationCacheSize", $"A translation cache of {t.CacheSize} bytes is out of range. Give -TranslationCacheSize between {TranslationOptions.SmallestCacheSize >> 10}KB and {TranslationOptions.LargestCacheSize >> 20}MB.");
        if (t.UnitLimit is < 1 or > TranslationOptions.LargestUnitLimit)
            throw new MachineException("InvalidTranslationUnitLimit", $"A translation unit of {t.UnitLimit} instructions is out of range. Give -TranslationUnitLimit between 1 and {TranslationOptions.LargestUnitLimit}.");
        if (c.Paging is { } paging && !Enum.IsDefined(paging))
            throw new MachineException("InvalidPaging", $"There is no paging {paging}. Choose one of {string.Join(", ", Enum.GetNames<PagingKind>())}.");
        if (c.Paging == PagingKind.Nested && !c.HasMonitor)
            throw new MachineException("InvalidPaging", $"{c.Engine} has no nested paging. Give -Paging Nested with -Engine HardwareAssist, or Walk or Shadow.");
        if (c.HasMonitor)
            ValidateHardwareAssist(c);
        if (c.ShadowTableLimit is < ShadowPaging.FewestTables or > ShadowPaging.MostTables)
            throw new MachineException("InvalidShadowTableLimit", $"A limit of {c.ShadowTableLimit} shadow tables is out of range. Give -ShadowTableLimit between {ShadowPaging.FewestTables} and {ShadowPaging.MostTables}.");
        if (c.Kernel != null && c.FlatBinary != null)
            throw new MachineException("InvalidImage", $"Both the kernel '{c.Kernel}' and the flat binary '{c.FlatBinary}' are given. Give one of -Kernel and -FlatBinary.");
        if (c.Firmware != null && c.FlatBinary != null)
            throw new MachineException("InvalidImage", $"Both the firmware '{c.Firmware}' and the flat binary '{c.FlatBinary}' are given. Give one of -Firmware and -FlatBinary.");
        if (c.FirmwareItems.Keys.FirstOrDefault(name => !FirmwareConfiguration.IsFileName(name)) is { } bad)
            throw new MachineException("InvalidFirmwareItem", $"'{bad}' cannot name a firmware item. Give -FirmwareItem names of 1 to {FirmwareConfiguration.MaximumNameLength} ASCII characters, such as 'opt/name'.");
        if (c.FirmwareItems.Count > FirmwareItems.MaximumOwn)
            throw new MachineException("InvalidFirmwareItem", $"{c.FirmwareItems.Count} firmware items are given. Give -FirmwareItem {FirmwareItems.MaximumOwn} at most.");
        if (c.Kernel == null && c.InitialRamDisk != null)
            throw new MachineException("InvalidImage", $"The initial RAM disk '{c.InitialRamDisk}' has no kernel to go with. Add -Kernel.");
        if (c.Kernel == null && c.Modules.Count > 0)
            throw new MachineException("InvalidImage", $"The module '{c.Modules[0].Path}' has no kernel to go with. Add -Kernel.");
        if (c.Kernel == null && c.FlatBinary == null && (c.LoadAddress ?? c.EntryPoint) is { } address)
            throw new MachineException("InvalidImage", $"There is nothing to load at 0x{address:x}. Add -FlatBinary.");
    }

    private static void ValidateHardwareAssist(MachineConfiguration c)
    {
        if (!Enum.IsDefined(c.Generation))
            throw new MachineException("InvalidGeneration", $"There is no processor generation {c.Generation}. Choose one of {string.Join(", ", Enum.GetNames<ProcessorGeneration>())}.");
        if (c.Paging == PagingKind.Nested && !SvmCapabilities.Of(c.Generation).Has(SvmFeatures.NestedPaging))
            throw new MachineException("NoNestedPaging", $"Processors of the generation {c.Generation} have no nested paging. Give -Paging Shadow, or -Generation NestedPaging or Current.");
        if (c.Paging == PagingKind.Walk)
            throw new MachineException("InvalidPaging", $"{c.Engine} cannot leave the guest's page tables to the silicon alone. Give -Paging Nested or Shadow.");
        if (!Enum.IsDefined(c.Silicon) || c.Silicon is EngineKind.HardwareAssist or EngineKind.Hybrid)
            throw new MachineException("InvalidSilicon", $"There is no silicon that {c.Silicon} executes. Choose one of Interpreter, DecodedCache, BinaryTranslation.");
    }
}
