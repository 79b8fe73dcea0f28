using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A program that needs no operating system: a multiboot image that enters long mode with an identity map of 1 GiB, has the words of its command line
/// for arguments, prints to the first serial port, and turns the machine off.
/// </summary>
internal sealed class BareProgram : GuestProgram
{
    private const uint LoadAddress = 0x10_0000, HeaderLength = 32, EntryCode = 0x10_1000, MainCode = 0x10_2000;
    private const uint Root = 0x20_0000, Pointers = 0x20_1000, Directory = 0x20_2000, TablesEnd = 0x20_3000;
    private const uint Information = TablesEnd, Arguments = 0x20_F000, Memory = 0x40_0000, MemoryEnd = 0x80_0000;
    private const uint CodeSelector = 8, DataSelector = 16, ExtendedFeatures = 0xC000_0080;
    private const int MostArguments = 16, CommandLineField = 16, HasCommandLine = 1 << 2;
    private const ushort Com1 = 0x3F8, LineStatus = Com1 + 5, PowerManagementControl = 0x604, SleepEnable = 0x2000;
    private const byte TransmitterEmpty = 0x20;

    private readonly uint _descriptorsPointer;

    public BareProgram(string failed, string usage)
        : base(LoadAddress + HeaderLength, failed, usage)
    {
        byte[] descriptors = new byte[3 * sizeof(ulong)], pointer = new byte[sizeof(ushort) + sizeof(uint)];
        BinaryPrimitives.WriteUInt64LittleEndian(descriptors.AsSpan((int)CodeSelector), 0x00AF_9B00_0000_FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptors.AsSpan((int)DataSelector), 0x00CF_9300_0000_FFFF);
        BinaryPrimitives.WriteUInt16LittleEndian(pointer, (ushort)(descriptors.Length - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(pointer.AsSpan(sizeof(ushort)), Data.Add(descriptors));
        _descriptorsPointer = Data.Add(pointer);
        SplitCommandLine();
    }

    public override void Print()
    {
        Label next = Code.CreateLabel(), wait = Code.CreateLabel();
        Code.mov(ecx, edx);
        Code.Label(ref next);
        Code.mov(dx, LineStatus);
        Code.Label(ref wait);
        Code.@in(al, dx);
        Code.test(al, (sbyte)TransmitterEmpty);
        Code.je(wait);
        Code.mov(dx, Com1);
        Code.lodsb();
        Code.@out(dx, al);
        Code.dec(ecx);
        Code.jne(next);
    }

    public override void GetMemory(int bytes)
    {
        if (bytes > MemoryEnd - Memory)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"The program has {MemoryEnd - Memory} bytes of memory.");
        Code.mov(r15d, Memory);
        Code.mov(edi, Memory);
        Code.mov(ecx, bytes);
        Code.xor(eax, eax);
        Code.rep.stosb();
    }

    protected override void End()
    {
        Label halt = Code.CreateLabel();
        Code.mov(dx, PowerManagementControl);
        Code.mov(eax, SleepEnable);
        Code.@out(dx, ax);
        Code.cli();
        Code.Label(ref halt);
        Code.hlt();
        Code.jmp(halt);
    }

    /// <summary>Multiboot 1 with address fields; all memory that the program uses is claimed as bss, so that loaders put nothing there, such as the command line.</summary>
    protected override byte[] Link()
    {
        const uint Magic = 0x1BAD_B002, Flags = 0x1_0003;
        byte[] entry = Entry(), main = GuestAssembly.Assemble(Code, MainCode).Bytes, data = Data.ToArray();
        if (Data.End > EntryCode)
            throw new InvalidOperationException($"The program's texts take {data.Length} bytes; there is room for {EntryCode - LoadAddress - HeaderLength}.");
        byte[] image = new byte[MainCode - LoadAddress + main.Length];
        uint[] header = [Magic, Flags, unchecked(0 - Magic - Flags), LoadAddress, LoadAddress, LoadAddress + (uint)image.Length, MemoryEnd, EntryCode];
        for (int i = 0; i < header.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(i * sizeof(uint)), header[i]);
        data.CopyTo(image, HeaderLength);
        entry.CopyTo(image, EntryCode - LoadAddress);
        main.CopyTo(image, MainCode - LoadAddress);
        return image;
    }

    /// <summary>From 32-bit protected mode without paging into long mode.</summary>
    private byte[] Entry()
    {
        var c = new Assembler(32);
        Label page = c.CreateLabel();
        c.cli();
        c.cld();
        c.mov(edi, Root);
        c.xor(eax, eax);
        c.mov(ecx, (TablesEnd - Root) / sizeof(uint));
        c.rep.stosd();
        c.mov(__dword_ptr[Information], ebx);
        c.mov(__dword_ptr[Root], Pointers | 3);
        c.mov(__dword_ptr[Pointers], Directory | 3);
        c.mov(edi, Directory);
        c.mov(eax, 0x83); // present, writable, 2 MiB
        c.mov(ecx, 512);
        c.Label(ref page);
        c.mov(__dword_ptr[edi], eax);
        c.add(eax, 0x20_0000);
        c.add(edi, 8);
        c.dec(ecx);
        c.jne(page);

        c.mov(eax, cr4);
        c.or(eax, 1 << 5); // PAE
        c.mov(cr4, eax);
        c.mov(eax, Root);
        c.mov(cr3, eax);
        c.mov(ecx, ExtendedFeatures);
        c.rdmsr();
        c.or(eax, 0x100); // LME
        c.wrmsr();
        c.mov(eax, cr0);
        c.or(eax, 0x8000_0000);
        c.mov(cr0, eax);
        c.lgdt(__[_descriptorsPointer]);
        c.mov(esp, Arguments);
        c.push(CodeSelector);
        c.push(MainCode);
        c.retf();
        return GuestAssembly.Assemble(c, EntryCode).Bytes;
    }

    /// <summary>Where the program begins: the words of the command line as arguments. Each ends where the space behind it was.</summary>
    private void SplitCommandLine()
    {
        Label next = Code.CreateLabel(), word = Code.CreateLabel(), scan = Code.CreateLabel(), done = Code.CreateLabel();
        Code.mov(eax, DataSelector);
        Code.mov(ds, eax);
        Code.mov(es, eax);
        Code.mov(ss, eax);
        Code.mov(esp, Arguments);
        Code.mov(eax, __dword_ptr[Information]);
        Code.mov(esi, __dword_ptr[rax + CommandLineField]);
        Code.xor(ecx, ecx);
        Code.test(__dword_ptr[rax], HasCommandLine);
        Code.je(done);
        Code.Label(ref next);
        Code.cmp(__byte_ptr[rsi], 0);
        Code.je(done);
        Code.cmp(__byte_ptr[rsi], (sbyte)' ');
        Code.jne(word);
        Code.inc(rsi);
        Code.jmp(next);

        Code.Label(ref word);
        Code.cmp(ecx, MostArguments);
        Code.je(done);
        Code.mov(__qword_ptr[rsp + rcx * 8 + 8], rsi);
        Code.inc(ecx);
        Code.Label(ref scan);
        Code.inc(rsi);
        Code.cmp(__byte_ptr[rsi], 0);
        Code.je(done);
        Code.cmp(__byte_ptr[rsi], (sbyte)' ');
        Code.jne(scan);
        Code.mov(__byte_ptr[rsi], 0);
        Code.inc(rsi);
        Code.jmp(next);
        Code.Label(ref done);
        Code.mov(__qword_ptr[rsp], rcx);
    }
}
