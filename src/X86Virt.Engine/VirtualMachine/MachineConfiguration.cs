using X86Virt.Engine.Boot;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>A file that goes with a multiboot kernel.</summary>
/// <param name="Path">Path in the host's file system.</param>
/// <param name="Text">The string that the kernel finds with it.</param>
public sealed record MachineModule(string Path, string Text = "");

/// <summary>Everything that makes a machine; the same configuration makes the same machine.</summary>
public sealed record MachineConfiguration
{
    public const ulong MinimumMemory = 1 << 20;
    public const ulong DefaultMemory = 256UL << 20;

    public required string Name { get; init; }

    /// <summary>Bytes of RAM, whole pages, 1 MiB at least.</summary>
    public ulong MemorySize { get; init; } = DefaultMemory;
    /// <summary>BinaryTranslation unless given, on hosts that it runs on; DecodedCache on others.</summary>
    public EngineKind Engine { get; init; } = BinaryTranslation.IsSupported ? EngineKind.BinaryTranslation : EngineKind.DecodedCache;

    /// <summary>With <see cref="EngineKind.HardwareAssist"/>, the engine that executes the code of the virtual silicon.</summary>
    public EngineKind Silicon { get; init; } = BinaryTranslation.IsSupported ? EngineKind.BinaryTranslation : EngineKind.DecodedCache;

    /// <summary>With <see cref="EngineKind.HardwareAssist"/>, what the silicon has.</summary>
    public ProcessorGeneration Generation { get; init; } = ProcessorGeneration.Current;

    /// <summary>With <see cref="EngineKind.HardwareAssist"/>: having seen to an exit, the monitor goes on with instructions behind it that would exit, too.</summary>
    public bool ExitClustering { get; init; }

    /// <summary>What the TLB is refilled from; null for what suits the engine.</summary>
    public PagingKind? Paging { get; init; }

    /// <summary>With <see cref="EngineKind.Hybrid"/>, what events cost.</summary>
    public CostProfile CostProfile { get; init; } = CostProfiles.Pentium4;

    /// <summary>Whether a hypervisor is part of the engine, which needs memory of its own.</summary>
    internal bool HasMonitor => Engine is EngineKind.HardwareAssist or EngineKind.Hybrid;

    /// <summary>The paging of <see cref="EngineKind.HardwareAssist"/>, whether it was asked for or is what suits the silicon.</summary>
    internal PagingKind PagingOfMonitor
        => Paging ?? (Engine != EngineKind.Hybrid && SvmCapabilities.Of(Generation).Has(SvmFeatures.NestedPaging) ? PagingKind.Nested : PagingKind.Shadow);

    /// <summary>The most shadow page tables kept (<see cref="PagingKind.Shadow"/>).</summary>
    public int ShadowTableLimit { get; init; } = ShadowPaging.DefaultTables;

    /// <summary>A named processor model; null for the default.</summary>
    public string? ProcessorModel { get; init; }

    /// <summary>Feature switches on top of the model: "+avx2", "-sse4.2".</summary>
    public IReadOnlyList<string> Features { get; init; } = [];

    /// <summary>How <see cref="EngineKind.BinaryTranslation"/> works.</summary>
    public TranslationOptions Translation { get; init; } = new();
    public ClockKind Clock { get; init; } = ClockKind.Virtual;

    /// <summary>Instructions a second of guest time, and the TSC's frequency in Hz.</summary>
    public long ClockRate { get; init; } = 1_000_000_000;

    /// <summary>A Linux, multiboot or ELF image.</summary>
    public string? Kernel { get; init; }
    public string? InitialRamDisk { get; init; }
    public string CommandLine { get; init; } = "";

    /// <summary>Multiboot modules.</summary>
    public IReadOnlyList<MachineModule> Modules { get; init; } = [];

    /// <summary>Raw code, loaded at <see cref="LoadAddress"/> and started there.</summary>
    public string? FlatBinary { get; init; }
    public ulong? LoadAddress { get; init; }

    /// <summary>Offset or address to start at, if not the load address.</summary>
    public ulong? EntryPoint { get; init; }

    /// <summary>The processor mode a flat binary starts in.</summary>
    public BootMode BootMode { get; init; }

    /// <summary>A firmware image, started at the reset vector; a Linux kernel is then its to load, from the firmware configuration device.</summary>
    public string? Firmware { get; init; }

    /// <summary>Files of the firmware configuration device besides the board's own, by name ("opt/…").</summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> FirmwareItems { get; init; } = new Dictionary<string, ReadOnlyMemory<byte>>();

    /// <summary>A guest's reset stops the machine instead of starting it again.</summary>
    public bool NoReboot { get; init; }
}
