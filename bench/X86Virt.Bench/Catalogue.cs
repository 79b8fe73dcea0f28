namespace X86Virt.Bench;

/// <summary>Which guest program a benchmark is in.</summary>
internal enum Suite
{
    /// <summary>Ordinary computing, which the host can run as a process too.</summary>
    Compute,

    /// <summary>Sensitive operations, for a guest alone.</summary>
    System,
}

/// <summary>A kernel of the guest programs in bench/guests.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Title">What it does, for the report.</param>
/// <param name="Units">Units of work in a timed pass: 10 to 20 ms of the host, or some 80 ms of QEMU for system operations.</param>
internal sealed record Benchmark(Suite Suite, string Name, string Title, uint Units);

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
    ];
}
