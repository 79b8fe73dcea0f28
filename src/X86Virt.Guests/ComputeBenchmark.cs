using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// Programs that only compute, one after the other: what direct execution is about. The same code is a process under Linux, and the whole guest without.
/// </summary>
public static class ComputeBenchmark
{
    /// <summary>Passes without an argument that says otherwise.</summary>
    public const int DefaultPasses = 10;

    /// <summary>
    /// The program, a static ELF file for x86-64 Linux. Its arguments: which of <see cref="Names"/> to run, or all; the passes. It prints "compute NAME CHECK" for each, and
    /// "compute done", and ends with 0; 1 if there is no memory, 2 for arguments that cannot be. As the first process it turns the machine off instead of ending.
    /// </summary>
    public static byte[] Program { get; } = Build(new LinuxProgram(Failed, Usage));

    /// <summary>An initial RAM disk with the program as /init, in gzip: console=ttyS0 -- sieve 100.</summary>
    public static byte[] InitialRamDisk { get; } = LinuxProgram.InitialRamDisk(Program);

    /// <summary>The same without an operating system: a multiboot image whose command line has the arguments. Needs 16 MiB.</summary>
    public static byte[] Image { get; } = Build(new BareProgram(Failed, Usage));

    /// <summary>What can be run.</summary>
    public static IReadOnlyList<string> Names => [.. Kernels(new Assembler(64)).Select(k => k.Name)];

    private const string Failed = "compute: there is not enough memory\n";
    private const string Usage = "compute: wrong arguments; give a program (all, fib, sieve, matrix, hash or chase) and the number of passes\n";
    private const int MemorySize = 1 << 20;

    /// <summary>A pass adds to the sum in R14; it may use all registers but RBX, R12, R13 and R15, which has the memory. Before the first pass the memory is prepared.</summary>
    private sealed record Kernel(string Name, Action Pass, Action? Prepare = null);

    private static Kernel[] Kernels(Assembler c) =>
    [
        new("fib", () => Fibonacci(c)), new("sieve", () => Sieve(c)), new("matrix", () => Matrix(c)), new("hash", () => Hash(c)), new("chase", () => Chase(c), () => MakeChain(c)),
    ];

    /// <summary>RBX has the passes to make, R12 the name that is wanted, R13 all passes, R14 the sum, R15 the memory.</summary>
    private static byte[] Build(GuestProgram program)
    {
        GuestProgram.Text all = program.Add("all"), passes = program.Add($"{DefaultPasses}"), done = program.Add("compute done\n"), line = program.Add("\n");
        Assembler c = program.Code;
        Kernel[] kernels = Kernels(c);
        GuestProgram.Text[] names = [.. kernels.Select(k => program.Add(k.Name))], words = [.. kernels.Select(k => program.Add($"compute {k.Name} "))];
        Label known = c.CreateLabel();

        program.ReadNumber(2, passes, r13, rdi, rdx);
        program.ReadText(1, all, r12);
        program.GetMemory(MemorySize);
        foreach (GuestProgram.Text name in names.Append(all))
            JumpIfWanted(name, known);
        c.jmp(program.Misuse);
        c.Label(ref known);
        c.nop();
        for (int i = 0; i < kernels.Length; i++)
            Run(kernels[i], names[i], words[i]);
        program.Print(done);
        return program.Build();

        void JumpIfWanted(GuestProgram.Text name, Label to)
        {
            c.mov(rsi, r12);
            c.mov(edi, name.Address);
            c.mov(ecx, name.Length + 1);
            c.repe.cmpsb();
            c.je(to);
        }

        void Run(Kernel kernel, GuestProgram.Text name, GuestProgram.Text words)
        {
            Label run = c.CreateLabel(), pass = c.CreateLabel(), print = c.CreateLabel(), skip = c.CreateLabel();
            JumpIfWanted(name, run);
            JumpIfWanted(all, run);
            c.jmp(skip);
            c.Label(ref run);
            c.xor(r14d, r14d);
            kernel.Prepare?.Invoke();
            c.mov(rbx, r13);
            c.Label(ref pass);
            c.sub(rbx, 1);
            c.jc(print);
            kernel.Pass();
            c.jmp(pass);
            c.Label(ref print);
            program.Print(words);
            c.mov(rax, r14);
            program.PrintHexadecimal();
            program.Print(line);
            c.Label(ref skip);
            c.nop();
        }
    }

    /// <summary>The 22nd Fibonacci number by recursion: calls and returns.</summary>
    private static void Fibonacci(Assembler c)
    {
        Label function = c.CreateLabel(), more = c.CreateLabel(), behind = c.CreateLabel();
        c.mov(edi, 22);
        c.call(function);
        c.add(r14, rax);
        c.jmp(behind);

        c.Label(ref function);
        c.cmp(edi, 2);
        c.jae(more);
        c.mov(eax, edi);
        c.ret();
        c.Label(ref more);
        c.push(rdi);
        c.dec(edi);
        c.call(function);
        c.pop(rdi);
        c.push(rax);
        c.sub(edi, 2);
        c.call(function);
        c.pop(rcx);
        c.add(rax, rcx);
        c.ret();
        c.Label(ref behind);
        c.nop();
    }

