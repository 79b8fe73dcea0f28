using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// forkwait of Adams and Agesen's paper (ASPLOS 2006, section 6.2): a program that forks children one after the other, each of which exits at
/// once, and waits for each. Creating and destroying address spaces is all that it does.
/// </summary>
public static class ForkWait
{
    /// <summary>Forks without an argument that says otherwise, as many as in the paper.</summary>
    public const int DefaultCount = 40_000;

    private const int Fork = 57, Exit = 60, Wait4 = 61;

    /// <summary>
    /// The program, a static ELF file for x86-64 Linux. Its argument is the number of forks. It prints "forkwait N done", and ends with 0; 1 if a fork
    /// or wait fails, 2 for an argument that is no number. As the first process it turns the machine off instead of ending.
    /// </summary>
    public static byte[] Program { get; } = Build();

    /// <summary>
    /// An initial RAM disk with the program as /init, in gzip. The kernel gives it what stands behind "--" on its command line:
    /// console=ttyS0 -- 1000.
    /// </summary>
    public static byte[] InitialRamDisk { get; } = LinuxProgram.InitialRamDisk(Program);

    /// <summary>RBX has the forks to make, R12 the count's text, R13 its length.</summary>
    private static byte[] Build()
    {
        var program = new LinuxProgram("forkwait: fork or wait4 failed\n", "forkwait: the argument is no number of forks; give a decimal number\n");
        LinuxProgram.Text name = program.Add("forkwait "), done = program.Add(" done\n"), count = program.Add($"{DefaultCount}");
        Assembler c = program.Code;
        Label next = c.CreateLabel(), child = c.CreateLabel(), finished = c.CreateLabel();

        program.ReadNumber(1, count, rbx, r12, r13);
        c.Label(ref next);
        c.test(rbx, rbx);
        c.jz(finished);
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
        c.dec(rbx);
        c.jmp(next);

        c.Label(ref child);
        c.xor(edi, edi);
        program.Call(Exit);

        c.Label(ref finished);
        program.Print(name);
        c.mov(rsi, r12);
        c.mov(rdx, r13);
        program.Print();
        program.Print(done);
        return program.Build();
    }
}
