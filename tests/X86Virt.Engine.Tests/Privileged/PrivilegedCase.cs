using Iced.Intel;

namespace X86Virt.Engine.Tests.Privileged;

/// <summary>What a case runs as. Bases are 0 but in virtual-8086 mode, where CS is 700h and SS 800h.</summary>
public enum Context
{
    Kernel,
    Ring1,
    User,
    Virtual8086,
}

/// <summary>
/// One experiment of <see cref="PrivilegedGuest"/>: tables changed, registers loaded, then a few bytes of code. Whatever event ends it is
/// reported; code that runs through ends with INT 40h.
/// </summary>
/// <param name="Name">Unique among the cases of an image.</param>
/// <param name="Context">Privilege level and mode.</param>
/// <param name="Code">Instructions at <see cref="GuestTables.Code"/>.</param>
public sealed record PrivilegedCase(string Name, Context Context, byte[] Code)
{
    /// <summary>Doublewords written before paging is loaded anew.</summary>
    public IReadOnlyList<(uint Address, uint Value)> Patches { get; init; } = [];

    /// <summary>Kernel code run in front of the case.</summary>
    public Action<Assembler>? SetUp { get; init; }

    /// <summary>Registers by Iced's number from EAX on; ESP is the context's stack.</summary>
    public IReadOnlyDictionary<Register, uint> Registers { get; init; } = new Dictionary<Register, uint>();

    /// <summary>EFLAGS that the case starts with; VM is added where it belongs.</summary>
    public uint Flags { get; init; } = 2;
}
