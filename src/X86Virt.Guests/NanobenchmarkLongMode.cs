using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.NanobenchmarkLayout;

namespace X86Virt.Guests;

/// <summary>64-bit code with four levels of page tables.</summary>
internal sealed class NanobenchmarkLongMode() : NanobenchmarkMode(64)
{
    private const uint ExtendedFeatures = 0xC000_0080, SystemCallSelectors = 0xC000_0081, SystemCallEntry = 0xC000_0082, SystemCallMask = 0xC000_0084;

    public override ulong CodeDescriptor => 0x00AF_9B00_0000_FFFF;

    public override uint GateSize => 16;

    public override IEnumerable<(uint At, uint Value)> Tables => [(Root, Pointers | 7), (OtherRoot, Pointers | 7), .. Directories(Pointers, 7)];

    /// <summary>LME, and SCE for system calls.</summary>
    public override void PreparePaging(Assembler entry)
    {
        entry.mov(ecx, ExtendedFeatures);
        entry.rdmsr();
        entry.or(eax, 0x101);
        entry.wrmsr();
    }

    public override void SetUpSystemCalls(Label entry)
    {
        Words.LoadAddress(eax, entry);
        WriteRegister(SystemCallEntry);
        c.xor(eax, eax);
        WriteRegister(SystemCallMask);
        c.mov(ecx, SystemCallSelectors);
        c.mov(edx, (UserBase << 16) | CodeSelector);
        c.wrmsr();
    }

    public override void EnterUser(Label call, Label back)
    {
        Words.LoadAddress(ecx, call);
        c.mov(r11d, 2);
        c.sysretq();
    }

    public override void SystemCall() => c.syscall();

    public override void SystemReturn() => c.sysretq();

    public override void PushFrame(Label back)
    {
        c.mov(rax, rsp);
        c.push(DataSelector);
        c.push(rax);
        c.pushfq();
        c.push(CodeSelector);
        Words.LoadAddress(ecx, back);
        c.push(rcx);
    }

    public override void PrepareTaskPriority() => c.xor(eax, eax);

    public override void WriteTaskPriority() => c.mov(cr8, rax);
}
