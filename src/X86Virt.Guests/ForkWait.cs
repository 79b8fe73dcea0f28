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

    // Documentation/admin-guide and include/uapi: arch/x86/entry/syscalls/syscall_64.tbl, linux/reboot.h, asm-generic/ioctls.h.
    private const int Write = 1, IoControl = 16, GetProcessId = 39, Fork = 57, Exit = 60, Wait4 = 61, Reboot = 169;
    private const int StandardOutput = 1, DrainTerminal = 0x5409;
    private const uint RebootMagic1 = 0xFEE1_DEAD, RebootMagic2 = 0x2812_1969, PowerOff = 0x4321_FEDC;

    private readonly record struct Message(uint Address, int Length);

    /// <summary>
    /// The program, a static ELF file for x86-64 Linux. Its argument is the number of forks. It prints "forkwait N done", and ends with 0; 1 if a fork
    /// or wait fails, 2 for an argument that is no number. As the first process it turns the machine off instead of ending.
    /// </summary>
    public static byte[] Program { get; } = BuildProgram();

    /// <summary>
    /// An initial RAM disk with the program as /init, in gzip. The kernel gives it what stands behind "--" on its command line:
    /// console=ttyS0 -- 1000.
    /// </summary>
    public static byte[] InitialRamDisk { get; } = BuildInitialRamDisk();

    private static byte[] BuildInitialRamDisk()
    {
        var archive = new CpioArchive();
        archive.AddDirectory("dev");
        archive.AddDevice("dev/console", 5, 1);
        archive.AddProgram("init", Program);
        return archive.ToGzip();
    }

    private static byte[] BuildProgram()
    {
        var data = new GuestData(ElfProgram.ContentAddress);
        Message Text(string text) => new(data.Add(text), text.Length);
        Message name = Text("forkwait "), done = Text(" done\n"), count = Text($"{DefaultCount}");
        Message failed = Text("forkwait: fork or wait4 failed\n"), usage = Text("forkwait: the argument is no number of forks; give a decimal number\n");

        GuestCode code = GuestAssembly.Assemble(Emit(name, done, count, failed, usage), data.End);
        return ElfProgram.Build([.. data.ToArray(), .. code.Bytes], data.End);
    }

    /// <summary>In the registers that system calls keep: RBX forks to make, R12 the count's text, R13 its length, EBP the exit status.</summary>
    private static Assembler Emit(Message name, Message done, Message count, Message failed, Message usage)
    {
        var c = new Assembler(64);
        Label parse = c.CreateLabel(), digit = c.CreateLabel(), parsed = c.CreateLabel(), next = c.CreateLabel(), child = c.CreateLabel();
        Label finished = c.CreateLabel(), fail = c.CreateLabel(), misuse = c.CreateLabel(), end = c.CreateLabel(), exit = c.CreateLabel();

        c.mov(r12d, count.Address);
        c.cmp(__qword_ptr[rsp], 2); // argc
        c.jb(parse);
        c.mov(r12, __qword_ptr[rsp + 16]); // argv[1]
        c.Label(ref parse);
        c.xor(ebx, ebx);
        c.mov(rsi, r12);
        c.Label(ref digit);
        c.movzx(eax, __byte_ptr[rsi]);
        c.test(eax, eax);
        c.jz(parsed);
        c.sub(eax, '0');
        c.cmp(eax, 9);
        c.ja(misuse);
        c.imul(rbx, rbx, 10);
        c.add(rbx, rax);
        c.inc(rsi);
        c.jmp(digit);
        c.Label(ref parsed);
        c.mov(r13, rsi);
        c.sub(r13, r12);
        c.jz(misuse);

        c.Label(ref next);
        c.test(rbx, rbx);
        c.jz(finished);
        Call(Fork);
        c.test(rax, rax);
        c.js(fail);
        c.jz(child);
        c.mov(rdi, rax);
        c.xor(esi, esi);
        c.xor(edx, edx);
        c.xor(r10d, r10d);
        Call(Wait4);
        c.test(rax, rax);
        c.js(fail);
        c.dec(rbx);
        c.jmp(next);

        c.Label(ref child);
        c.xor(edi, edi);
        Call(Exit);

        c.Label(ref finished);
        Print(name);
        c.mov(edi, StandardOutput);
        c.mov(rsi, r12);
        c.mov(rdx, r13);
        Call(Write);
        Print(done);
        c.xor(ebp, ebp);
        c.jmp(end);
        c.Label(ref fail);
        Print(failed);
        c.mov(ebp, 1);
        c.jmp(end);
        c.Label(ref misuse);
        Print(usage);
        c.mov(ebp, 2);

        c.Label(ref end);
        Call(GetProcessId);
        c.cmp(eax, 1);
        c.jne(exit);
        // The power goes without regard to what the terminal has not sent yet.
        c.mov(edi, StandardOutput);
        c.mov(esi, DrainTerminal);
        c.mov(edx, 1);
        Call(IoControl);
        c.mov(edi, RebootMagic1);
        c.mov(esi, RebootMagic2);
        c.mov(edx, PowerOff);
        Call(Reboot);
        c.Label(ref exit);
        c.mov(edi, ebp);
        Call(Exit);
        return c;

        void Call(int number)
        {
            c.mov(eax, number);
            c.syscall();
        }

        void Print(Message message)
        {
            c.mov(edi, StandardOutput);
            c.mov(esi, message.Address);
            c.mov(edx, message.Length);
            Call(Write);
        }
    }
}
