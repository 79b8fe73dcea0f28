namespace X86Virt.Bench;

/// <summary>Which guest program a benchmark is in.</summary>
internal enum Suite
{
    /// <summary>Ordinary computing, which the host can run as a process too.</summary>
    Compute,

    /// <summary>Sensitive operations, for a guest alone.</summary>
    System,

    /// <summary>What a hardware VMM does for a guest, and a guest that is one.</summary>
    Virtualization,
}

/// <summary>A kernel of the guest programs in bench/guests.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Title">What it does, for the report.</param>
/// <param name="Units">Units of work in a timed pass: 10 to 20 ms of the host, or some 80 ms of QEMU for system operations.</param>
internal sealed record Benchmark(Suite Suite, string Name, string Title, uint Units)
{
    /// <summary>The kernel that does all of it but what is measured, and is taken off: one that comes before it.</summary>
    public string? Beyond { get; init; }

    /// <summary>The kernel of the guest program, if it is one that others run, too.</summary>
    public string Kernel { get; init; } = Name;

    /// <summary>The monitor's nested page tables are emptied before each pass, and filled by pages of 4 KiB: only for those who have some.</summary>
    public bool EmptiesNestedTables { get; init; }

    /// <summary>The guest is a hypervisor.</summary>
    public bool NeedsSvm { get; init; }
}

internal static class Catalogue
{
    public static readonly IReadOnlyList<Benchmark> All =
    [
        new(Suite.Compute, "isprime", "isprime (integer divide loop)", 1500),
        new(Suite.Compute, "sieve", "sieve", 300),
        new(Suite.Compute, "dhrystone", "Dhrystone-like mix", 100_000),
        new(Suite.Compute, "sha256", "sha256", 40_000),
        new(Suite.Compute, "chase16k", "pointer chase, 16 KiB", 6_000),
        new(Suite.Compute, "chase4m", "pointer chase, 4 MiB", 256),
        new(Suite.Compute, "repmovsb", "rep movsb", 20_000),
        new(Suite.Compute, "wordcopy", "word copy", 10_000),
        new(Suite.Compute, "fib", "recursive fib (call/ret)", 500),
        new(Suite.Compute, "bytecode", "bytecode interpreter (indirect jumps)", 2_000),
        new(Suite.Compute, "matmul", "SSE2 double matmul", 200),
        new(Suite.Compute, "x87", "x87 loop", 500),
        new(Suite.System, "call", "call/ret", 8_000_000),
        new(Suite.System, "indirectcall", "indirect call/ret", 4_000_000),
        new(Suite.System, "in", "in", 2_000_000),
        new(Suite.System, "out", "out", 2_000_000),
        new(Suite.System, "cpuid", "cpuid", 4_000_000),
        new(Suite.System, "movcr3", "mov cr3", 40_000),
        new(Suite.System, "movcr8", "mov cr8", 800_000),
        new(Suite.System, "saveflags", "cli+pushf+popf", 1_600_000),
        new(Suite.System, "invlpg", "invlpg", 600_000),
        new(Suite.System, "remap", "PTE write + invlpg + touch", 400_000),
        new(Suite.System, "syscall", "syscall/sysret", 800_000),
        new(Suite.System, "int", "int/iret from ring 3", 400_000),
        new(Suite.System, "divide", "divide error", 320_000),
        new(Suite.System, "fault", "page fault + map + iret", 120_000),
        new(Suite.System, "patch", "store into code + call", 8_000),
        new(Suite.System, "newcode", "1000 instructions written, executed once", 500),
        new(Suite.System, "phases", "20 000 syscall/sysret, 20 000 in", 20),
        new(Suite.Virtualization, "cpuid", "cpuid", 400_000),
        new(Suite.Virtualization, "in", "in", 400_000),
        new(Suite.Virtualization, "out", "out", 400_000),
        new(Suite.Virtualization, "rdmsr", "rdmsr of APIC_BASE", 400_000),
        new(Suite.Virtualization, "mmio", "load from the local APIC", 400_000),
        new(Suite.Virtualization, "touch", "load of a page that the TLB lacks", 4_096 * 16),
        new(Suite.Virtualization, "nestedmiss", "nested page-table miss, beyond that", 4_096 * 4) { Kernel = "touch", Beyond = "touch", EmptiesNestedTables = true },
        new(Suite.Virtualization, "tableuse", "mov cr3, 5 loads by a page table", 512),
        new(Suite.Virtualization, "tablestore", "store to a page table in use, beyond that", 512) { Beyond = "tableuse" },
        new(Suite.Virtualization, "tablefill", "shadow page-table miss, beyond both", 512) { Beyond = "tablestore" },
        new(Suite.Virtualization, "vmrun", "VMRUN, vmmcall, #VMEXIT in the guest", 100_000) { NeedsSvm = true },
        new(Suite.Virtualization, "vmrunnested", "the same with nested paging", 100_000) { NeedsSvm = true },
    ];
}
