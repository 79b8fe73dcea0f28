using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>Operations of the nanobenchmark kernel.</summary>
public sealed class NanobenchmarkOperationCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => BuiltInGuest.NanobenchmarkOperations;
}
