using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.NanobenchmarkLayout;
using static X86Virt.Guests.WordAssembler;

namespace X86Virt.Guests;

/// <summary>
/// A test operating system with one sensitive operation in each of its loops, after Adams and Agesen (ASPLOS 2006, section 6.3), for long mode or
/// for protected mode. Command line: operations=a,b,c (all unless given) iterations=n cycles=n (iterations are doubled until a loop takes as many;
/// a million unless iterations are given). Every number it prints has 16 hexadecimal digits, so that what printing costs does not depend on the results.
/// </summary>
internal sealed partial class NanobenchmarkGuest
{
    private const int DefaultIterations = 10_000, DefaultCycles = 1_000_000;
    private const ushort Com1 = 0x3F8, LineStatus = Com1 + 5;
    private const byte MasterCommand = 0x20, EndOfInterrupt = 0x20;
    private const ushort PowerManagementControl = 0x604, SleepEnable = 0x2000;

    private readonly NanobenchmarkMode _mode;
    private readonly WordAssembler w;
    private readonly Assembler c;
    private readonly GuestData _data = new(LoadAddress + HeaderLength);
    private readonly NanobenchmarkOperations _operations;
    private readonly IReadOnlyDictionary<string, int> _padding;
    private readonly List<(string Operation, Label Begin, Label End)> _loops = [];
    private Label _timer, _number, _putText, _putCharacter, _putHex, _find, _wanted, _fault, _pageFault, _leaveUser, _afterUser, _systemCall;

