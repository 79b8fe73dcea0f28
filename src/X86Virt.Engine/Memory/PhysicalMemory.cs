using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace X86Virt.Engine.Memory;

/// <summary>What a guest-physical page is.</summary>
public enum RegionKind
{
    /// <summary>Nothing answers: reads give all ones, writes vanish.</summary>
    Unmapped,
    Ram,

    /// <summary>Backed like RAM; guest writes vanish.</summary>
    Rom,
    Device,
}

/// <summary>A part of the physical address space that is one thing, and in one piece in host memory if it is memory.</summary>
internal readonly unsafe struct MemoryRegion(ulong start, ulong end, byte* host, RegionKind kind)
{
    public ulong Start { get; } = start;
    public ulong End { get; } = end;
    public byte* Host { get; } = host;
    public RegionKind Kind { get; } = kind;
}

/// <summary>
/// A physical address space: RAM and ROM in one block of host memory, devices elsewhere. Pages of the block are named by
/// their index in it, so that aliases of one page (the firmware below 1 MiB and below 4 GiB) share tracking. A monitor that has processors
/// of its own sees the same block from another address space (<see cref="MapBlock"/>).
/// </summary>
public sealed unsafe class PhysicalMemory : IDisposable
{
    /// <summary>Room in the block behind RAM for ROMs.</summary>
    private const ulong RomSpace = 4 << 20;

    private struct Region
    {
        public ulong Start;
        public ulong End;
        public byte* Host;
        public RegionKind Kind;
        public IMmioDevice? Device;
    }

    private readonly MemoryBlock _block;
    private readonly bool _owner;
    private Region[] _regions = [];

    // The one found last: the next access is mostly to the same.
    private int _found;
    private ulong _romUsed;
    private bool _disposed;

    /// <param name="ramSize">Bytes of RAM, a multiple of 4 KiB.</param>
    /// <param name="monitorSize">Bytes in the block behind ROMs that are no part of this address space: a monitor's. A multiple of 4 KiB.</param>
    public PhysicalMemory(ulong ramSize, ulong monitorSize = 0)
    {
        if (ramSize == 0 || (ramSize & 0xFFF) != 0)
            throw new ArgumentOutOfRangeException(nameof(ramSize), ramSize, "Memory must be a multiple of 4 KiB, and at least one page.");
        RamSize = ramSize;
        MonitorOffset = ramSize + RomSpace;
        _block = new MemoryBlock(MonitorOffset + monitorSize, MonitorOffset);
        _owner = true;
    }

    private PhysicalMemory(PhysicalMemory guest, ulong guestBase)
    {
        _block = guest._block;
        RamSize = MonitorOffset = _block.Size;
        MapRam(0, _block.Size - guest.MonitorOffset, guest.MonitorOffset);
        MapRam(guestBase, guest.MonitorOffset, 0);
    }

    /// <summary>Host address of the block that holds RAM, then ROMs, then what is a monitor's.</summary>
    public byte* Block => _block.Pages;

    public ulong RamSize { get; }

    /// <summary>Where in the block a monitor's part begins.</summary>
    internal ulong MonitorOffset { get; }

    /// <summary>Bytes in the block.</summary>
    internal ulong BlockSize => _block.Size;

    /// <summary>Pages in the block.</summary>
    public int PageCount => (int)(_block.Size >> 12);

    /// <summary>
    /// A monitor's address space, in which the whole block is RAM: the monitor's part from address 0 on, the guest's from <paramref name="guestBase"/> on. To be
    /// disposed before this one.
    /// </summary>
    internal PhysicalMemory MapBlock(ulong guestBase) => new(this, guestBase);

    /// <summary>Address lines in use: clears bit 20 while the A20 gate is shut.</summary>
    public ulong AddressMask { get; private set; } = ~0UL;

    /// <summary>Raised after a store to a page that holds code: page index, offset in the page, length.</summary>
    public event Action<int, int, int>? CodeWrite
    {
        add => _block.CodeWrite += value;
        remove => _block.CodeWrite -= value;
    }

    /// <summary>Raised after a store to a traced page, likewise.</summary>
    public event Action<int, int, int>? TraceWrite
    {
        add => _block.TraceWrite += value;
        remove => _block.TraceWrite -= value;
    }

    /// <summary>Raised when the map or A20 changes, so that cached translations can go.</summary>
    public event Action? MapChanged;

    /// <summary>Reads and writes that nothing answered.</summary>
    public long UnclaimedAccesses { get; private set; }

    /// <summary>The A20 gate is open.</summary>
    public bool A20
    {
        get;
        set
        {
            field = value;
            ConnectA20();
        }
    } = true;

