using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// forkwait of Adams and Agesen's paper (ASPLOS 2006, section 6.2): a program that forks children one after the other, each of which exits at
/// once, and waits for each. Creating and destroying address spaces is all that it does.
/// </summary>
/// <remarks>
/// What a fork costs depends on the memory that a program has. A static one has next to none; the paper's was a C program with its library.
/// So this one can be given a working set.
/// </remarks>
public static class ForkWait
{
    /// <summary>Forks without an argument that says otherwise, as many as in the paper.</summary>
    public const int DefaultCount = 40_000;

    private const int AdviseMemory = 28, Fork = 57, Exit = 60, Wait4 = 61;
    private const int AdviceNoHugePages = 15;
    private const int PageShift = 12, PageSize = 1 << PageShift, MostPages = 1 << 20;

    /// <summary>
    /// The program, a static ELF file for x86-64 Linux. Its arguments: the number of forks; the pages of memory that the parent has; how many of them each
    /// child writes to; how many the parent writes to between forks. It prints "forkwait N half" when half of them are over and "forkwait N done", and ends with 0; 1 if a system call fails, 2
    /// for arguments that cannot be. As the first process it turns the machine off instead of ending.
    /// </summary>
    public static byte[] Program { get; } = Build();

    /// <summary>
    /// An initial RAM disk with the program as /init, in gzip. The kernel gives it what stands behind "--" on its command line:
    /// console=ttyS0 -- 1000 64 64 64.
    /// </summary>
    public static byte[] InitialRamDisk { get; } = LinuxProgram.InitialRamDisk(Program);

    /// <summary>
    /// RBX has the forks to make, R8 half of all, R12 the count's text, R13 its length; R15 the memory, R14 its pages, RBP those that the child writes to, R9 those of the
    /// parent.
    /// </summary>
    private static byte[] Build()
    {
        var program = new LinuxProgram(
            "forkwait: fork, wait4 or mmap failed\n",
            "forkwait: the arguments are no number of forks, or no numbers of pages; give decimal numbers, and no more pages to write to than there are\n");
        GuestProgram.Text name = program.Add("forkwait "), half = program.Add(" half\n"), done = program.Add(" done\n"), forks = program.Add($"{DefaultCount}"), none = program.Add("0");
        Assembler c = program.Code;
        Label ready = c.CreateLabel(), fork = c.CreateLabel(), next = c.CreateLabel(), child = c.CreateLabel(), finished = c.CreateLabel();

        program.ReadNumber(1, forks, rbx, r12, r13);
        program.ReadNumber(2, none, r14, rdi, rdx);
        c.cmp(r14, MostPages);
        c.ja(program.Misuse);
        program.ReadNumber(3, none, rbp, rdi, rdx);
        c.cmp(rbp, r14);
        c.ja(program.Misuse);
        MakeMemory();
        program.ReadNumber(4, none, r9, rdi, rdx);
        c.cmp(r9, r14);
        c.ja(program.Misuse);
        c.mov(r8, rbx);
        c.shr(r8, 1);

        c.Label(ref next);
        c.test(rbx, rbx);
        c.jz(finished);
        c.cmp(rbx, r8);
        c.jne(fork);
        program.PrintMark(name, half);
        c.Label(ref fork);
        program.Call(Fork);
        c.test(rax, rax);
        c.js(program.Fail);
        c.jz(child);
        c.mov(rdi, rax);
        c.xor(esi, esi);
        c.xor(edx, edx);
        c.xor(r10d, r10d);
        program.Call(Wait4);
        c.test(rax, rax);
        c.js(program.Fail);
        WriteTo(r9);
        c.dec(rbx);
        c.jmp(next);

        c.Label(ref child);
        WriteTo(rbp);
        c.xor(edi, edi);
        program.Call(Exit);

        c.Label(ref finished);
        program.PrintMark(name, done);
        return program.Build();

        void MakeMemory()
        {
            c.test(r14, r14);
            c.jz(ready);
            c.mov(rsi, r14);
            c.shl(rsi, PageShift);
            program.GetMemory();
            // Small pages, as there were then; a kernel that has no others refuses, which is as well.
            c.mov(rdi, r15);
            c.mov(edx, AdviceNoHugePages);
            program.Call(AdviseMemory);
            WriteTo(r14);
            c.Label(ref ready);
        }

        // Writes to the first so many pages.
        void WriteTo(AssemblerRegister64 pages)
        {
            Label write = c.CreateLabel(), more = c.CreateLabel();
            c.mov(rcx, pages);
            c.mov(rdx, r15);
            c.jmp(more);
            c.Label(ref write);
            c.mov(__byte_ptr[rdx], bl);
            c.add(rdx, PageSize);
            c.Label(ref more);
            c.sub(rcx, 1);
            c.jnc(write);
        }
    }
}
