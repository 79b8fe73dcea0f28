using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>Which ports and model-specific registers leave the guest (AMD volume 2, 15.10 and 15.11).</summary>
internal sealed unsafe class PermissionMaps
{
    private const int PortMapPages = 3, MsrMapPages = 2, MsrVectorSize = 0x800;

    /// <summary>Registers that belong to the guest alone, as VMRUN, VMLOAD or the monitor load them for it.</summary>
    private static readonly uint[] s_own =
    [
        0x174, 0x175, 0x176, 0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084, 0xC000_0100, 0xC000_0101, 0xC000_0102, 0xC000_0103,
    ];

    private const uint TimeStampCounter = 0x10, Pat = 0x277;

    /// <summary>All that a guest may have.</summary>
    private static readonly uint[] s_shared = [.. s_own, TimeStampCounter, Pat];

    private readonly byte* _ports, _msrs;
    private readonly HashSet<(uint Index, bool IsWrite)> _withheld = [];

    public PermissionMaps(MonitorMemory memory)
    {
        PortMap = memory.Allocate(PortMapPages);
        MsrMap = memory.Allocate(MsrMapPages);
        _ports = memory.At(PortMap);
        _msrs = memory.At(MsrMap);
        new Span<byte>(_ports, PortMapPages << 12).Fill(0xFF);
        new Span<byte>(_msrs, MsrMapPages << 12).Fill(0xFF);
        foreach (uint index in s_own)
            Allow(index, read: true, write: true);
        Allow(TimeStampCounter, read: true, write: false);
    }

    /// <summary>Host-physical addresses of the maps.</summary>
    public ulong PortMap { get; }
    public ulong MsrMap { get; }

    /// <summary>Gives the guest its own PAT, which there is with nested paging only.</summary>
    public void AllowPat() => Allow(Pat, read: true, write: true);

    /// <summary>Whether the guest has a register to itself, whatever is withheld from it.</summary>
    public bool IsAllowed(uint index, bool write)
        => _withheld.Contains((index, write)) || (HasPlace(index) && (Place(index, out int shift) >> shift & (write ? 2 : 1)) == 0);

    /// <summary>Has accesses of a register exit although it belongs to the guest.</summary>
    public void Withhold(uint index, bool write)
    {
        if (!IsAllowed(index, write) || !_withheld.Add((index, write)))
            return;
        ref byte bits = ref Place(index, out int shift);
        bits |= (byte)((write ? 2 : 1) << shift);
    }

    /// <summary>Undoes that.</summary>
    public void GiveBack(uint index, bool write)
    {
        if (_withheld.Remove((index, write)))
            Allow(index, !write, write);
    }

    /// <summary>
    /// Makes these the maps of a guest of the guest's: it has what the guest has of other maps, unless its hypervisor wants to see the access, or the time-stamp counter is
    /// another.
    /// </summary>
    public void Combine(PermissionMaps guests, Cpu hypervisor)
    {
        SvmUnit svm = hypervisor.Svm!;
        bool asks = Intercept.Has(hypervisor.State, SvmExitCode.Msr);
        foreach (uint index in s_shared)
        {
            int open = ~guests.Place(index, out int shift) >> shift & 3;
            if ((open & 1) != 0 && ((asks && svm.InterceptsMsr(index, write: false)) || (index == TimeStampCounter && !svm.GuestHasOwnRate)))
                open &= ~1;
            if ((open & 2) != 0 && asks && svm.InterceptsMsr(index, write: true))
                open &= ~2;
            ref byte bits = ref Place(index, out shift);
            bits = (byte)(bits & ~(3 << shift) | (~open & 3) << shift);
        }
    }

    private void Allow(uint index, bool read, bool write)
    {
        ref byte bits = ref Place(index, out int shift);
        bits &= (byte)~(((read ? 1 : 0) | (write ? 2 : 0)) << shift);
    }

    /// <summary>Other registers always exit.</summary>
    private static bool HasPlace(uint index) => (index & ~0x1FFFu) is 0 or 0xC000_0000 or 0xC001_0000;

    private ref byte Place(uint index, out int shift)
    {
        int part = (index >> 16) switch { 0 => 0, 0xC000 => 1, _ => 2 };
        int number = (int)(index & 0x1FFF);
        shift = number % 4 * 2;
        return ref _msrs[part * MsrVectorSize + number / 4];
    }
}