    /// <summary>Address line 20 is connected whatever the gate says: the processor does not look at it (VM_CR.DIS_A20M).</summary>
    public bool IgnoresA20Gate
    {
        get;
        set
        {
            field = value;
            ConnectA20();
        }
    }

    private void ConnectA20()
    {
        ulong mask = A20 || IgnoresA20Gate ? ~0UL : ~(1UL << 20);
        if (mask == AddressMask)
            return;
        AddressMask = mask;
        MapChanged?.Invoke();
    }

    /// <summary>Makes RAM from <paramref name="ramOffset"/> on appear at <paramref name="address"/>.</summary>
    public void MapRam(ulong address, ulong length, ulong ramOffset) => Map(address, length, Block + ramOffset, RegionKind.Ram, null);

    /// <summary>The same RAM, but guest writes vanish (shadowed firmware).</summary>
    public void MapRamReadOnly(ulong address, ulong length, ulong ramOffset) => Map(address, length, Block + ramOffset, RegionKind.Rom, null);

    /// <summary>Copies <paramref name="image"/> into the block and returns the offset to map it with (<see cref="MapRom"/>).</summary>
    public ulong AddRom(ReadOnlySpan<byte> image)
    {
        ulong offset = RamSize + _romUsed;
        ulong size = ((ulong)image.Length + 0xFFF) & ~0xFFFUL;
        if (_romUsed + size > RomSpace)
            throw new ArgumentException($"ROMs take {(_romUsed + size) >> 10} KiB; at most {RomSpace >> 10} KiB fit.", nameof(image));
        _romUsed += size;
        image.CopyTo(new Span<byte>(Block + offset, image.Length));
        return offset;
    }

    public void MapRom(ulong address, ulong length, ulong romOffset) => Map(address, length, Block + romOffset, RegionKind.Rom, null);

    public void MapDevice(ulong address, ulong length, IMmioDevice device) => Map(address, length, null, RegionKind.Device, device);

    /// <summary>Whether nothing answers anywhere in a range.</summary>
    public bool IsUnmapped(ulong address, ulong length)
    {
        foreach (Region r in _regions)
        {
            if (r.End > address && r.Start < address + length)
                return false;
        }
        return true;
    }

    public void Unmap(ulong address, ulong length) => Map(address, length, null, RegionKind.Unmapped, null);

    private void Map(ulong address, ulong length, byte* host, RegionKind kind, IMmioDevice? device)
    {
        if (((address | length) & 0xFFF) != 0 || length == 0)
            throw new ArgumentException($"Region {address:x}+{length:x} is not made of whole pages.", nameof(address));
        ulong end = address + length;
        var regions = new List<Region>();
        foreach (Region r in _regions)
        {
            if (r.End <= address || r.Start >= end)
            {
                regions.Add(r);
                continue;
            }
            if (r.Start < address)
                regions.Add(r with { End = address });
            if (r.End > end)
                regions.Add(r with { Start = end, Host = r.Host == null ? null : r.Host + (end - r.Start) });
        }
        if (kind != RegionKind.Unmapped)
            regions.Add(new Region { Start = address, End = end, Host = host, Kind = kind, Device = device });
        regions.Sort((a, b) => a.Start.CompareTo(b.Start));
        JoinNeighbours(regions);
        _regions = [.. regions];
        MapChanged?.Invoke();
    }

