using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.NanobenchmarkLayout;

namespace X86Virt.Guests;

/// <summary>
/// 32-bit code with PAE page tables: their entries and the tables of the last two levels are those of long mode, so that operations on them are the same.
/// SYSENTER is there on either vendor's processors, which SYSCALL in protected mode is not. CR8 is not there: the task priority is written where it is in memory.
/// </summary>
internal sealed class NanobenchmarkProtectedMode() : NanobenchmarkMode(32)
{
    private const uint SystemEnterSelector = 0x174, SystemEnterStack = 0x175, SystemEnterEntry = 0x176;
    private const uint LocalApic = 0xFEE0_0000, TaskPriority = LocalApic + 0x80;
    private const int GiB = 30, LargePage = 21;

    public override ulong CodeDescriptor => 0x00CF_9B00_0000_FFFF;

    public override uint GateSize => 8;

    /// <summary>In pointers to directories no permissions are allowed. The page of the APIC is large, writable and not cached.</summary>
    public override IEnumerable<(uint At, uint Value)> Tables =>
    [
        .. Directories(Root, 1), .. Directories(OtherRoot, 1),
        (DeviceDirectory + ((LocalApic & ((1 << GiB) - 1)) >> LargePage) * 8, LocalApic | 0xFB),
        (TaskState + 8, DataSelector),
    ];

    public override void SetUpSystemCalls(Label entry)
    {
        c.mov(eax, CodeSelector);
        WriteRegister(SystemEnterSelector);
        c.mov(eax, StackTop);
        WriteRegister(SystemEnterStack);
        Words.LoadAddress(eax, entry);
        WriteRegister(SystemEnterEntry);
    }

    public override void EnterUser(Label call, Label back)
    {
        Label user = c.CreateLabel();
        Words.LoadAddress(edx, user);
        c.mov(ecx, StackTop);
        c.sysexit();
        Words.Place(ref user);
        Words.LoadAddress(edx, back);
    }

    public override void SystemCall() => c.sysenter();

    public override void SystemReturn() => c.sysexit();

    public override void PushFrame(Label back)
    {
        c.pushfd();
        c.push(CodeSelector);
        Words.LoadAddress(ecx, back);
        c.push(ecx);
    }

    public override void PrepareTaskPriority()
    {
        c.mov(ebx, TaskPriority);
        c.xor(eax, eax);
    }

    public override void WriteTaskPriority() => c.mov(__[ebx], eax);
}