    /// <param name="mode">Of the processor.</param>
    /// <param name="padding">Bytes in front of loops, by operation.</param>
    private NanobenchmarkGuest(NanobenchmarkMode mode, IReadOnlyDictionary<string, int> padding)
    {
        _mode = mode;
        _padding = padding;
        w = mode.Words;
        c = mode.Words.Code;
        _operations = new NanobenchmarkOperations(mode);
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

    /// <summary>All but syscall, whose loop is in user mode.</summary>
    private static readonly Dictionary<string, NanobenchmarkOperation> s_operations = new NanobenchmarkOperations(new NanobenchmarkLongMode()).All.ToDictionary(o => o.Name);

    /// <summary>Those of either mode.</summary>
    public static IReadOnlyList<string> OperationNames { get; } = ["syscall", .. s_operations.Keys];

    public static bool TakesFreshEntries(string operation) => s_operations.GetValueOrDefault(operation)?.TakesFreshEntries ?? false;

    public static string BaseLoop(string operation) => s_operations.GetValueOrDefault(operation)?.BaseLoop ?? NanobenchmarkOperation.Empty;

    /// <summary>No loop lies on two pages, so that each misses the TLB as often for its own code; one that would is moved to the second.</summary>
    public static BuiltInGuest Build(int bits)
    {
        var padding = new Dictionary<string, int>();
        while (true)
        {
            var guest = new NanobenchmarkGuest(bits == 64 ? new NanobenchmarkLongMode() : new NanobenchmarkProtectedMode(), padding);
            BuiltInGuest built = guest.Assemble($"Nanobenchmark{bits}");
            if (guest.LoopOnTwoPages() is not { } loop)
                return built;
            padding[loop.Operation] = padding.GetValueOrDefault(loop.Operation) + loop.BytesToNextPage;
        }
    }

    private (string Operation, int BytesToNextPage)? LoopOnTwoPages()
    {
        const uint PageSize = 0x1000;
        foreach ((string operation, Label begin, Label end) in _loops)
        {
            uint first = w.AddressOf(begin), last = w.AddressOf(end) - 1;
            if (first / PageSize != last / PageSize)
                return (operation, (int)(PageSize - first % PageSize));
        }
        return null;
    }

    private BuiltInGuest Assemble(string name)
    {
        uint descriptors = _data.Add(Descriptors());
        uint descriptorsPointer = _data.Add(Pointer(descriptors, 8 * 8));
        uint interruptsPointer = _data.Add(Pointer(InterruptTable, 0x1000));
        Kernel(interruptsPointer);
        byte[] kernel = w.Assemble(KernelCode);
        byte[] entry = Entry(descriptorsPointer);

        byte[] image = new byte[KernelCode - LoadAddress + kernel.Length];
        Header((uint)image.Length).CopyTo(image, 0);
        _data.ToArray().CopyTo(image, HeaderLength);
        entry.CopyTo(image, EntryCode - LoadAddress);
        kernel.CopyTo(image, KernelCode - LoadAddress);
        return new BuiltInGuest(name, "one sensitive operation a loop; prints time-stamp cycles to the first serial line", image, 32, LoadAddress, EntryCode,
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

    /// <summary>Null, kernel code and data, 32-bit user code, user data, 64-bit user code, in the order that SYSEXIT and SYSRET want, and the TSS.</summary>
    private byte[] Descriptors()
    {
        ulong task = 0x0000_8900_0000_0067 | ((ulong)(TaskState & 0xFF_FFFF) << 16);
        ulong[] table = [0, _mode.CodeDescriptor, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF, task, 0];
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

    /// <summary>From 32-bit protected mode without paging into the kernel.</summary>
    private byte[] Entry(uint descriptorsPointer)
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
        IEnumerable<(uint, uint)> tables = [.. _mode.Tables, (SmallDirectory, SmallTable | 7), (MappedEntry, MappedEntryValue), (TaskState + 4, InterruptStackTop), (TaskState + 0x64, 0x68_0000)];
        foreach ((uint at, uint value) in tables)
            c.mov(__dword_ptr[at], value);
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
        _mode.PreparePaging(c);
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
        _mode.SetUpSystemCalls(_systemCall);
        SetUpPorts();
        ReadCommandLine();
        Print("nano ready\r\n");
        Measure(new NanobenchmarkOperation("syscall", () => { }, () => { }), UserLoop);
        foreach (NanobenchmarkOperation operation in _operations.All)
            Measure(operation, () => Loop(operation));
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
        uint at = InterruptTable + vector * _mode.GateSize;
        w.LoadAddress(eax, handler);
        c.mov(__word_ptr[at], ax);
        c.mov(__word_ptr[at + 2], CodeSelector);
        c.mov(__byte_ptr[at + 5], type);
        c.shr(eax, 16);
        c.mov(__word_ptr[at + 6], ax);
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

    private void ReadCommandLine()
    {
        Label none = c.CreateLabel(), standard = c.CreateLabel();
        c.mov(__dword_ptr[Iterations], DefaultIterations);
        c.mov(__dword_ptr[LeastCycles], DefaultCycles);
        c.mov(ebx, __dword_ptr[Information]);
        c.test(__byte_ptr[w.At(Bx)], 4);
        c.je(none);
        c.mov(ebx, w.At(Bx, 16));
        c.mov(esi, ebx);
        c.mov(edi, _data.Add("operations="));
        c.call(_find);
        c.mov(__dword_ptr[Operations], eax);
        c.mov(edi, _data.Add("iterations="));
        c.call(_number);
        w.Test(Ax);
        c.je(standard);
        w.Store(__[Iterations], Ax);
        c.mov(__dword_ptr[LeastCycles], 0);
        c.Label(ref standard);
        c.mov(edi, _data.Add("cycles="));
        c.call(_number);
        w.Test(Ax);
        c.je(none);
        w.Store(__[LeastCycles], Ax);
        c.Label(ref none);
    }

    private void Measure(NanobenchmarkOperation operation, Action loop)
    {
        Label skip = c.CreateLabel(), again = c.CreateLabel(), fits = c.CreateLabel(), done = c.CreateLabel();
        uint text = _data.Add(operation.Name);
        c.mov(edi, text);
        c.call(_wanted);
        c.test(eax, eax);
        c.je(skip);
        w.Load(Ax, __[Iterations]);
        c.Label(ref again);
        if (operation.TakesFreshEntries)
        {
            c.mov(ecx, FreshEntries);
            w.Compare(Ax, Cx);
            c.jbe(fits);
            c.mov(eax, ecx);
            c.Label(ref fits);
        }
        w.Store(__[Count], Ax);
        operation.SetUp();
        w.Load(NanobenchmarkOperations.Counter, __[Count]);
        c.xor(NanobenchmarkOperations.Check.Half, NanobenchmarkOperations.Check.Half);
        c.lfence();
        c.rdtsc();
        c.mov(__[Start], eax);
        c.mov(__[Start + 4], edx);
        operation.Prepare();
        loop();
        c.lfence();
        c.rdtsc();
        c.sub(eax, __[Start]);
        c.sbb(edx, __[Start + 4]);
        c.mov(__[Elapsed], eax);
        c.mov(__[Elapsed + 4], edx);
        w.Store(__[Check], NanobenchmarkOperations.Check);
        operation.Finish();

        // Twice as many, unless it took long enough, the entries are used up, or the counter is.
        c.mov(eax, __[Elapsed]);
        c.mov(edx, __[Elapsed + 4]);
        c.sub(eax, __[LeastCycles]);
        c.sbb(edx, __[LeastCycles + 4]);
        c.jae(done);
        w.Load(Ax, __[Count]);
        if (operation.TakesFreshEntries)
        {
            c.cmp(eax, FreshEntries);
            c.jae(done);
        }
        w.Add(Ax, Ax);
        c.jnc(again);
        c.Label(ref done);
        Print("nano ");
        c.mov(esi, text);
        c.call(_putText);
        Print(" count=");
        PrintNumber(Count);
        Print(" cycles=");
        PrintNumber(Elapsed);
        Print(" check=");
        PrintNumber(Check);
        Print("\r\n");
        c.Label(ref skip);
    }

    private void Loop(NanobenchmarkOperation operation)
    {
        Label again = c.CreateLabel(), end = c.CreateLabel();
        c.nop(_padding.GetValueOrDefault(operation.Name));
        w.Place(ref again);
        operation.Body();
        w.Decrement(NanobenchmarkOperations.Counter);
        c.jne(again);
        w.Place(ref end);
        _loops.Add((operation.Name, again, end));
    }

    /// <summary>System calls are made in user mode; an interrupt gate leads back out of it.</summary>
    private void UserLoop()
    {
        Label call = c.CreateLabel(), back = c.CreateLabel();
        _mode.EnterUser(call, back);
        w.Place(ref call);
        _mode.SystemCall();
        w.Place(ref back);
        w.Decrement(NanobenchmarkOperations.Counter);
        c.jne(call);
        c.@int(LeaveUserVector);
        c.Label(ref _afterUser);
        c.mov(eax, DataSelector);
        c.mov(ss, eax);
        c.mov(esp, StackTop);
    }

    /// <summary>The faulting instructions have two bytes each, and are passed over.</summary>
    private void Handlers()
    {
        w.Place(ref _pageFault);
        w.Add(Sp, w.Size);
        w.Place(ref _fault);
        w.Increment(NanobenchmarkOperations.Check);
        w.Add(w.At(Sp), 2);
        w.InterruptReturn();
        w.Place(ref _timer);
        w.Push(Ax);
        c.mov(al, EndOfInterrupt);
        c.@out(MasterCommand, al);
        w.Pop(Ax);
        w.Increment(NanobenchmarkOperations.Check);
        w.InterruptReturn();
        w.Place(ref _systemCall);
        w.Increment(NanobenchmarkOperations.Check);
        _mode.SystemReturn();
        w.Place(ref _leaveUser);
        c.jmp(_afterUser);
        w.Place(ref _operations.Target);
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
