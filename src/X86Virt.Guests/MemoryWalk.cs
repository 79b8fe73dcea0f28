using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A program that reads memory all over a large area, so that nearly every read misses the TLB where pages are small: what walks of page tables
/// cost is all that it shows.
/// </summary>
public static class MemoryWalk
{
    /// <summary>Reads, MiB, and bytes of a page without arguments that say otherwise.</summary>
    public const int DefaultReads = 1_000_000, DefaultSize = 64, DefaultPage = 4096;

    private const int MapMemory = 9, AdviseMemory = 28, AdviceNoHugePages = 15;
    private const int ReadWrite = 3, PrivateAnonymous = 0x22, HugePages = 0x4_0000 | (21 << 26);
    private const int SmallPage = 4096, HugePage = 2 << 20, MebibyteShift = 20;
    private const int LargestSize = 1 << 20;

    /// <summary>Knuth's linear congruential generator (MMIX); of what it gives the upper bits are the better ones.</summary>
    private const ulong Multiplier = 6364136223846793005, Increment = 1442695040888963407;
    private const int UpperBits = 20;

    /// <summary>
    /// The program, a static ELF file for x86-64 Linux. Its arguments: the number of reads; MiB, a power of two; bytes of a page, 4096 or 2097152.
    /// It touches all pages, prints "memorywalk N touched", reads, and prints "memorywalk N done". It ends with 0; 1 if there is not so much memory, or not so
    /// many huge pages (hugepages=N on the kernel's command line sets them aside); 2 for wrong arguments. As the first process it turns the machine off instead of ending.
    /// </summary>
    public static byte[] Program { get; } = Build();

    /// <summary>An initial RAM disk with the program as /init, in gzip: console=ttyS0 hugepages=32 -- 1000000 64 2097152.</summary>
    public static byte[] InitialRamDisk { get; } = LinuxProgram.InitialRamDisk(Program);

    /// <summary>RBX has the reads to make, R12 the count's text, R13 its length, R14 the size in bytes, R15 the area.</summary>
    private static byte[] Build()
    {
        var program = new LinuxProgram(
            "memorywalk: mmap failed; take less memory, or set huge pages aside: hugepages=N on the kernel's command line\n",
            "memorywalk: wrong arguments; give reads, MiB (a power of two), and bytes of a page (4096 or 2097152)\n");
        GuestProgram.Text name = program.Add("memorywalk "), touched = program.Add(" touched\n"), done = program.Add(" done\n");
        GuestProgram.Text reads = program.Add($"{DefaultReads}"), size = program.Add($"{DefaultSize}"), page = program.Add($"{DefaultPage}");
        Assembler c = program.Code;
        Label map = c.CreateLabel(), touch = c.CreateLabel(), next = c.CreateLabel(), finished = c.CreateLabel();

        program.ReadNumber(1, reads, rbx, r12, r13);
        program.ReadNumber(2, size, r14, rdi, rdx);
        CheckSize();
        program.ReadNumber(3, page, r15, rdi, rdx);
        c.mov(r10d, PrivateAnonymous);
        c.cmp(r15, SmallPage);
        c.je(map);
        c.mov(r10d, PrivateAnonymous | HugePages);
        c.cmp(r15, HugePage);
        c.jne(program.Misuse);

        c.Label(ref map);
        c.xor(edi, edi);
        c.mov(rsi, r14);
        c.mov(edx, ReadWrite);
        c.mov(r8, -1);
        c.xor(r9d, r9d);
        program.Call(MapMemory);
        c.test(rax, rax);
        c.js(program.Fail);
        c.mov(r15, rax);
        // No huge pages in place of small ones; a kernel that has none refuses, which is as well.
        c.mov(rdi, rax);
        c.mov(rsi, r14);
        c.mov(edx, AdviceNoHugePages);
        program.Call(AdviseMemory);

        c.xor(ecx, ecx);
        c.Label(ref touch);
        c.mov(__byte_ptr[r15 + rcx], 1);
        c.add(rcx, SmallPage);
        c.cmp(rcx, r14);
        c.jb(touch);

        program.PrintMark(name, touched);
        c.dec(r14); // as a mask from now on
        c.mov(r8, Multiplier);
        c.mov(r9, Increment);
        c.mov(eax, 1);
        c.Label(ref next);
        c.test(rbx, rbx);
        c.jz(finished);
        c.imul(rax, r8);
        c.add(rax, r9);
        c.mov(rcx, rax);
        c.shr(rcx, UpperBits);
        c.and(rcx, r14);
        c.movzx(edx, __byte_ptr[r15 + rcx]);
        c.dec(rbx);
        c.jmp(next);

        c.Label(ref finished);
        program.PrintMark(name, done);
        return program.Build();

        void CheckSize()
        {
            c.cmp(r14, LargestSize);
            c.ja(program.Misuse);
            c.lea(rax, __[r14 - 1]);
            c.test(rax, r14);
            c.jnz(program.Misuse);
            c.test(r14, r14);
            c.jz(program.Misuse);
            c.shl(r14, MebibyteShift);
        }
    }
}
