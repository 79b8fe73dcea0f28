using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A hypervisor with a guest of its own, for a processor with SVM (AMD volume 2, chapter 15): a multiboot image that enters its guest by VMRUN, with nested paging where
/// there is some, tells each #VMEXIT of the first round, and sees to it. Needs 16 MiB.
/// </summary>
public static class HypervisorGuest
{
    /// <summary>
    /// The image. Its argument is the number of rounds (1). It prints "exit CODE EXITINFO1 EXITINFO2" for each exit of the first round and "hypervisor EXITS exits", all in hexadecimal,
    /// and turns the machine off.
    /// </summary>
    public static byte[] Image { get; } = Build();

    /// <summary>The exits of a round, as the guest's instructions bring them about: CPUID, IN, RDMSR, UD2, HLT, a load from a page that the nested tables lack, VMMCALL.</summary>
    public static IReadOnlyList<int> ExitCodes { get; } = [CpuidExit, PortExit, MsrExit, InvalidOpcodeExit, HltExit, NestedPageFaultExit, VmmcallExit];

    private const int InvalidOpcodeExit = 0x46, CpuidExit = 0x72, HltExit = 0x78, PortExit = 0x7B, MsrExit = 0x7C, VmrunExit = 0x80, VmmcallExit = 0x81, NestedPageFaultExit = 0x400;
    private const int FirstException = 0x40, FirstMisc1 = 0x60;
    private const uint ExtendedFeatures = 0xC000_0080, VmControl = 0xC001_0114, HostSaveArea = 0xC001_0117;
    private const int SvmEnable = 1 << 12, SvmDisabled = 1 << 4, SvmBit = 1 << 2;

    // In the program's memory: the VMCB, the host's state, permission maps, nested page tables.
    private const int HostState = 0x1000, PortMap = 0x2000, MsrMap = 0x5000, Root = 0x7000, Pointers = 0x8000, Directory = 0x9000, MemorySize = 0xA000;

    // 2 MiB of guest-physical memory that are not mapped at first.
    private const int HoleEntry = 3, Hole = HoleEntry << 21, LargePage = 0x87;

    /// <summary>Offsets in the VMCB (AMD volume 2, appendix B).</summary>
    private static class Field
    {
        public const int Exceptions = 0x008, Misc1 = 0x00C, Misc2 = 0x010, PortMap = 0x040, MsrMap = 0x048, Asid = 0x058, TlbControl = 0x05C, ExitCode = 0x070, ExitInfo1 = 0x078, ExitInfo2 = 0x080,
            NestedControl = 0x090, NestedCr3 = 0x0B0, Es = 0x400, Cs = 0x410, Ss = 0x420, Ds = 0x430, GdtrLimit = 0x464, GdtrBase = 0x468, Efer = 0x4D0, Cr4 = 0x548, Cr3 = 0x550, Cr0 = 0x558, Dr7 = 0x560,
            Dr6 = 0x568, Rflags = 0x570, Rip = 0x578, Pat = 0x668;
    }

