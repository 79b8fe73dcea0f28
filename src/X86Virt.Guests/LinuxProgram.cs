using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A program for x86-64 Linux in the making, without a library: texts, then code. Numbers of system calls are those of
/// arch/x86/entry/syscalls/syscall_64.tbl. EBP is kept for the exit status.
/// </summary>
internal sealed class LinuxProgram
{
    private const int WriteCall = 1, IoControl = 16, GetProcessId = 39, ExitCall = 60, Reboot = 169;
    private const int StandardOutput = 1, DrainTerminal = 0x5409;
    private const uint RebootMagic1 = 0xFEE1_DEAD, RebootMagic2 = 0x2812_1969, PowerOff = 0x4321_FEDC;

    private readonly GuestData _data = new(ElfProgram.ContentAddress);
    private readonly Label _fail, _misuse, _end, _exit;
    private readonly Text _failed, _usage;

    /// <summary>A text and its final NUL.</summary>
    public readonly record struct Text(uint Address, int Length);

    /// <param name="failed">What to print where a system call fails.</param>
    /// <param name="usage">What to print for arguments that cannot be.</param>
    public LinuxProgram(string failed, string usage)
    {
        _failed = Add(failed);
        _usage = Add(usage);
        _fail = Code.CreateLabel();
        _misuse = Code.CreateLabel();
        _end = Code.CreateLabel();
        _exit = Code.CreateLabel();
    }

    public Assembler Code { get; } = new(64);

    /// <summary>Where to jump when a system call has failed: prints so and ends with 1.</summary>
    public Label Fail => _fail;

    /// <summary>Where to jump for wrong arguments: says what are right ones and ends with 2.</summary>
    public Label Misuse => _misuse;

    public Text Add(string text) => new(_data.Add(text), text.Length);

    public void Call(int number)
    {
        Code.mov(eax, number);
        Code.syscall();
    }

    public void Print(Text text)
    {
        Code.mov(edi, StandardOutput);
        Code.mov(esi, text.Address);
        Code.mov(edx, text.Length);
        Call(WriteCall);
    }

    /// <summary>Prints RDX characters at RSI.</summary>
    public void Print()
    {
        Code.mov(edi, StandardOutput);
        Call(WriteCall);
    }

    /// <summary>
    /// Reads an argument, a decimal number, or the default text if there are not so many: its value into <paramref name="value"/>, its text into
    /// <paramref name="text"/>, the text's length into <paramref name="length"/>. Before anything is pushed. Changes RAX and RSI.
    /// </summary>
    public void ReadNumber(int argument, Text @default, AssemblerRegister64 value, AssemblerRegister64 text, AssemblerRegister64 length)
    {
        Label parse = Code.CreateLabel(), digit = Code.CreateLabel(), parsed = Code.CreateLabel();
        Code.mov(text, @default.Address);
        Code.cmp(__qword_ptr[rsp], argument + 1); // argc
        Code.jb(parse);
        Code.mov(text, __qword_ptr[rsp + 8 + 8 * argument]);
        Code.Label(ref parse);
        Code.xor(value, value);
        Code.mov(rsi, text);
        Code.Label(ref digit);
        Code.movzx(eax, __byte_ptr[rsi]);
        Code.test(eax, eax);
        Code.jz(parsed);
        Code.sub(eax, '0');
        Code.cmp(eax, 9);
        Code.ja(_misuse);
        Code.imul(value, value, 10);
        Code.add(value, rax);
        Code.inc(rsi);
        Code.jmp(digit);
        Code.Label(ref parsed);
        Code.mov(length, rsi);
        Code.sub(length, text);
        Code.jz(_misuse);
    }

    /// <summary>The end: with status 0 from here, and the ways out for what went wrong. The first process turns the machine off instead of ending.</summary>
    public byte[] Build()
    {
        Label fail = _fail, misuse = _misuse, end = _end, exit = _exit;
        Code.xor(ebp, ebp);
        Code.jmp(end);
        Code.Label(ref fail);
        Print(_failed);
        Code.mov(ebp, 1);
        Code.jmp(end);
        Code.Label(ref misuse);
        Print(_usage);
        Code.mov(ebp, 2);

        Code.Label(ref end);
        Call(GetProcessId);
        Code.cmp(eax, 1);
        Code.jne(exit);
        // The power goes without regard to what the terminal has not sent yet.
        Code.mov(edi, StandardOutput);
        Code.mov(esi, DrainTerminal);
        Code.mov(edx, 1);
        Call(IoControl);
        Code.mov(edi, RebootMagic1);
        Code.mov(esi, RebootMagic2);
        Code.mov(edx, PowerOff);
        Call(Reboot);
        Code.Label(ref exit);
        Code.mov(edi, ebp);
        Call(ExitCall);

        GuestCode code = GuestAssembly.Assemble(Code, _data.End);
        return ElfProgram.Build([.. _data.ToArray(), .. code.Bytes], _data.End);
    }

    /// <summary>An initial RAM disk with the program as /init, in gzip; the kernel gives it what stands behind "--" on its command line.</summary>
    public static byte[] InitialRamDisk(byte[] program)
    {
        var archive = new CpioArchive();
        archive.AddDirectory("dev");
        archive.AddDevice("dev/console", 5, 1);
        archive.AddProgram("init", program);
        return archive.ToGzip();
    }
}
