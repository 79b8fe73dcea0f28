using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.NanobenchmarkLayout;

namespace X86Virt.Guests;

/// <summary>
/// A 64-bit test operating system with one sensitive operation in each of its loops, after Adams and Agesen (ASPLOS 2006, section 6.3).
/// Command line: operations=a,b,c (all unless given) iterations=n cycles=n (iterations are doubled until a loop takes as many). Every number it prints has 16 hexadecimal digits, so that what
/// printing costs does not depend on the results.
/// </summary>
internal sealed partial class NanobenchmarkGuest
{
    private const int DefaultIterations = 10_000;
    private const ushort Com1 = 0x3F8, LineStatus = Com1 + 5;
    private const byte MasterCommand = 0x20, EndOfInterrupt = 0x20;
    private const ushort PowerManagementControl = 0x604, SleepEnable = 0x2000;
    private const uint ExtendedFeatures = 0xC000_0080, SystemCallSelectors = 0xC000_0081, SystemCallEntry = 0xC000_0082, SystemCallMask = 0xC000_0084;

    private readonly Assembler c = new(64);
    private readonly GuestData _data = new(LoadAddress + HeaderLength);
    private readonly NanobenchmarkOperations _operations;
    private Label _timer, _number, _putText, _putCharacter, _putHex, _find, _wanted, _fault, _pageFault, _leaveUser, _afterUser, _systemCall;

    private NanobenchmarkGuest()
    {
        _operations = new NanobenchmarkOperations(c);
        _timer = c.CreateLabel();
        _number = c.CreateLabel();
        _putText = c.CreateLabel();
        _putCharacter = c.CreateLabel();
        _putHex = c.CreateLabel();
        _find = c.CreateLabel();
        _wanted = c.CreateLabel();
        _fault = c.CreateLabel();
        _pageFault = c.CreateLabel();
        _leaveUser = c.CreateLabel();
        _afterUser = c.CreateLabel();
        _systemCall = c.CreateLabel();
    }

    public static IReadOnlyList<string> OperationNames { get; } = ["syscall", .. new NanobenchmarkOperations(new Assembler(64)).All.Select(o => o.Name)];

    /// <summary>All but syscall, whose loop is in user mode.</summary>
    private static readonly Dictionary<string, NanobenchmarkOperation> s_operations = new NanobenchmarkOperations(new Assembler(64)).All.ToDictionary(o => o.Name);

    public static bool TakesFreshEntries(string operation) => s_operations.GetValueOrDefault(operation)?.TakesFreshEntries ?? false;

    public static string BaseLoop(string operation) => s_operations.GetValueOrDefault(operation)?.BaseLoop ?? NanobenchmarkOperation.Empty;

    public static BuiltInGuest Build() => new NanobenchmarkGuest().Assemble();

    private BuiltInGuest Assemble()
    {
        uint descriptors = _data.Add(Descriptors());
        uint descriptorsPointer = _data.Add(Pointer(descriptors, 8 * 8));
        uint interruptsPointer = _data.Add(Pointer(InterruptTable, 0x1000));
        Kernel(interruptsPointer);
        byte[] kernel = GuestAssembly.Assemble(c, KernelCode).Bytes;
        byte[] entry = EntryCode32(descriptorsPointer);

        byte[] image = new byte[KernelCode - LoadAddress + kernel.Length];
        Header((uint)image.Length).CopyTo(image, 0);
        _data.ToArray().CopyTo(image, HeaderLength);
        entry.CopyTo(image, EntryCode - LoadAddress);
        kernel.CopyTo(image, KernelCode - LoadAddress);
        return new BuiltInGuest("Nanobenchmark", "one sensitive operation a loop; prints time-stamp cycles to the first serial line", image, 32, LoadAddress, EntryCode,
            new Dictionary<string, ulong> { ["entry"] = EntryCode, ["kernel"] = KernelCode });
    }

    /// <summary>Multiboot 1 with address fields; the memory for tables and stacks is claimed as bss, so that loaders put nothing there.</summary>
    private static byte[] Header(uint length)
    {
        const uint Magic = 0x1BAD_B002, Flags = 0x1_0003;
        byte[] header = new byte[HeaderLength];
        uint[] fields = [Magic, Flags, unchecked(0 - Magic - Flags), LoadAddress, LoadAddress, LoadAddress + length, End, EntryCode];
        for (int i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(i * 4), fields[i]);
        return header;
    }

