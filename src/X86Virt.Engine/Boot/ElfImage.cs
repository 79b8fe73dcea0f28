namespace X86Virt.Engine.Boot;

/// <summary>A static ELF32 (i386) or ELF64 (x86-64) program with its headers checked (System V ABI, chapters 4 and 5).</summary>
internal sealed class ElfImage
{
    private const uint Magic = 0x464C_457F;
    private const ushort I386 = 3, X64 = 62;
    private const uint LoadType = 1, NoteType = 4;

    private readonly BootFile _file;

    /// <summary>A PT_LOAD header.</summary>
    public readonly record struct ProgramSegment(ulong Offset, ulong LinearAddress, ulong PhysicalAddress, ulong FileSize, ulong MemorySize);

    public ElfImage(BootFile file)
    {
        _file = file;
        byte elfClass = file.U8(4, "the ELF identification"), encoding = file.U8(5, "the ELF identification");
        if (elfClass is not (1 or 2) || encoding != 1)
            throw file.Unsupported($"the ELF class is {elfClass} and its data encoding {encoding}", "Use an ELF32 or ELF64 image for x86, little-endian (class 1 or 2, encoding 1).");
        Is64 = elfClass == 2;
        ushort machine = file.U16(18, "the ELF header"), type = file.U16(16, "the ELF header");
        if (machine is not (I386 or X64))
            throw file.Unsupported($"the ELF machine is {machine}", "Use an image for i386 (3) or x86-64 (62).");
        if (type != 2)
            throw file.Unsupported($"the ELF type is {type}", "Use a statically linked executable (type 2, ET_EXEC).");
        Entry = Word(24, 24, "the ELF entry point");
        ReadProgramHeaders();
        SectionHeaders = Word(32, 40, "the ELF header");
        SectionHeaderSize = file.U16(Is64 ? 58UL : 46, "the ELF header");
        SectionCount = file.U16(Is64 ? 60UL : 48, "the ELF header");
        SectionNames = file.U16(Is64 ? 62UL : 50, "the ELF header");
    }

    public bool Is64 { get; }

    /// <summary>The entry field as it stands; <see cref="PhysicalEntry"/> is where that is in memory.</summary>
    public ulong Entry { get; }

    public List<ProgramSegment> Segments { get; } = [];

    /// <summary>File offset, entry size and number of the section headers, and the index of the one that holds their names.</summary>
    public ulong SectionHeaders { get; }
    public ushort SectionHeaderSize { get; }
    public ushort SectionCount { get; }
    public ushort SectionNames { get; }

    /// <summary>Physical address of the PVH entry point, if a note names one.</summary>
    public uint? PvhEntry { get; private set; }

    public static bool Recognises(BootFile file) => file.Length >= 4 && file.U32(0, "the ELF magic") == Magic;

    /// <summary>A word-sized field, by its offset in ELF32 and ELF64.</summary>
    private ulong Word(ulong offset32, ulong offset64, string what) => Is64 ? _file.U64(offset64, what) : _file.U32(offset32, what);

    private void ReadProgramHeaders()
    {
        ulong table = Word(28, 32, "the ELF header");
        ushort size = _file.U16(Is64 ? 54UL : 42, "the ELF header"), count = _file.U16(Is64 ? 56UL : 44, "the ELF header");
        if (count == 0 || size < (Is64 ? 56 : 32))
            throw _file.Invalid($"the ELF header names {count} program headers of {size} bytes", "Use a linked executable, not an object file.");
        ulong total = 0;
        for (ulong i = 0; i < count; i++)
        {
            string what = $"program header {i}";
            _file.Slice(table, (i + 1) * size, what);
            ulong at = table + i * size;
            uint type = _file.U32(at, what);
            ProgramSegment segment = Is64
                ? new(_file.U64(at + 8, what), _file.U64(at + 16, what), _file.U64(at + 24, what), _file.U64(at + 32, what), _file.U64(at + 40, what))
                : new(_file.U32(at + 4, what), _file.U32(at + 8, what), _file.U32(at + 12, what), _file.U32(at + 16, what), _file.U32(at + 20, what));
            if (type == NoteType)
                ReadNotes(segment);
            if (type != LoadType || segment.MemorySize == 0)
                continue;
            if (segment.FileSize > segment.MemorySize)
                throw _file.Invalid($"{what} has 0x{segment.FileSize:x} bytes in the file and 0x{segment.MemorySize:x} in memory");
            _file.Slice(segment.Offset, segment.FileSize, $"segment {i}");
            Segments.Add(segment);
            total += segment.FileSize;
        }
        if (total == 0)
            throw _file.Invalid("no segment has anything to load", "Use a linked executable, not an object file.");
    }

    private void ReadNotes(ProgramSegment notes)
    {
        const uint Phys32Entry = 18;
        ReadOnlySpan<byte> all = _file.Slice(notes.Offset, notes.FileSize, "the notes");
        ulong at = notes.Offset, end = at + (ulong)all.Length;
        while (end - at >= 12)
        {
            ulong nameLength = _file.U32(at, "a note"), length = _file.U32(at + 4, "a note");
            uint type = _file.U32(at + 8, "a note");
            ulong name = at + 12, description = name + ((nameLength + 3) & ~3UL), next = description + ((length + 3) & ~3UL);
            if (description + length > end)
                return;
            if (type == Phys32Entry && length >= 4 && _file.Slice(name, nameLength, "a note").SequenceEqual("Xen\0"u8))
                PvhEntry = _file.U32(description, "the PVH entry note");
            if (next > end)
                return;
            at = next;
        }
    }

    /// <summary>
    /// Where the first instruction is in physical memory: linkers give a linear address, kernels that are linked high often a
    /// physical one. Either must be in a loaded segment.
    /// </summary>
    public ulong PhysicalEntry()
    {
        foreach (ProgramSegment p in Segments)
        {
            if (Entry >= p.LinearAddress && Entry - p.LinearAddress < p.MemorySize)
                return CheckPhysical(p.PhysicalAddress + (Entry - p.LinearAddress));
        }
        return CheckPhysical(Entry);
    }

    public ulong CheckPhysical(ulong entry)
    {
        foreach (ProgramSegment p in Segments)
        {
            if (entry >= p.PhysicalAddress && entry - p.PhysicalAddress < p.MemorySize)
                return entry;
        }
        throw _file.Invalid($"the entry point 0x{entry:x} is in no loaded segment");
    }

    /// <summary>Copies the segments to their physical addresses.</summary>
    public void Place(GuestLayout layout)
    {
        foreach (ProgramSegment p in Segments)
            layout.Place(_file.Name, $"the segment at 0x{p.LinearAddress:x}", p.PhysicalAddress, _file.Slice(p.Offset, p.FileSize, "a segment"), p.MemorySize);
    }
}
