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

    private readonly byte* _ports, _msrs;

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

    private void Allow(uint index, bool read, bool write)
    {
        int part = (index >> 16) switch { 0 => 0, 0xC000 => 1, _ => 2 };
        int number = (int)(index & 0x1FFF);
        byte bits = (byte)(((read ? 1 : 0) | (write ? 2 : 0)) << (number % 4 * 2));
        _msrs[part * MsrVectorSize + number / 4] &= (byte)~bits;
    }
}
