using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>The monitor's paging for its guest, and for a guest of that one's that has nested paging of its hypervisor's.</summary>
/// <param name="guest">The monitor's record of the guest's processor.</param>
/// <param name="own">The guest's, and that of its guests without nested paging: their CR3 holds an address of the guest's, too.</param>
/// <param name="nested">The other; null where the guest has no SVM.</param>
internal sealed class PagingLevels(Cpu guest, GuestPaging own, GuestPaging? nested) : IDisposable
{
    private readonly Cpu _guest = guest;
    private readonly GuestPaging? _nested = nested;

    public GuestPaging Own { get; } = own;

    /// <summary>That of whoever is entered next.</summary>
    public GuestPaging Current => _guest.Nested == null ? Own : _nested!;

    /// <summary>The silicon is to run the guest, which another engine ran before.</summary>
    public void TakeOver()
    {
        Own.TakeOver();
        _nested?.TakeOver();
    }

    /// <summary>Another engine is to run the guest.</summary>
    public void HandOver()
    {
        Own.HandOver();
        _nested?.HandOver();
    }

    public void Dispose()
    {
        _nested?.Dispose();
        Own.Dispose();
    }
}
