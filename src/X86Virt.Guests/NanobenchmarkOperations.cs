using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>One operation of the nanobenchmark kernel: what its loop needs first, and its loop's body.</summary>
internal sealed record NanobenchmarkOperation(string Name, Action Prepare, Action Body);

/// <summary>
/// Bodies of the loops. They may change RAX, RBX, RCX, RDX, R8 to R11 and add to R12, which is printed as the check.
/// </summary>
internal sealed class NanobenchmarkOperations(Assembler c)
{
    private const uint ExtendedFeatures = 0xC000_0080;

    public Label Target = c.CreateLabel("target");

    public IReadOnlyList<NanobenchmarkOperation> All =>
    [
        new("empty", () => { }, () => { }),
        new("in", () => { }, () => c.@in(al, 0x80)),
        new("cr8wr", () => c.xor(eax, eax), () => c.mov(cr8, rax)),
        new("callret", () => { }, () => c.call(Target)),
        new("pgfault", () => c.mov(ebx, NanobenchmarkLayout.MissingPage), () => c.mov(al, __byte_ptr[rbx])),
        new("divzero", () => c.xor(ecx, ecx), () => c.div(ecx)),
        new("ptemod", PrepareTableStore, () => c.mov(__qword_ptr[rbx], rax)),
        new("ptetoggle", PrepareTableStore, Toggle),
        new("cpuid", () => { }, Identify),
        new("cr3", () => c.mov(eax, NanobenchmarkLayout.Root), () => c.mov(cr3, rax)),
        new("cr3switch", PrepareSwitch, SwitchTwice),
        new("invlpg", () => c.mov(ebx, NanobenchmarkLayout.MappedPage), () => c.invlpg(__[rbx])),
        new("iret", () => { }, InterruptReturn),
        new("rdtsc", () => { }, c.rdtsc),
        new("clisti", () => { }, ClearAndSet),
        new("rdmsr", () => c.mov(ecx, ExtendedFeatures), c.rdmsr),
        new("wrmsr", PrepareWrite, c.wrmsr),
        new("icall", () => c.lea(rbx, __[Target]), () => c.call(rbx)),
        new("selfmod", PrepareSelfModification, ModifySelf),
    ];

    private Label _modified = c.CreateLabel("modified");

    /// <summary>The page is read first, so that its table is in use (and has a shadow, where there are shadows) before it is written.</summary>
    private void PrepareTableStore()
    {
        c.mov(ebx, NanobenchmarkLayout.MappedPage);
        c.mov(al, __byte_ptr[rbx]);
        c.mov(ebx, NanobenchmarkLayout.MappedEntry);
        c.mov(eax, NanobenchmarkLayout.MappedEntryValue);
        c.xor(ecx, ecx);
    }

    private void Toggle()
    {
        c.mov(__qword_ptr[rbx], rcx);
        c.mov(__qword_ptr[rbx], rax);
    }

    private void Identify()
    {
        c.xor(eax, eax);
        c.cpuid();
        c.mov(eax, eax);
    }

    private void PrepareSwitch()
    {
        c.mov(eax, NanobenchmarkLayout.OtherRoot);
        c.mov(edx, NanobenchmarkLayout.Root);
    }

    private void SwitchTwice()
    {
        c.mov(cr3, rax);
        c.mov(cr3, rdx);
    }

    private void InterruptReturn()
    {
        Label here = c.CreateLabel();
        c.mov(rax, rsp);
        c.push(NanobenchmarkLayout.DataSelector);
        c.push(rax);
        c.pushfq();
        c.push(NanobenchmarkLayout.CodeSelector);
        c.lea(rcx, __[here]);
        c.push(rcx);
        c.iretq();
        c.Label(ref here);
        c.inc(r12);
    }

    private void ClearAndSet()
    {
        c.sti();
        c.cli();
    }

    private void PrepareWrite()
    {
        c.mov(ecx, ExtendedFeatures);
        c.rdmsr();
    }

    private void PrepareSelfModification()
    {
        c.lea(rbx, __[_modified]);
        c.inc(rbx);
    }

    /// <summary>Writes the loop's counter into the next instruction's immediate; the check is the sum of what that instruction loads.</summary>
    private void ModifySelf()
    {
        c.mov(__dword_ptr[rbx], r14d);
        c.Label(ref _modified);
        c.mov(eax, 0x1111_1111);
        c.add(r12, rax);
    }
}