    /// <summary>R12 has the rounds so far, R13 those to make, R14 the exits, R15 the memory. The guest leaves these alone.</summary>
    private static byte[] Build()
    {
        var program = new BareProgram("hypervisor: the processor has no SVM, or the guest was left for what it does not do\n", "hypervisor: wrong argument; give the number of rounds\n");
        GuestProgram.Text one = program.Add("1"), exit = program.Add("exit"), space = program.Add(" "), line = program.Add("\n"), name = program.Add("hypervisor"), exits = program.Add(" exits\n");
        Assembler c = program.Code;
        Label guest = c.CreateLabel(), round = c.CreateLabel(), enter = c.CreateLabel(), told = c.CreateLabel(), passed = c.CreateLabel(), mapped = c.CreateLabel(), next = c.CreateLabel(), done = c.CreateLabel();

        program.ReadNumber(1, one, r13, rdi, rdx);
        program.GetMemory(MemorySize);
        EnableSvm();
        FillMaps();
        FillControls();
        FillState();
        c.xor(r12d, r12d);
        c.xor(r14d, r14d);

        c.Label(ref round);
        c.cmp(r12, r13);
        c.jae(done);
        c.mov(__qword_ptr[r15 + Directory + HoleEntry * 8], 0);
        c.mov(__byte_ptr[r15 + Field.TlbControl], 1);
        c.Label(ref enter);
        c.mov(rax, r15);
        c.clgi();
        c.vmload();
        c.vmrun();
        c.vmsave();
        c.stgi();
        c.mov(__byte_ptr[r15 + Field.TlbControl], 0);
        c.inc(r14);
        c.test(r12, r12);
        c.jne(told);
        program.Print(exit);
        foreach (int field in (int[])[Field.ExitCode, Field.ExitInfo1, Field.ExitInfo2])
        {
            program.Print(space);
            c.mov(rax, __qword_ptr[r15 + field]);
            program.PrintHexadecimal();
        }
        program.Print(line);
        c.Label(ref told);

        // How far the guest goes on; nRIP is not there on every processor.
        c.mov(rax, __qword_ptr[r15 + Field.ExitCode]);
        c.mov(ecx, 1);
        c.cmp(rax, HltExit);
        c.je(passed);
        c.inc(ecx);
        foreach (int code in (int[])[CpuidExit, PortExit, MsrExit, InvalidOpcodeExit])
        {
            c.cmp(rax, code);
            c.je(passed);
        }
        c.cmp(rax, NestedPageFaultExit);
        c.je(mapped);
        c.cmp(rax, VmmcallExit);
        c.je(next);
        c.jmp(program.Fail);

        c.Label(ref passed);
        c.add(__qword_ptr[r15 + Field.Rip], rcx);
        c.jmp(enter);
        c.Label(ref mapped);
        c.mov(__qword_ptr[r15 + Directory + HoleEntry * 8], Hole | LargePage);
        c.jmp(enter);
        c.Label(ref next);
        c.add(__qword_ptr[r15 + Field.Rip], 3);
        c.inc(r12);
        c.jmp(round);

        c.Label(ref guest);
        c.xor(eax, eax);
        c.cpuid();
        c.@in(al, 0x80);
        c.mov(ecx, ExtendedFeatures);
        c.rdmsr();
        c.ud2();
        c.hlt();
        c.mov(eax, Hole);
        c.mov(eax, __dword_ptr[rax]);
        c.vmmcall();
        c.jmp(guest);

        c.Label(ref done);
        program.Print(name);
        program.Print(space);
        c.mov(rax, r14);
        program.PrintHexadecimal();
        program.Print(exits);
        return program.Build();

        void EnableSvm()
        {
            c.mov(eax, 0x8000_0001);
            c.cpuid();
            c.test(ecx, SvmBit);
            c.je(program.Fail);
            c.mov(ecx, VmControl);
            c.rdmsr();
            c.test(eax, SvmDisabled);
            c.jne(program.Fail);
            c.mov(ecx, ExtendedFeatures);
            c.rdmsr();
            c.or(eax, SvmEnable);
            c.wrmsr();
            c.mov(ecx, HostSaveArea);
            c.lea(rax, __[r15 + HostState]);
            c.xor(edx, edx);
            c.wrmsr();
        }

        // All ports and registers are intercepted. Nested tables lead to the same address, by large pages.
        void FillMaps()
        {
            Label page = c.CreateLabel();
            c.lea(rdi, __[r15 + PortMap]);
            c.mov(ecx, Root - PortMap);
            c.mov(eax, 0xFF);
            c.rep.stosb();
            c.lea(rax, __[r15 + Pointers + 7]);
            c.mov(__qword_ptr[r15 + Root], rax);
            c.lea(rax, __[r15 + Directory + 7]);
            c.mov(__qword_ptr[r15 + Pointers], rax);
            c.lea(rdi, __[r15 + Directory]);
            c.mov(eax, LargePage);
            c.mov(ecx, 512);
            c.Label(ref page);
            c.stosq();
            c.add(rax, 1 << 21);
            c.dec(ecx);
            c.jne(page);
        }

        void FillControls()
        {
            c.mov(__dword_ptr[r15 + Field.Exceptions], 1 << (InvalidOpcodeExit - FirstException));
            c.mov(__dword_ptr[r15 + Field.Misc1], 1 << (CpuidExit - FirstMisc1) | 1 << (HltExit - FirstMisc1) | 1 << (PortExit - FirstMisc1) | 1 << (MsrExit - FirstMisc1));
            c.mov(__dword_ptr[r15 + Field.Misc2], 1 << (VmrunExit - VmrunExit) | 1 << (VmmcallExit - VmrunExit));
            c.lea(rax, __[r15 + PortMap]);
            c.mov(__qword_ptr[r15 + Field.PortMap], rax);
            c.lea(rax, __[r15 + MsrMap]);
            c.mov(__qword_ptr[r15 + Field.MsrMap], rax);
            c.mov(__dword_ptr[r15 + Field.Asid], 1);
            // CPUID 8000_000A EDX bit 0.
            c.mov(eax, 0x8000_000A);
            c.cpuid();
            c.and(edx, 1);
            c.mov(__dword_ptr[r15 + Field.NestedControl], edx);
            c.lea(rax, __[r15 + Root]);
            c.mov(__qword_ptr[r15 + Field.NestedCr3], rax);
        }

        // The guest is in the hypervisor's own mode and address space.
        void FillState()
        {
            const int Code64 = 0xA9B, Data32 = 0xC93;
            foreach ((int field, int selector, int attributes) in ((int, int, int)[])[(Field.Es, 16, Data32), (Field.Cs, 8, Code64), (Field.Ss, 16, Data32), (Field.Ds, 16, Data32)])
            {
                c.mov(__dword_ptr[r15 + field], attributes << 16 | selector);
                c.mov(__dword_ptr[r15 + field + 4], -1);
            }
            c.sub(rsp, 16);
            c.sgdt(__[rsp]);
            c.movzx(eax, __word_ptr[rsp]);
            c.mov(__dword_ptr[r15 + Field.GdtrLimit], eax);
            c.mov(rax, __qword_ptr[rsp + 2]);
            c.mov(__qword_ptr[r15 + Field.GdtrBase], rax);
            c.add(rsp, 16);
            c.mov(ecx, ExtendedFeatures);
            c.rdmsr();
            c.mov(__dword_ptr[r15 + Field.Efer], eax);
            c.mov(rax, cr4);
            c.mov(__qword_ptr[r15 + Field.Cr4], rax);
            c.mov(rax, cr3);
            c.mov(__qword_ptr[r15 + Field.Cr3], rax);
            c.mov(rax, cr0);
            c.mov(__qword_ptr[r15 + Field.Cr0], rax);
            c.mov(__dword_ptr[r15 + Field.Dr7], 0x400);
            c.mov(eax, 0xFFFF_0FF0);
            c.mov(__qword_ptr[r15 + Field.Dr6], rax);
            c.mov(__dword_ptr[r15 + Field.Rflags], 2);
            c.lea(rax, __[guest]);
            c.mov(__qword_ptr[r15 + Field.Rip], rax);
            c.mov(rax, 0x0007_0406_0007_0406);
            c.mov(__qword_ptr[r15 + Field.Pat], rax);
            // FS, GS, LDTR, TR and the registers of system calls.
            c.mov(rax, r15);
            c.vmsave();
        }
    }
}
