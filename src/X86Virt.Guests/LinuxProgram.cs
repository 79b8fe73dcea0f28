using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A program for x86-64 Linux. Numbers of system calls are those of arch/x86/entry/syscalls/syscall_64.tbl.
/// </summary>
internal sealed class LinuxProgram(string failed, string usage) : GuestProgram(ElfProgram.ContentAddress, failed, usage)
{
    private const int WriteCall = 1, MapMemory = 9, IoControl = 16, GetProcessId = 39, ExitCall = 60, Reboot = 169;
    private const int StandardOutput = 1, DrainTerminal = 0x5409, ReadWrite = 3, PrivateAnonymous = 0x22;
    private const uint RebootMagic1 = 0xFEE1_DEAD, RebootMagic2 = 0x2812_1969, PowerOff = 0x4321_FEDC;

    public void Call(int number)
    {
        Code.mov(eax, number);
        Code.syscall();
    }

    public override void Print()
    {
        Code.mov(edi, StandardOutput);
        Call(WriteCall);
    }

    /// <summary>A line that others wait for: the program's name, the number whose text R12 and R13 have (address and length), and what has been reached.</summary>
    public void PrintMark(Text name, Text reached)
    {
        Print(name);
        Code.mov(rsi, r12);
        Code.mov(rdx, r13);
        Print();
        Print(reached);
    }

    public override void GetMemory(int bytes)
    {
        Code.mov(esi, bytes);
        GetMemory();
    }

    /// <summary>RSI bytes of memory, all 0; their address into R15. Changes RAX, RCX, RDX, RDI and R8 to R11.</summary>
    public void GetMemory()
    {
        Code.xor(edi, edi);
        Code.mov(edx, ReadWrite);
        Code.mov(r10d, PrivateAnonymous);
        Code.mov(r8, -1);
        Code.xor(r9d, r9d);
        Call(MapMemory);
        Code.test(rax, rax);
        Code.js(Fail);
        Code.mov(r15, rax);
    }

    /// <summary>The first process turns the machine off instead of ending.</summary>
    protected override void End()
    {
        Label exit = Code.CreateLabel();
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
    }

    protected override byte[] Link()
    {
        GuestCode code = GuestAssembly.Assemble(Code, Data.End);
        return ElfProgram.Build([.. Data.ToArray(), .. code.Bytes], Data.End);
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
