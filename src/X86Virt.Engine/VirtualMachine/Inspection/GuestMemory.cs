using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>What an address counts from.</summary>
public enum AddressSpace
{
    /// <summary>Through the guest's page tables, if paging is on.</summary>
    Linear,

    /// <summary>Guest-physical.</summary>
    Physical,
}

/// <summary>
/// Guest memory as a debugger sees it: whatever is mapped may be read and written, whatever its permissions; no A or D bit is set,
/// no device is touched.
/// </summary>
public static unsafe class GuestMemory
{
    /// <summary>Fills <paramref name="destination"/>; throws <see cref="MachineException"/> naming the first address that has no memory.</summary>
    public static void Read(Cpu cpu, ulong address, Span<byte> destination, AddressSpace space)
    {
        for (int done = 0; done < destination.Length;)
        {
            int part = PartOfPage(address + (ulong)done, destination.Length - done);
            byte* host = Host(cpu, address + (ulong)done, space, out _);
            new ReadOnlySpan<byte>(host, part).CopyTo(destination[done..]);
            done += part;
        }
    }

    /// <summary>Stores all of <paramref name="source"/>, or nothing and throws. Code that was decoded from there is decoded again.</summary>
    public static void Write(Cpu cpu, ulong address, ReadOnlySpan<byte> source, AddressSpace space)
    {
        for (int done = 0; done < source.Length;)
        {
            int part = PartOfPage(address + (ulong)done, source.Length - done);
            Host(cpu, address + (ulong)done, space, out RegionKind kind);
            if (kind != RegionKind.Ram)
                throw new MachineException("MemoryNotWritable", $"There is read-only memory at {Text(address + (ulong)done, space)}. Write to RAM.");
            done += part;
        }
        for (int done = 0; done < source.Length;)
        {
            int part = PartOfPage(address + (ulong)done, source.Length - done);
            byte* host = Host(cpu, address + (ulong)done, space, out _);
            source.Slice(done, part).CopyTo(new Span<byte>(host, part));
            cpu.Memory.NotifyWrite(host, part);
            done += part;
        }
        // It may have been a page table.
        cpu.FlushTlb(keepGlobal: false);
    }

    /// <summary>Reads as many bytes as are there, up to the length asked for.</summary>
    internal static int ReadSome(Cpu cpu, ulong linear, Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length && TryHost(cpu, linear + (ulong)done, AddressSpace.Linear, out byte* host, out _))
        {
            int part = PartOfPage(linear + (ulong)done, destination.Length - done);
            new ReadOnlySpan<byte>(host, part).CopyTo(destination[done..]);
            done += part;
        }
        return done;
    }

    private static int PartOfPage(ulong address, int left) => Math.Min(left, 0x1000 - (int)(address & 0xFFF));

    private static byte* Host(Cpu cpu, ulong address, AddressSpace space, out RegionKind kind)
        => TryHost(cpu, address, space, out byte* host, out kind) ? host
            : throw new MachineException("NoMemoryAtAddress", $"There is no memory at {Text(address, space)}"
                + (space == AddressSpace.Linear ? ": the guest's page tables do not map it to RAM or ROM. Resolve-VMAddress shows why." : ". Give an address of RAM or ROM."));

    private static bool TryHost(Cpu cpu, ulong address, AddressSpace space, out byte* host, out RegionKind kind)
    {
        host = null;
        kind = RegionKind.Unmapped;
        if (space == AddressSpace.Linear && !AddressResolver.TryTranslate(cpu, address, out address))
            return false;
        kind = cpu.Memory.Lookup(address, out host);
        return host != null;
    }

    private static string Text(ulong address, AddressSpace space) => $"{(space == AddressSpace.Linear ? "linear" : "guest-physical")} address 0x{address:x}";
}
