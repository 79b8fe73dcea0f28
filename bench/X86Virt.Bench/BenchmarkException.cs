namespace X86Virt.Bench;

/// <summary>A measurement that cannot be made here, and why.</summary>
internal sealed class BenchmarkException(string message) : Exception(message);
