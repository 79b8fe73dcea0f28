using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A small multiboot kernel: a command prompt on COM1, driven by the UART's interrupt, so that the machine idles between
/// keystrokes. Routines take a text in ESI or a character in AL and keep every other register.
/// </summary>
internal sealed class MonitorGuest
{
    private const uint LoadAddress = 0x10_0000, HeaderLength = 32;

    // Behind the image: interrupt table, line buffer, variables, stack.
    private const uint InterruptTable = 0x10_4000, Line = 0x10_4800, Information = 0x10_4900, LastCharacter = 0x10_4904, StackTop = 0x10_6000;
    private const int LineLength = 64;

    private const ushort CodeSelector = 8, DataSelector = 16;
    private const ushort Com1 = 0x3F8, LineStatus = Com1 + 5;
    private const byte SerialLine = 4, SerialVector = 0x20 + SerialLine;
    private const byte PicCommand = 0x20, PicData = 0x21, SecondPicCommand = 0xA0, SecondPicData = 0xA1;

    /// <summary>PM1a control of the PIIX4 where firmware and the platform put it: SLP_EN with sleep type 0 is S5.</summary>
    private const ushort PowerManagementControl = 0x604, SleepEnable = 0x2000;
    private const byte DebugExitPort = 0xF4, KeyboardCommand = 0x64, PulseReset = 0xFE;

    private readonly Assembler c = new(32);
    private readonly GuestData _data = new(LoadAddress + HeaderLength);
    private Label _putText, _putCharacter, _getCharacter, _putHex;

    private MonitorGuest()
    {
        _putText = c.CreateLabel("putText");
        _putCharacter = c.CreateLabel("putCharacter");
        _getCharacter = c.CreateLabel("getCharacter");
        _putHex = c.CreateLabel("putHex");
    }

    public static BuiltInGuest Build() => new MonitorGuest().Assemble();

    private BuiltInGuest Assemble()
    {
        (string Name, string Help, Action Body)[] commands =
        [
            ("help", "this list", () => { }),
            ("regs", "control registers, flags and stack pointer", Registers),
            ("mem", "memory map from the boot loader: base, length, type", MemoryMap),
            ("cpuid", "the processor's vendor", Vendor),
            ("halt", "stop with interrupts off", Halt),
            ("poweroff", "turn the machine off", PowerOff),
            ("exit", "end the machine through isa-debug-exit, exit code 1", DebugExit),
            ("reboot", "reset the machine", Reboot),
            ("crash", "run an undefined instruction without a handler", Crash),
        ];
        string help = string.Concat(commands.Select(k => $"  {k.Name,-10}{k.Help}\r\n"));
        commands[0].Body = () => Print(help);

        Label entry = c.CreateLabel("entry");
        Emit(commands, ref entry);
        GuestCode code = GuestAssembly.Assemble(c, CodeAddress, entry, _putText, _getCharacter);
        ulong entryAddress = code.Symbols["entry"];
        byte[] image = [.. Header((uint)entryAddress), .. Padded(_data.ToArray()), .. code.Bytes];
        return new BuiltInGuest("Hello", "a monitor on the first serial line; type help", image, 32, LoadAddress, entryAddress, code.Symbols);
    }

    /// <summary>The code follows the data, which has to fit in front of it.</summary>
    private const uint CodeAddress = LoadAddress + 0x1000;

    private static byte[] Padded(byte[] data)
    {
        byte[] padded = new byte[CodeAddress - LoadAddress - HeaderLength];
        data.CopyTo(padded, 0);
        return padded;
    }

    private static byte[] Header(uint entry)
    {
        const uint Magic = 0x1BAD_B002, Flags = 0x1_0003;
        byte[] header = new byte[HeaderLength];
        uint[] fields = [Magic, Flags, unchecked(0 - Magic - Flags), LoadAddress, LoadAddress, 0, StackTop, entry];
        for (int i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(i * 4), fields[i]);
        return header;
    }

    private void Emit((string Name, string Help, Action Body)[] commands, ref Label entry)
    {
        InterruptHandler();
        Label prompt = c.CreateLabel("prompt");
        c.Label(ref entry);
        SetUpDescriptors();
        SetUpInterrupts();
        SetUpSerial();
        Print("\r\nX86VIRT-GUEST-READY monitor\r\nThis is the guest that needs no download. Type help.\r\n");
        c.Label(ref prompt);
        Print("> ");
        ReadLine(prompt);
        foreach ((string name, _, Action body) in commands)
        {
            Label next = c.CreateLabel();
            c.mov(esi, Line);
            c.mov(edi, _data.Add(name));
            c.mov(ecx, name.Length + 1);
            c.repe.cmpsb();
            c.jne(next);
            body();
            c.jmp(prompt);
            c.Label(ref next);
        }
        Print("Unknown command. Type help.\r\n");
        c.jmp(prompt);
        PutText();
        PutCharacter();
        GetCharacter();
        PutHex();
    }