    /// <summary>Makes one of regions that continue each other, so that there are few to search.</summary>
    private static void JoinNeighbours(List<Region> regions)
    {
        for (int i = regions.Count - 1; i > 0; i--)
        {
            Region before = regions[i - 1], after = regions[i];
            if (before.End != after.Start || before.Kind != after.Kind || before.Host == null || before.Host + (before.End - before.Start) != after.Host)
                continue;
            regions[i - 1] = before with { End = after.End };
            regions.RemoveAt(i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref readonly Region Find(ulong address)
    {
        Region[] regions = _regions;
        int found = _found;
        if ((uint)found < (uint)regions.Length && address - regions[found].Start < regions[found].End - regions[found].Start)
            return ref regions[found];
        return ref Search(regions, address);
    }

    private ref readonly Region Search(Region[] regions, ulong address)
    {
        for (int i = 0; i < regions.Length; i++)
        {
            if (address < regions[i].Start || address >= regions[i].End)
                continue;
            _found = i;
            return ref regions[i];
        }
        return ref Unsafe.NullRef<Region>();
    }

    /// <summary>What answers at <paramref name="address"/>, and for RAM and ROM where it is in host memory.</summary>
    public RegionKind Lookup(ulong address, out byte* host)
    {
        ref readonly Region region = ref Find(address & AddressMask);
        if (Unsafe.IsNullRef(in region))
        {
            host = null;
            return RegionKind.Unmapped;
        }
        host = region.Host == null ? null : region.Host + ((address & AddressMask) - region.Start);
        return region.Kind;
    }

    /// <summary>Index in the block of the page that <paramref name="host"/> points into.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int PageIndex(byte* host) => (int)((ulong)(host - Block) >> 12);

    public PageTracking Tracking(int page) => _block.Tracking(page);

    /// <summary>Sets tracking bits; the caller removes write entries for the page from the TLBs.</summary>
    public void Track(int page, PageTracking why) => _block.Track(page, why);

    public void Untrack(int page, PageTracking why) => _block.Untrack(page, why);

    /// <summary>Tells the trackers of a page about a store that has been made to it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void NotifyWrite(byte* host, int length) => _block.NotifyWrite(host, length);

    /// <summary>What an address is part of; false if nothing answers there.</summary>
    internal bool TryFindRegion(ulong address, out MemoryRegion region)
    {
        ref readonly Region found = ref Find(address & AddressMask);
        if (Unsafe.IsNullRef(in found))
        {
            region = default;
            return false;
        }
        region = new MemoryRegion(found.Start, found.End, found.Host, found.Kind);
        return true;
    }

    /// <summary>All that answers, by address.</summary>
    internal IReadOnlyList<MemoryRegion> ReadMap() => [.. _regions.OrderBy(r => r.Start).Select(r => new MemoryRegion(r.Start, r.End, r.Host, r.Kind))];

    /// <summary>A processor's or a device's access of 1 to 8 bytes inside one page, by physical address.</summary>
    public ulong Read(ulong address, int size)
    {
        ref readonly Region region = ref Find(address & AddressMask);
        if (Unsafe.IsNullRef(in region))
        {
            UnclaimedAccesses++;
            return size == 8 ? ~0UL : (1UL << (size * 8)) - 1;
        }
        ulong offset = (address & AddressMask) - region.Start;
        if (region.Kind == RegionKind.Device)
            return region.Device!.ReadMemory(offset, size);
        ulong value = 0;
        HostMemory.Copy((byte*)&value, region.Host + offset, size);
        return value;
    }

    public void Write(ulong address, int size, ulong value)
    {
        ref readonly Region region = ref Find(address & AddressMask);
        if (Unsafe.IsNullRef(in region))
        {
            UnclaimedAccesses++;
            return;
        }
        ulong offset = (address & AddressMask) - region.Start;
        if (region.Kind == RegionKind.Device)
        {
            region.Device!.WriteMemory(offset, size, value);
        }
        else if (region.Kind == RegionKind.Ram)
        {
            HostMemory.Copy(region.Host + offset, (byte*)&value, size);
            NotifyWrite(region.Host + offset, size);
        }
    }

    /// <summary>
    /// Copies out of guest-physical memory (loaders, DMA, inspection). Devices are never touched: where there is no RAM or ROM
    /// the bytes read as 0xFF. Returns the number of bytes that came from memory.
    /// </summary>
    public int Read(ulong address, Span<byte> destination)
    {
        int copied = 0;
        for (int done = 0; done < destination.Length;)
        {
            int chunk = Math.Min(destination.Length - done, 0x1000 - (int)((address + (ulong)done) & 0xFFF));
            Lookup(address + (ulong)done, out byte* host);
            if (host == null)
            {
                destination.Slice(done, chunk).Fill(0xFF);
            }
            else
            {
                new Span<byte>(host, chunk).CopyTo(destination[done..]);
                copied += chunk;
            }
            done += chunk;
        }
        return copied;
    }

    /// <summary>Copies into RAM (loaders, DMA, a person's hand); ROM and devices are left alone. Returns the bytes stored.</summary>
    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        int copied = 0;
        for (int done = 0; done < source.Length;)
        {
            int chunk = Math.Min(source.Length - done, 0x1000 - (int)((address + (ulong)done) & 0xFFF));
            if (Lookup(address + (ulong)done, out byte* host) == RegionKind.Ram)
            {
                source.Slice(done, chunk).CopyTo(new Span<byte>(host, chunk));
                NotifyWrite(host, chunk);
                copied += chunk;
            }
            done += chunk;
        }
        return copied;
    }

    /// <summary>Makes all RAM zero, as it is in a new machine.</summary>
    public void ClearRam()
    {
        HostMemory.Discard(Block, RamSize);
        for (int page = 0; page < (int)(RamSize >> 12); page++)
            NotifyWrite(Block + ((ulong)page << 12), 0x1000);
    }

    public T Read<T>(ulong address) where T : unmanaged
    {
        T value = default;
        Read(address, MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    public void Write<T>(ulong address, T value) where T : unmanaged
        => Write(address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        if (_owner)
            _block.Dispose();
    }
}