    /// <summary>Null, kernel code and data, (32-bit user code), user data, user code in the order SYSRET wants, and the TSS.</summary>
    private static byte[] Descriptors()
    {
        ulong task = 0x0000_8900_0000_0067 | ((ulong)(TaskState & 0xFF_FFFF) << 16);
        ulong[] table = [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF, task, 0];
        byte[] bytes = new byte[table.Length * 8];
        for (int i = 0; i < table.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * 8), table[i]);
        return bytes;
    }

    private static byte[] Pointer(uint table, uint length)
    {
        byte[] pointer = new byte[10];
        BinaryPrimitives.WriteUInt16LittleEndian(pointer, (ushort)(length - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(pointer.AsSpan(2), table);
        return pointer;
    }

    /// <summary>From 32-bit protected mode without paging into long mode.</summary>
    private static byte[] EntryCode32(uint descriptorsPointer)
    {
        var c = new Assembler(32);
        c.cli();
        c.cld();
        c.mov(edi, Root);
        c.xor(eax, eax);
        c.mov(ecx, (ClearedEnd - Root) / 4);
        c.rep.stosd();
        c.mov(esp, StackTop);
        c.mov(__dword_ptr[Information], ebx);
        foreach ((uint at, uint value) in new (uint, uint)[]
        {
            (Root, Pointers | 7), (OtherRoot, Pointers | 7), (Pointers, IdentityDirectory | 7), (Pointers + 8, SmallDirectory | 7), (Pointers + 16, ManyDirectory | 7),
            (SmallDirectory, SmallTable | 7), (MappedEntry, MappedEntryValue), (TaskState + 4, InterruptStackTop), (TaskState + 0x64, 0x68_0000),
        })
        {
            c.mov(__dword_ptr[at], value);
        }
        Label page = c.CreateLabel();
        c.mov(edi, IdentityDirectory);
        c.mov(eax, 0xE7);
        c.mov(ecx, 512);
        c.Label(ref page);
        c.mov(__dword_ptr[edi], eax);
        c.add(eax, 0x20_0000);
        c.add(edi, 8);
        c.dec(ecx);
        c.jne(page);

        c.mov(eax, cr4);
        c.or(eax, 1 << 5);
        c.mov(cr4, eax);
        c.mov(eax, Root);
        c.mov(cr3, eax);
        c.mov(ecx, ExtendedFeatures);
        c.rdmsr();
        c.or(eax, 0x101);
        c.wrmsr();
        c.mov(eax, cr0);
        c.or(eax, 0x8000_0001);
        c.mov(cr0, eax);
        c.lgdt(__[descriptorsPointer]);
        c.push(CodeSelector);
        c.push(KernelCode);
        c.retf();
        return GuestAssembly.Assemble(c, EntryCode).Bytes;
    }

    private void Kernel(uint interruptsPointer)
    {
        c.mov(eax, DataSelector);
        c.mov(ds, eax);
        c.mov(es, eax);
        c.mov(ss, eax);
        c.mov(esp, StackTop);
        Gate(0, _fault, 0x8E);
        Gate(14, _pageFault, 0x8E);
        Gate(TimerVector, _timer, 0x8E);
        Gate(LeaveUserVector, _leaveUser, 0xEE);
        c.lidt(__[interruptsPointer]);
        c.mov(eax, TaskSelector);
        c.ltr(ax);
        SetUpSystemCalls();
        SetUpPorts();
        ReadCommandLine();
        Print("nano ready\r\n");
        Measure(new NanobenchmarkOperation("syscall", () => { }, () => { }), UserLoop);
        foreach (NanobenchmarkOperation operation in _operations.All)
            Measure(operation, () => Loop(operation.Body));
        Print("nano done\r\n");
        PowerOff();
        Handlers();
        PutText();
        PutCharacter();
        PutHex();
        Find();
        FindNumber();
        Wanted();
    }

    private void Gate(byte vector, Label handler, byte type)
    {
        uint at = InterruptTable + vector * 16u;
        c.lea(rax, __[handler]);
        c.mov(__word_ptr[at], ax);
        c.mov(__word_ptr[at + 2], CodeSelector);
        c.mov(__byte_ptr[at + 5], type);
        c.shr(eax, 16);
        c.mov(__word_ptr[at + 6], ax);
    }

    private void SetUpSystemCalls()
    {
        c.mov(ecx, SystemCallSelectors);
        c.xor(eax, eax);
        c.mov(edx, (UserBase << 16) | CodeSelector);
        c.wrmsr();
        c.mov(ecx, SystemCallEntry);
        c.lea(rax, __[_systemCall]);
        c.xor(edx, edx);
        c.wrmsr();
        c.mov(ecx, SystemCallMask);
        c.xor(eax, eax);
        c.wrmsr();
    }

    /// <summary>Every line of both PICs masked, so that STI lets nothing in; COM1 at 115200 baud, 8 bits, no parity, polled.</summary>
    private void SetUpPorts()
    {
        c.mov(al, unchecked((sbyte)0xFF));
        c.@out(0x21, al);
        c.@out(0xA1, al);
        foreach ((int register, sbyte value) in new (int, sbyte)[] { (1, 0), (3, unchecked((sbyte)0x80)), (0, 1), (1, 0), (3, 3), (2, 7), (4, 3) })
        {
            c.mov(dx, (short)(Com1 + register));
            c.mov(al, value);
            c.@out(dx, al);
        }
    }

    /// <summary>R13: the list of operations, or 0 for all.</summary>
    private void ReadCommandLine()
    {
        Label none = c.CreateLabel(), standard = c.CreateLabel();
        c.mov(__qword_ptr[Iterations], DefaultIterations);
        c.mov(__qword_ptr[LeastCycles], 0);
        c.xor(r13d, r13d);
        c.mov(ebx, __dword_ptr[Information]);
        c.test(__byte_ptr[rbx], 4);
        c.je(none);
        c.mov(ebx, __dword_ptr[rbx + 16]);
        c.mov(rsi, rbx);
        c.mov(edi, _data.Add("operations="));
        c.call(_find);
        c.mov(r13, rax);
        c.mov(edi, _data.Add("iterations="));
        c.call(_number);
        c.test(rax, rax);
        c.je(standard);
        c.mov(__qword_ptr[Iterations], rax);
        c.Label(ref standard);
        c.mov(edi, _data.Add("cycles="));
        c.call(_number);
        c.mov(__qword_ptr[LeastCycles], rax);
        c.Label(ref none);
    }

    private void Measure(NanobenchmarkOperation operation, Action loop)
    {
        Label skip = c.CreateLabel(), again = c.CreateLabel(), done = c.CreateLabel();
        uint text = _data.Add(operation.Name);
        c.mov(edi, text);
        c.call(_wanted);
        c.test(eax, eax);
        c.je(skip);
        c.mov(rax, __qword_ptr[Iterations]);
        c.Label(ref again);
        if (operation.TakesFreshEntries)
        {
            c.mov(ecx, FreshEntries);
            c.cmp(rax, rcx);
            c.cmova(rax, rcx);
        }
        c.mov(__qword_ptr[Count], rax);
        operation.SetUp();
        c.mov(r14, __qword_ptr[Count]);
        c.xor(r12d, r12d);
        c.lfence();
        c.rdtsc();
        c.shl(rdx, 32);
        c.lea(r15, __[rax + rdx]);
        operation.Prepare();
        loop();
        c.lfence();
        c.rdtsc();
        c.shl(rdx, 32);
        c.add(rax, rdx);
        c.sub(rax, r15);
        c.mov(r15, rax);
        operation.Finish();

        // Twice as many, unless it took long enough or the entries are used up.
        c.cmp(r15, __qword_ptr[LeastCycles]);
        c.jae(done);
        c.mov(rax, __qword_ptr[Count]);
        if (operation.TakesFreshEntries)
        {
            c.cmp(rax, FreshEntries);
            c.jae(done);
        }
        c.add(rax, rax);
        c.jmp(again);
        c.Label(ref done);
        Print("nano ");
        c.mov(esi, text);
        c.call(_putText);
        Print(" count=");
        c.mov(rax, __qword_ptr[Count]);
        c.call(_putHex);
        Print(" cycles=");
        c.mov(rax, r15);
        c.call(_putHex);
        Print(" check=");
        c.mov(rax, r12);
        c.call(_putHex);
        Print("\r\n");
        c.Label(ref skip);
    }

    private void Loop(Action body)
    {
        Label again = c.CreateLabel();
        c.Label(ref again);
        body();
        c.dec(r14);
        c.jne(again);
    }

    /// <summary>System calls are made in user mode; an interrupt gate leads back out of it.</summary>
    private void UserLoop()
    {
        Label user = c.CreateLabel();
        c.lea(rcx, __[user]);
        c.mov(r11d, 2);
        c.sysretq();
        c.Label(ref user);
        c.syscall();
        c.dec(r14);
        c.jne(user);
        c.@int(LeaveUserVector);
        c.Label(ref _afterUser);
        c.mov(eax, DataSelector);
        c.mov(ss, eax);
        c.mov(esp, StackTop);
    }

    /// <summary>The faulting instructions have two bytes each, and are passed over.</summary>
    private void Handlers()
    {
        c.Label(ref _pageFault);
        c.add(rsp, 8);
        c.Label(ref _fault);
        c.inc(r12);
        c.add(__qword_ptr[rsp], 2);
        c.iretq();
        c.Label(ref _timer);
        c.push(rax);
        c.mov(al, EndOfInterrupt);
        c.@out(MasterCommand, al);
        c.pop(rax);
        c.inc(r12);
        c.iretq();
        c.Label(ref _systemCall);
        c.inc(r12);
        c.sysretq();
        c.Label(ref _leaveUser);
        c.jmp(_afterUser);
        Label target = _operations.Target;
        c.Label(ref target);
        c.ret();
    }

    private void PowerOff()
    {
        Label stop = c.CreateLabel();
        c.mov(dx, PowerManagementControl);
        c.mov(ax, SleepEnable);
        c.@out(dx, ax);
        c.Label(ref stop);
        c.cli();
        c.hlt();
        c.jmp(stop);
    }
}