    /// <summary>At the start of the code, where its address is known. The character itself is fetched by the main line.</summary>
    private void InterruptHandler()
    {
        c.push(eax);
        c.mov(al, 0x20);
        c.@out(PicCommand, al);
        c.pop(eax);
        c.iretd();
    }

    private void SetUpDescriptors()
    {
        c.cld();
        c.mov(esp, StackTop);
        c.mov(__dword_ptr[Information], ebx);
        uint table = _data.Add([0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0x9B, 0xCF, 0, 0xFF, 0xFF, 0, 0, 0, 0x93, 0xCF, 0]);
        c.lgdt(__[Pointer(table, 3 * 8)]);
        c.mov(eax, DataSelector);
        c.mov(ds, eax);
        c.mov(es, eax);
        c.mov(ss, eax);

        // A far return to just behind it loads CS.
        Label there = c.CreateLabel(), here = c.CreateLabel();
        c.call(there);
        c.jmp(here);
        c.Label(ref there);
        c.pop(eax);
        c.push(CodeSelector);
        c.push(eax);
        c.retf();
        c.Label(ref here);
    }

    private uint Pointer(uint table, ushort length)
    {
        Span<byte> pointer = stackalloc byte[6];
        BinaryPrimitives.WriteUInt16LittleEndian(pointer, (ushort)(length - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(pointer[2..], table);
        return _data.Add(pointer);
    }

    private void SetUpInterrupts()
    {
        c.mov(edi, InterruptTable);
        c.xor(eax, eax);
        c.mov(ecx, (SerialVector + 1) * 2);
        c.rep.stosd();
        c.mov(__dword_ptr[InterruptTable + SerialVector * 8], (CodeSelector << 16) | (CodeAddress & 0xFFFF));
        c.mov(__dword_ptr[InterruptTable + SerialVector * 8 + 4], (CodeAddress & 0xFFFF_0000) | 0x8E00);
        c.lidt(__[Pointer(InterruptTable, (SerialVector + 1) * 8)]);

        // Both PICs start at 0x20; only the serial line is let through.
        foreach ((byte port, byte value) in new (byte, byte)[]
        {
            (PicCommand, 0x11), (SecondPicCommand, 0x11), (PicData, 0x20), (SecondPicData, 0x28), (PicData, 4), (SecondPicData, 2),
            (PicData, 1), (SecondPicData, 1), (PicData, unchecked((byte)~(1 << SerialLine))), (SecondPicData, 0xFF),
        })
        {
            c.mov(al, value);
            c.@out(port, al);
        }
    }

    /// <summary>115200 baud, 8 bits, no parity; interrupts on reception.</summary>
    private void SetUpSerial()
    {
        foreach ((int register, byte value) in new (int, byte)[] { (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 7), (4, 0xB), (1, 1) })
        {
            c.mov(dx, (ushort)(Com1 + register));
            c.mov(al, value);
            c.@out(dx, al);
        }
    }

    /// <summary>Fills the line buffer with what is typed, echoing it; an empty line goes back to <paramref name="prompt"/>.</summary>
    private void ReadLine(Label prompt)
    {
        Label read = c.CreateLabel(), erase = c.CreateLabel(), end = c.CreateLabel(), lineFeed = c.CreateLabel();
        c.mov(edi, Line);
        c.Label(ref read);
        c.call(_getCharacter);
        c.mov(bl, __byte_ptr[LastCharacter]);
        c.mov(__byte_ptr[LastCharacter], al);
        c.cmp(al, (sbyte)'\r');
        c.je(end);
        c.cmp(al, (sbyte)'\n');
        c.je(lineFeed);
        c.cmp(al, 8);
        c.je(erase);
        c.cmp(al, 0x7F);
        c.je(erase);
        c.cmp(al, (sbyte)' ');
        c.jb(read);
        c.cmp(edi, Line + LineLength - 1);
        c.jae(read);
        c.stosb();
        c.call(_putCharacter);
        c.jmp(read);

        c.Label(ref erase);
        c.cmp(edi, Line);
        c.je(read);
        c.dec(edi);
        Print("\b \b");
        c.jmp(read);

        // The second half of CR LF is no line of its own.
        c.Label(ref lineFeed);
        c.cmp(bl, (sbyte)'\r');
        c.je(read);
        c.Label(ref end);
        c.mov(__byte_ptr[edi], 0);
        Print("\r\n");
        c.cmp(edi, Line);
        c.je(prompt);
    }

    private void Print(string text)
    {
        c.mov(esi, _data.Add(text));
        c.call(_putText);
    }

    private void PrintHex(string name, Action load)
    {
        Print(name);
        load();
        c.call(_putHex);
    }

    private void Registers()
    {
        PrintHex("cr0 ", () => c.mov(eax, cr0));
        PrintHex("  cr3 ", () => c.mov(eax, cr3));
        PrintHex("  cr4 ", () => c.mov(eax, cr4));
        PrintHex("\r\nefl ", () =>
        {
            c.pushfd();
            c.pop(eax);
        });
        PrintHex("  esp ", () => c.mov(eax, esp));
        Print("\r\n");
    }

    /// <summary>Walks the multiboot memory map: each entry has its size in front of it.</summary>
    private void MemoryMap()
    {
        const int MapLength = 44, MapAddress = 48;
        Label entry = c.CreateLabel(), end = c.CreateLabel();
        c.mov(ebx, __dword_ptr[Information]);
        c.mov(ebp, __dword_ptr[ebx + MapAddress]);
        c.mov(ebx, __dword_ptr[ebx + MapLength]);
        c.add(ebx, ebp);
        c.Label(ref entry);
        c.cmp(ebp, ebx);
        c.jae(end);
        foreach ((int offset, string separator) in new[] { (8, "  "), (4, ""), (16, " "), (12, ""), (20, " ") })
        {
            if (separator.Length != 0)
                Print(separator);
            c.mov(eax, __dword_ptr[ebp + offset]);
            c.call(_putHex);
        }
        Print("\r\n");
        c.add(ebp, __dword_ptr[ebp]);
        c.add(ebp, 4);
        c.jmp(entry);
        c.Label(ref end);
    }

    private void Vendor()
    {
        c.xor(eax, eax);
        c.cpuid();
        c.mov(__dword_ptr[Line], ebx);
        c.mov(__dword_ptr[Line + 4], edx);
        c.mov(__dword_ptr[Line + 8], ecx);
        c.mov(__byte_ptr[Line + 12], 0);
        c.mov(esi, Line);
        c.call(_putText);
        Print("\r\n");
    }

    private void Halt()
    {
        Label stop = c.CreateLabel();
        Print("Halted.\r\n");
        c.Label(ref stop);
        c.cli();
        c.hlt();
        c.jmp(stop);
    }

    private void PowerOff()
    {
        Print("Power off.\r\n");
        c.mov(dx, PowerManagementControl);
        c.mov(ax, SleepEnable);
        c.@out(dx, ax);

        // A platform may take its time.
        Label wait = c.CreateLabel();
        c.mov(ecx, 0x10_0000);
        c.Label(ref wait);
        c.pause();
        c.dec(ecx);
        c.jne(wait);
        Print("The machine stays on.\r\n");
    }

    private void DebugExit()
    {
        c.xor(eax, eax);
        c.@out(DebugExitPort, eax);
        Print("There is no isa-debug-exit.\r\n");
    }

    private void Reboot()
    {
        Label wait = c.CreateLabel();
        Print("Reset.\r\n");
        c.mov(al, PulseReset);
        c.@out(KeyboardCommand, al);
        c.Label(ref wait);
        c.hlt();
        c.jmp(wait);
    }

    private void Crash()
    {
        Print("Undefined instruction.\r\n");
        c.ud2();
    }

    private void PutText()
    {
        Label next = c.CreateLabel(), end = c.CreateLabel();
        c.Label(ref _putText);
        c.push(eax);
        c.Label(ref next);
        c.lodsb();
        c.test(al, al);
        c.je(end);
        c.call(_putCharacter);
        c.jmp(next);
        c.Label(ref end);
        c.pop(eax);
        c.ret();
    }

    private void PutCharacter()
    {
        Label wait = c.CreateLabel();
        c.Label(ref _putCharacter);
        c.push(edx);
        c.push(eax);
        c.mov(dx, LineStatus);
        c.Label(ref wait);
        c.@in(al, dx);
        c.test(al, 0x20);
        c.je(wait);
        c.pop(eax);
        c.mov(dx, Com1);
        c.@out(dx, al);
        c.pop(edx);
        c.ret();
    }

    /// <summary>Sleeps until the UART has a character. STI holds interrupts off for one instruction, so none is lost before HLT.</summary>
    private void GetCharacter()
    {
        Label look = c.CreateLabel(), ready = c.CreateLabel();
        c.Label(ref _getCharacter);
        c.push(edx);
        c.mov(dx, LineStatus);
        c.Label(ref look);
        c.cli();
        c.@in(al, dx);
        c.test(al, 1);
        c.jne(ready);
        c.sti();
        c.hlt();
        c.jmp(look);
        c.Label(ref ready);
        c.mov(dx, Com1);
        c.@in(al, dx);
        c.pop(edx);
        c.ret();
    }

    /// <summary>EAX as eight hexadecimal digits.</summary>
    private void PutHex()
    {
        Label digit = c.CreateLabel(), put = c.CreateLabel();
        c.Label(ref _putHex);
        c.push(ecx);
        c.push(edx);
        c.mov(edx, eax);
        c.mov(ecx, 8);
        c.Label(ref digit);
        c.rol(edx, 4);
        c.mov(al, dl);
        c.and(al, 0xF);
        c.add(al, (sbyte)'0');
        c.cmp(al, (sbyte)'9');
        c.jbe(put);
        c.add(al, (sbyte)('a' - '0' - 10));
        c.Label(ref put);
        c.call(_putCharacter);
        c.dec(ecx);
        c.jne(digit);
        c.pop(edx);
        c.pop(ecx);
        c.ret();
    }
}
