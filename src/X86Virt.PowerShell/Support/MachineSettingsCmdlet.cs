using System.Collections;
using System.Management.Automation;
using System.Text;
using X86Virt.Engine;
using X86Virt.Engine.Boot;
using X86Virt.Engine.Costs;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>A cmdlet that takes what a machine is made of, its engine apart.</summary>
public abstract class MachineSettingsCmdlet : PSCmdlet
{
    /// <summary>RAM: bytes, or text with a unit (256MB, 1GB). Whole pages of 4 KiB, 1 MiB at least; 256 MiB unless given.</summary>
    [Parameter]
    [Alias("MemorySize")]
    [SizeTransformation]
    public ulong Memory { get; set; }

    /// <summary>A kernel: a Linux bzImage, a multiboot image, or another static ELF program. Which it is is recognised.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? Kernel { get; set; }

    /// <summary>A Linux kernel's initial RAM disk.</summary>
    [Parameter]
    [Alias("Initrd")]
    [ValidateNotNullOrEmpty]
    public string? InitialRamDisk { get; set; }

    /// <summary>The kernel's command line.</summary>
    [Parameter]
    [AllowEmptyString]
    public string CommandLine { get; set; } = "";

    /// <summary>Multiboot modules: for each a path, in quotes if it has blanks, then optionally a blank and the string that the kernel finds with it.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string[] Module { get; set; } = [];

    /// <summary>Raw machine code, loaded at -LoadAddress and started there.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? FlatBinary { get; set; }

    /// <summary>Guest-physical address of a flat binary; 0x7c00 unless given.</summary>
    [Parameter]
    [AddressTransformation]
    public ulong LoadAddress { get; set; }

    /// <summary>Guest-physical address of a flat binary's first instruction, if that is not its first byte.</summary>
    [Parameter]
    [AddressTransformation]
    public ulong EntryPoint { get; set; }

    /// <summary>The processor mode at the first instruction: Real, Protected (32-bit, flat) or Long (64-bit, the first 4 GiB mapped to themselves). Auto: as the image asks; for flat binaries Real below 1 MiB, Protected above.</summary>
    [Parameter]
    public BootMode BootMode { get; set; }

    /// <summary>HardwareAssist and Hybrid: the engine that executes the code of its virtual silicon, BinaryTranslation unless given.</summary>
    [Parameter]
    public EngineKind Silicon { get; set; }

    /// <summary>HardwareAssist and Hybrid: what its virtual silicon has. FirstGeneration: neither nested paging nor real mode, which the monitor emulates, nor help in decoding exits. NestedPaging: those but for the latter. Current, unless given: all that there is. The guest cannot tell. See docs/hardware-assist.md.</summary>
    [Parameter]
    public ProcessorGeneration Generation { get; set; }

    /// <summary>HardwareAssist and Hybrid: exit clustering. Having seen to an exit, the monitor goes on with the instructions behind it if that saves another. It changes nothing for the guest; Measure-VmExit tells how many exits were avoided.</summary>
    [Parameter]
    public SwitchParameter ExitClustering { get; set; }

    /// <summary>Hybrid: what events cost, by name or as Get-VMCostProfile and Measure-VMCostProfile write it; Pentium4-672 unless given.</summary>
    [Parameter]
    [CostProfileTransformation]
    [ArgumentCompleter(typeof(CostProfileCompleter))]
    [ValidateNotNull]
    public CostProfile CostProfile { get; set; } = CostProfiles.Pentium4;

    /// <summary>BinaryTranslation: the size of its translation cache, 512KB to 1GB; 32MB unless given.</summary>
    [Parameter]
    [SizeTransformation]
    public ulong TranslationCacheSize { get; set; }

    /// <summary>BinaryTranslation: guest instructions in a translation unit at most, 1 to 64; 64 unless given, 12 in the paper.</summary>
    [Parameter]
    public int TranslationUnitLimit { get; set; }

    /// <summary>BinaryTranslation: what the translator is allowed to do; All unless given. None, or some of them, show what each is worth.</summary>
    [Parameter]
    public TranslationFeatures TranslationFeature { get; set; }

    /// <summary>BinaryTranslation: count how often each translation unit runs, for Get-TranslationUnit -Hot. It costs some speed, and changes nothing for the guest.</summary>
    [Parameter]
    public SwitchParameter ProfileTranslation { get; set; }

    /// <summary>The most shadow page tables that -Paging Shadow keeps; 4096 unless given. Each takes 4 KiB of host memory, or 8 KiB for 32-bit page tables without PAE.</summary>
    [Parameter]
    [ValidateRange(ShadowPaging.FewestTables, ShadowPaging.MostTables)]
    public int ShadowTableLimit { get; set; }

    /// <summary>The processor that CPUID describes, by name; the default has all features that there are.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ProcessorModelCompleter))]
    [ValidateNotNullOrEmpty]
    public string? ProcessorModel { get; set; }

    /// <summary>Processor features to add to the model or to take from it: '+Avx2', '-Sse42'.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ProcessorFeatureCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Feature { get; set; } = [];

    /// <summary>Virtual: guest time is retired instructions, and every run is the same. RealTime: the host's time, for people at a console.</summary>
    [Parameter]
    public ClockKind Clock { get; set; }

