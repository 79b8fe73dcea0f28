using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Names for guests and configurations, for people.</summary>
internal static class GuestText
{
    /// <summary>The guest's images and what it was told.</summary>
    public static string Of(MachineConfiguration c)
    {
        string?[] parts =
        [
            NameOf(c.Firmware), NameOf(c.Kernel ?? c.FlatBinary), NameOf(c.InitialRamDisk), c.CommandLine.Length > 0 ? $"'{c.CommandLine}'" : null, $"{c.MemorySize >> 20} MiB",
        ];
        return string.Join(", ", parts.Where(p => p != null));
    }

    public static string Configuration(EngineKind engine, PagingKind? paging) => paging == null ? $"{engine}" : $"{engine} {paging}";

    private static string? NameOf(string? path) => path == null ? null : Path.GetFileName(path);
}
