namespace X86Virt.Guests;

/// <summary>A guest that needs no download: machine code and how to enter it.</summary>
/// <param name="Name">What users call it.</param>
/// <param name="Description">What it does, in a sentence.</param>
/// <param name="Image">A multiboot image, or a flat binary where <paramref name="Bitness"/> is 64.</param>
/// <param name="Bitness">Size of code at the entry: 32 or 64.</param>
/// <param name="LoadAddress">Guest-physical address of the first byte.</param>
/// <param name="EntryPoint">Guest-physical address of the first instruction.</param>
/// <param name="Symbols">Addresses of its routines by name.</param>
public sealed record BuiltInGuest(string Name, string Description, byte[] Image, int Bitness, ulong LoadAddress, ulong EntryPoint, IReadOnlyDictionary<string, ulong> Symbols)
{
    /// <summary>A monitor on the first serial line: a prompt with commands to look at the machine and to end it.</summary>
    public static BuiltInGuest Hello { get; } = MonitorGuest.Build();

    /// <summary>
    /// Calls isPrime(<paramref name="n"/>), the worked example of the paper on binary translation, and ends the machine through
    /// isa-debug-exit with the result: exit code 3 for a prime, 1 for any other number.
    /// </summary>
    public static BuiltInGuest IsPrime(int n) => IsPrimeGuest.Build(n);

    /// <summary>
    /// A 64-bit test operating system that does one sensitive operation in each of its loops and prints what they cost in time-stamp
    /// cycles. Command line: operations=a,b iterations=n cycles=n.
    /// </summary>
    public static BuiltInGuest Nanobenchmark { get; } = NanobenchmarkGuest.Build(64);

    /// <summary>The same with 32-bit code, in protected mode with PAE page tables.</summary>
    public static BuiltInGuest Nanobenchmark32 { get; } = NanobenchmarkGuest.Build(32);

    /// <summary>The operations of <see cref="Nanobenchmark"/> and <see cref="Nanobenchmark32"/>, in their order.</summary>
    public static IReadOnlyList<string> NanobenchmarkOperations => NanobenchmarkGuest.OperationNames;

    /// <summary>The most iterations that an operation of <see cref="Nanobenchmark"/> or <see cref="Nanobenchmark32"/> can have.</summary>
    public static long MostNanobenchmarkIterations(string operation, int bits = 64)
        => NanobenchmarkGuest.TakesFreshEntries(operation) ? NanobenchmarkLayout.FreshEntries : bits == 64 ? long.MaxValue : uint.MaxValue;

    /// <summary>The operation whose loop does all that another's does but for the operation itself: what must be taken off its counts.</summary>
    public static string NanobenchmarkBaseLoop(string operation) => NanobenchmarkGuest.BaseLoop(operation);
}