    /// <summary>Instructions in a second of guest time, and the frequency of the time-stamp counter in Hz; 1 GHz unless given.</summary>
    [Parameter]
    public long ClockRate { get; set; }

    /// <summary>A firmware image such as SeaBIOS's bios-256k.bin, in which the processor starts. A Linux kernel is then not started directly: firmware finds it, with its command line and RAM disk, in the firmware configuration device (fw_cfg).</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? Firmware { get; set; }

    /// <summary>Files of the firmware configuration device, by name: @{ 'opt/name' = 'text' }. A value is text or bytes.</summary>
    [Parameter]
    [ValidateNotNull]
    public IDictionary FirmwareItem { get; set; } = new Hashtable();

    /// <summary>A reset by the guest stops the machine instead of starting it again.</summary>
    [Parameter]
    public SwitchParameter NoReboot { get; set; }

    /// <summary>Whether a parameter was given.</summary>
    private protected bool IsBound(string parameter) => MyInvocation.BoundParameters.ContainsKey(parameter);

    /// <summary>A configuration with the settings given in place of its own. Another image takes the place of the one there was.</summary>
    private protected virtual MachineConfiguration Apply(MachineConfiguration c)
    {
        bool newImage = Kernel != null || FlatBinary != null;
        return c with
        {
            MemorySize = IsBound(nameof(Memory)) ? Memory : c.MemorySize,
            Kernel = newImage ? FullPath(Kernel) : c.Kernel,
            InitialRamDisk = newImage || InitialRamDisk != null ? FullPath(InitialRamDisk) : c.InitialRamDisk,
            CommandLine = IsBound(nameof(CommandLine)) ? CommandLine : c.CommandLine,
            Modules = newImage || Module.Length > 0 ? [.. Module.Select(ModuleOf)] : c.Modules,
            FlatBinary = newImage ? FullPath(FlatBinary) : c.FlatBinary,
            LoadAddress = IsBound(nameof(LoadAddress)) ? LoadAddress : newImage ? null : c.LoadAddress,
            EntryPoint = IsBound(nameof(EntryPoint)) ? EntryPoint : newImage ? null : c.EntryPoint,
            BootMode = IsBound(nameof(BootMode)) ? BootMode : newImage ? BootMode.Auto : c.BootMode,
            Silicon = IsBound(nameof(Silicon)) ? Silicon : c.Silicon,
            Generation = IsBound(nameof(Generation)) ? Generation : c.Generation,
            ExitClustering = IsBound(nameof(ExitClustering)) ? ExitClustering : c.ExitClustering,
            CostProfile = IsBound(nameof(CostProfile)) ? CostProfile : c.CostProfile,
            Translation = c.Translation with
            {
                CacheSize = IsBound(nameof(TranslationCacheSize)) ? (long)Math.Min(TranslationCacheSize, long.MaxValue) : c.Translation.CacheSize,
                UnitLimit = IsBound(nameof(TranslationUnitLimit)) ? TranslationUnitLimit : c.Translation.UnitLimit,
                Features = IsBound(nameof(TranslationFeature)) ? TranslationFeature : c.Translation.Features,
                Profile = IsBound(nameof(ProfileTranslation)) ? ProfileTranslation : c.Translation.Profile,
            },
            ShadowTableLimit = IsBound(nameof(ShadowTableLimit)) ? ShadowTableLimit : c.ShadowTableLimit,
            ProcessorModel = ProcessorModel ?? c.ProcessorModel,
            Features = IsBound(nameof(Feature)) ? Feature : c.Features,
            Clock = IsBound(nameof(Clock)) ? Clock : c.Clock,
            ClockRate = IsBound(nameof(ClockRate)) ? ClockRate : c.ClockRate,
            Firmware = Firmware != null ? FullPath(Firmware) : FlatBinary != null ? null : c.Firmware,
            FirmwareItems = IsBound(nameof(FirmwareItem)) ? FirmwareItems() : c.FirmwareItems,
            NoReboot = IsBound(nameof(NoReboot)) ? NoReboot : c.NoReboot,
        };
    }

    private Dictionary<string, ReadOnlyMemory<byte>> FirmwareItems()
    {
        var items = new Dictionary<string, ReadOnlyMemory<byte>>();
        foreach (DictionaryEntry item in FirmwareItem)
        {
            object? value = item.Value is PSObject wrapped ? wrapped.BaseObject : item.Value;
            items[$"{item.Key}"] = LanguagePrimitives.TryConvertTo(value, out byte[] bytes) && value is not string ? bytes : Encoding.UTF8.GetBytes($"{value}");
        }
        return items;
    }

    private string? FullPath(string? path) => path == null ? null : SessionState.Path.GetUnresolvedProviderPathFromPSPath(path);

    /// <summary>The path is the first word, or what stands in quotes.</summary>
    private MachineModule ModuleOf(string text)
    {
        bool quoted = text[0] is '"' or '\'' && text.IndexOf(text[0], 1) > 0;
        int end = quoted ? text.IndexOf(text[0], 1) : text.IndexOf(' ', StringComparison.Ordinal);
        return end < 0 ? new MachineModule(FullPath(text)!)
            : quoted ? new MachineModule(FullPath(text[1..end])!, text[(end + 1)..].TrimStart())
            : new MachineModule(FullPath(text[..end])!, text[(end + 1)..]);
    }
}