    /// <summary>Primes below 64 Ki: bytes, short loops.</summary>
    private static void Sieve(Assembler c)
    {
        const int Limit = 1 << 16;
        Label number = c.CreateLabel(), mark = c.CreateLabel(), composite = c.CreateLabel(), count = c.CreateLabel(), next = c.CreateLabel();
        c.mov(rdi, r15);
        c.mov(ecx, Limit / sizeof(ulong));
        c.xor(eax, eax);
        c.rep.stosq();
        c.mov(ecx, 2);
        c.Label(ref number);
        c.cmp(__byte_ptr[r15 + rcx], 0);
        c.jne(composite);
        c.mov(eax, ecx);
        c.imul(eax, ecx);
        c.Label(ref mark);
        c.mov(__byte_ptr[r15 + rax], 1);
        c.add(eax, ecx);
        c.cmp(eax, Limit);
        c.jb(mark);
        c.Label(ref composite);
        c.inc(ecx);
        c.cmp(ecx, 1 << 8);
        c.jb(number);

        c.mov(ecx, 2);
        c.Label(ref count);
        c.cmp(__byte_ptr[r15 + rcx], 0);
        c.jne(next);
        c.add(r14, rcx);
        c.Label(ref next);
        c.inc(ecx);
        c.cmp(ecx, Limit);
        c.jb(count);
    }

    /// <summary>A product of two matrices of 48 by 48 integers: nested loops, multiplications.</summary>
    private static void Matrix(Assembler c)
    {
        const int Size = 48, Second = 1 << 16;
        Label fill = c.CreateLabel(), row = c.CreateLabel(), column = c.CreateLabel(), inner = c.CreateLabel();
        c.xor(ecx, ecx);
        c.Label(ref fill);
        c.lea(eax, __[rbx + rcx * 8]);
        c.mov(__dword_ptr[r15 + rcx * 4], eax);
        c.xor(eax, ecx);
        c.mov(__dword_ptr[r15 + rcx * 4 + Second], eax);
        c.inc(ecx);
        c.cmp(ecx, Size * Size);
        c.jb(fill);

        c.xor(r8d, r8d); // the row's first element
        c.Label(ref row);
        c.xor(r9d, r9d); // the column
        c.Label(ref column);
        c.mov(r10d, r9d);
        c.xor(ecx, ecx);
        c.xor(eax, eax);
        c.lea(rsi, __[r15 + r8 * 4]);
        c.Label(ref inner);
        c.mov(edx, __dword_ptr[rsi + rcx * 4]);
        c.imul(edx, __dword_ptr[r15 + r10 * 4 + Second]);
        c.add(eax, edx);
        c.add(r10d, Size);
        c.inc(ecx);
        c.cmp(ecx, Size);
        c.jb(inner);
        c.rol(r14, 1);
        c.add(r14, rax);
        c.inc(r9d);
        c.cmp(r9d, Size);
        c.jb(column);
        c.add(r8d, Size);
        c.cmp(r8d, Size * Size);
        c.jb(row);
    }

    /// <summary>Quarter rounds of ChaCha (RFC 8439, section 2.1) in registers: additions and rotations.</summary>
    private static void Hash(Assembler c)
    {
        Label round = c.CreateLabel();
        c.mov(ecx, 50_000);
        c.mov(eax, 0x6170_7865);
        c.mov(edx, r14d);
        c.mov(esi, ebx);
        c.mov(edi, 0x7962_2d32);
        c.Label(ref round);
        foreach ((AssemblerRegister32 a, AssemblerRegister32 b, AssemblerRegister32 d, byte turn) in new[] { (eax, edx, edi, (byte)16), (esi, edi, edx, (byte)12), (eax, edx, edi, (byte)8), (esi, edi, edx, (byte)7) })
        {
            c.add(a, b);
            c.xor(d, a);
            c.rol(d, turn);
        }
        c.dec(ecx);
        c.jne(round);
        c.add(r14, rax);
        c.rol(r14, 32);
        c.add(r14, rsi);
    }

    private const int Links = MemorySize / sizeof(ulong);

    /// <summary>A ring through all of the memory, in the order of a linear congruential generator whose period is the number of links (Knuth, section 3.2.1.2).</summary>
    private static void MakeChain(Assembler c)
    {
        Label link = c.CreateLabel();
        c.xor(ecx, ecx);
        c.Label(ref link);
        c.imul(eax, ecx, 0x5_9F35);
        c.add(eax, 0x1_2345);
        c.and(eax, Links - 1);
        c.mov(__qword_ptr[r15 + rcx * 8], rax);
        c.inc(ecx);
        c.cmp(ecx, Links);
        c.jb(link);
    }

    /// <summary>So many loads as there are links, each of which needs the one before.</summary>
    private static void Chase(Assembler c)
    {
        Label step = c.CreateLabel();
        c.mov(ecx, Links - 1);
        c.mov(eax, ebx);
        c.and(eax, Links - 1);
        c.Label(ref step);
        c.mov(rax, __qword_ptr[r15 + rax * 8]);
        c.dec(ecx);
        c.jne(step);
        c.add(r14, rax);
    }
}
