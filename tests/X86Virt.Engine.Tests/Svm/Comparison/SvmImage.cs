using System.Buffers.Binary;
using Iced.Intel;
using X86Virt.Engine.Processor;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.Svm.Comparison.SvmWorld;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>A value that is reported of each experiment.</summary>
internal sealed record SvmField(string Name, uint Address, int Size = 8);

/// <summary>
/// A multiboot image that is a small hypervisor: it runs the experiments one after the other and reports each on port E9h, a line of hexadecimal numbers.
/// The same image runs on this processor and on any other PC with SVM, so that the lines can be compared.
/// </summary>
internal static class SvmImage
{
    public const uint Base = 0x10_0000;
    public const uint FirstRbx = GuestData, FirstRsi = GuestData + 0x100, FirstRdi = GuestData + 0x200;

    private const uint HeaderSize = 0x20, LongCode = Base + 0x200;
    private const uint HostStart = 0x3_0000, HostEnd = 0x3_5000, HostIdt = 0x3_3000, HostGdt = 0x3_4000, HostStack = 0x3_6000, Saved = 0x3_6000, HostSave = 0x3_7000;
    private const uint Fault = Saved, At = Saved + 8, Registers = Saved + 0x10, Index = Saved + 0x800, CaseStart = Saved + 0x808, Pointer = HostGdt + 0x100;
    private const int HostCode = 8, HostData = 0x10, VectorCount = 32;
    private const uint HostCr0 = 0x8001_0033, HostCr4 = 0x220, HostEfer = 0x1901, LongModeActive = 0x400, EferIndex = 0xC000_0080, HostSaveIndex = 0xC001_0117, TemplateMark = 0x7DEA_0001,
        ListMark = 0x7DEA_0002, FieldsMark = 0x7DEA_0003, HostMark = 0x7DEA_0004;

    /// <summary>What a line tells, in this order.</summary>
    public static IReadOnlyList<SvmField> Fields { get; } =
    [
        new("fault", Fault), new("at", At), new("exit", VmcbPage + 0x70), new("info1", VmcbPage + 0x78), new("info2", VmcbPage + 0x80), new("intinfo", VmcbPage + 0x88),
        new("nrip", VmcbPage + 0xC8), new("fetched", VmcbPage + 0xD0), new("tlb", VmcbPage + 0x5C, 4), new("vintr", VmcbPage + 0x60), new("shadow", VmcbPage + 0x68),
        new("inject", VmcbPage + 0xA8), new("rip", VmcbPage + 0x578), new("rsp", VmcbPage + 0x5D8), new("rflags", VmcbPage + 0x570), new("rax", VmcbPage + 0x5F8),
        new("cs", VmcbPage + 0x410), new("cs.base", VmcbPage + 0x418), new("ss", VmcbPage + 0x420), new("ds", VmcbPage + 0x430), new("cpl", VmcbPage + 0x4C8), new("efer", VmcbPage + 0x4D0),
        new("cr0", VmcbPage + 0x558), new("cr2", VmcbPage + 0x640), new("cr3", VmcbPage + 0x550), new("cr4", VmcbPage + 0x548), new("dr6", VmcbPage + 0x568),
        new("dr7", VmcbPage + 0x560), new("stack5", StackTop - 40), new("stack6", StackTop - 48), new("stack4", StackTop - 32), new("stack3", StackTop - 24), new("data", GuestData),
        new("data+8", GuestData + 8), new("other", OtherPage), new("rbx", Registers), new("rcx", Registers + 8), new("rdx", Registers + 16), new("rsi", Registers + 24),
        new("rdi", Registers + 32), new("host rflags", Registers + 40), new("host cr0", Registers + 48), new("host cr3", Registers + 56), new("host cr4", Registers + 64),
        new("host cr8", Registers + 72), new("host dr7", Registers + 80), new("host efer", Registers + 88), new("host rax", Registers + 96),
    ];

    public static (byte[] Image, uint Entry) Build(IReadOnlyList<SvmCase> cases)
    {
        var image = new MemoryStream();
        byte[] entry = Assemble(32, Base + HeaderSize, WriteEntry).Code;
        image.Position = HeaderSize;
        image.Write(entry);
        image.Position = LongCode - Base;
        Label back = default, dispatch = default;
        Label[] stubs = new Label[VectorCount];
        (byte[] runner, AssemblerResult result) = Assemble(64, LongCode, a => WriteRunner(a, cases.Count, stubs, ref back, ref dispatch));
        image.Write(runner);
        uint template = Align(image);
        byte[] ordinary = new SvmWorld().Memory.ToArray();
        image.Write(ordinary);
        uint host = Align(image);
        image.Write(Host([.. stubs.Select(s => result.GetLabelRIP(s))]));
        uint fields = Align(image);
        foreach (SvmField field in Fields)
            image.Write([.. BitConverter.GetBytes(field.Address), .. BitConverter.GetBytes(field.Size)]);
        uint list = Align(image);
        image.Position += cases.Count * 8;
        uint[] starts = new uint[cases.Count * 2];
        for (int i = 0; i < cases.Count; i++)
        {
            starts[i * 2] = Align(image);
            image.Write(Changes(ordinary, cases[i].World.Memory));
            starts[i * 2 + 1] = Align(image);
            SvmCase c = cases[i];
            image.Write(Assemble(64, starts[i * 2 + 1], a => { c.Host(a); a.jmp(result.GetLabelRIP(back)); }).Code);
        }
        byte[] bytes = image.ToArray();
        for (int i = 0; i < starts.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((int)(list - Base) + i * 4), starts[i]);
        Span<byte> code = bytes.AsSpan(0, (int)(template - Base));
        Replace(code, TemplateMark, template);
        Replace(code, HostMark, host);
        Replace(code, FieldsMark, fields);
        Replace(code, ListMark, list);

        const uint Magic = 0x1BAD_B002, HasAddresses = 0x1_0000;
        uint[] header = [Magic, HasAddresses, unchecked(0 - Magic - HasAddresses), Base, Base, Base + (uint)bytes.Length, Base + (uint)bytes.Length, Base + HeaderSize];
        for (int i = 0; i < header.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), header[i]);
        return (bytes, Base + HeaderSize);
    }

    private static uint Align(MemoryStream image)
    {
        image.Position = (image.Position + 15) & ~15;
        return Base + (uint)image.Position;
    }

    private static (byte[] Code, AssemblerResult Result) Assemble(int bitness, uint address, Action<Assembler> write)
    {
        var a = new Assembler(bitness);
        write(a);
        using var stream = new MemoryStream();
        AssemblerResult result = a.Assemble(new StreamCodeWriter(stream), address, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return (stream.ToArray(), result);
    }

    private static void Replace(Span<byte> code, uint mark, uint value)
    {
        Span<byte> pattern = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(pattern, mark);
        for (int at = code.IndexOf(pattern); at >= 0; at = code.IndexOf(pattern))
            BinaryPrimitives.WriteUInt32LittleEndian(code[at..], value);
    }

    /// <summary>The doublewords in which a world is not the ordinary one: how many, then address and value of each.</summary>
    private static byte[] Changes(ReadOnlySpan<byte> ordinary, ReadOnlySpan<byte> world)
    {
        var changes = new List<byte>();
        for (int i = 0; i < world.Length; i += 4)
        {
            if (!world.Slice(i, 4).SequenceEqual(ordinary.Slice(i, 4)))
                changes.AddRange([.. BitConverter.GetBytes(Start + (uint)i), .. world.Slice(i, 4)]);
        }
        return [.. BitConverter.GetBytes(changes.Count / 8), .. changes];
    }

    /// <summary>The hypervisor's page tables (the first gibibyte, as it is), IDT and GDT.</summary>
    private static byte[] Host(ulong[] handlers)
    {
        byte[] host = new byte[HostEnd - HostStart];
        void Put(uint address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(host.AsSpan((int)(address - HostStart)), value);
        Put(HostStart, HostStart + 0x1003);
        Put(HostStart + 0x1000, HostStart + 0x2003);
        for (uint i = 0; i < 512; i++)
            Put(HostStart + 0x2000 + i * 8, i << 21 | 0x83);
        for (uint i = 0; i < handlers.Length; i++)
            Put(HostIdt + i * 16, (handlers[i] & 0xFFFF) | HostCode << 16 | 0x8EUL << 40 | handlers[i] >> 16 << 48);
        Put(HostGdt + HostCode, 0x00AF_9B00_0000_FFFF);
        Put(HostGdt + HostData, 0x00CF_9300_0000_FFFF);
        Put(Pointer, 0x17 | (ulong)HostGdt << 16);
        Put(Pointer + 16, (VectorCount * 16 - 1) | (ulong)HostIdt << 16);
        return host;
    }

    /// <summary>From 32-bit protected mode to 64-bit mode.</summary>
    private static void WriteEntry(Assembler a)
    {
        a.cli();
        a.mov(esp, HostStack);
        // Firmware may have left a timer running.
        a.mov(al, 0xFF);
        a.@out(0x21, al);
        a.@out(0xA1, al);
        a.cld();
        a.mov(esi, HostMark);
        a.mov(edi, HostStart);
        a.mov(ecx, (HostEnd - HostStart) / 4);
        a.rep.movsd();
        a.mov(eax, HostCr4);
        a.mov(cr4, eax);
        a.mov(eax, HostStart);
        a.mov(cr3, eax);
        a.mov(ecx, EferIndex);
        a.mov(eax, HostEfer);
        a.xor(edx, edx);
        a.wrmsr();
        a.mov(eax, HostCr0);
        a.mov(cr0, eax);
        a.lgdt(__[Pointer]);
        a.push(HostCode);
        a.push((int)LongCode);
        a.retf();
    }

    private static void WriteRunner(Assembler a, int count, Label[] stubs, ref Label back, ref Label dispatch)
    {
        Label next = a.CreateLabel(), common = a.CreateLabel(), done = a.CreateLabel(), noCode = a.CreateLabel();
        back = a.CreateLabel();
        dispatch = a.CreateLabel();
        a.mov(eax, HostData);
        a.mov(ss, eax);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(__qword_ptr[Index], 0);
        a.lidt(__[Pointer + 16]);

        a.Label(ref dispatch);
        a.mov(esp, HostStack);
        a.mov(r15d, __dword_ptr[Index]);
        a.cmp(r15d, count);
        a.jae(done);
        WriteReset(a);
        a.jmp(r14);

        for (int i = 0; i < VectorCount; i++)
        {
            stubs[i] = a.CreateLabel();
            a.Label(ref stubs[i]);
            a.push(i);
            a.jmp(common);
        }
        // The vector and one, behind it the error code; where in the program it happened.
        a.Label(ref common);
        a.mov(__qword_ptr[Registers + 96], rax);
        a.mov(eax, __dword_ptr[rsp]);
        a.bt(__dword_ptr[Pointer + 32], eax);
        a.lea(eax, __[rax + 1]);
        a.mov(r13, __qword_ptr[rsp + 8]);
        a.jae(noCode);
        a.mov(r13, __qword_ptr[rsp + 16]);
        a.mov(r12, __qword_ptr[rsp + 8]);
        a.shl(r12, 16);
        a.or(rax, r12);
        a.Label(ref noCode);
        a.sub(r13, __qword_ptr[CaseStart]);
        a.mov(__qword_ptr[Fault], rax);
        a.mov(__qword_ptr[At], r13);
        a.mov(esp, HostStack);
        a.jmp(next);

        a.Label(ref back);
        a.mov(__qword_ptr[Registers + 96], rax);
        a.Label(ref next);
        WriteSave(a);
        WriteReport(a);
        a.inc(__dword_ptr[Index]);
        a.jmp(dispatch);

        a.Label(ref done);
        a.@out(0xF4, al);
        a.cli();
        a.hlt();
    }

    /// <summary>The state in which each experiment begins; R14 is its program.</summary>
    private static void WriteReset(Assembler a)
    {
        Label patch = a.CreateLabel(), patched = a.CreateLabel();
        void Register(uint index, uint value)
        {
            a.mov(ecx, index);
            a.mov(eax, value);
            a.xor(edx, edx);
            a.wrmsr();
        }
        Register(EferIndex, HostEfer | LongModeActive);
        Register(HostSaveIndex, HostSave);
        a.mov(eax, HostCr0);
        a.mov(cr0, rax);
        a.mov(eax, HostCr4);
        a.mov(cr4, rax);
        a.mov(eax, HostStart);
        a.mov(cr3, rax);
        a.xor(eax, eax);
        a.mov(cr8, rax);
        a.mov(eax, 0x400);
        a.mov(dr7, rax);
        a.mov(eax, 0xFFFF_0FF0);
        a.mov(dr6, rax);
        a.push(2);
        a.popfq();
        a.stgi();
        a.clgi();
        a.mov(esi, TemplateMark);
        a.mov(edi, Start);
        a.mov(ecx, (End - Start) / 8);
        a.rep.movsq();
        a.mov(ebx, ListMark);
        a.mov(esi, __dword_ptr[rbx + r15 * 8]);
        a.lodsd();
        a.mov(ecx, eax);
        a.jrcxz(patched);
        a.Label(ref patch);
        a.mov(edi, __dword_ptr[rsi]);
        a.mov(eax, __dword_ptr[rsi + 4]);
        a.mov(__dword_ptr[rdi], eax);
        a.add(rsi, 8);
        a.dec(ecx);
        a.jne(patch);
        a.Label(ref patched);
        a.mov(r14d, __dword_ptr[rbx + r15 * 8 + 4]);
        a.mov(__qword_ptr[CaseStart], r14);
        a.mov(__qword_ptr[Fault], 0);
        a.mov(__qword_ptr[At], 0);
        // The exceptions that have an error code.
        a.mov(__dword_ptr[Pointer + 32], 0x0002_7D00);
        a.mov(eax, VmcbPage);
        a.mov(ebx, FirstRbx);
        a.xor(ecx, ecx);
        a.xor(edx, edx);
        a.mov(esi, FirstRsi);
        a.mov(edi, FirstRdi);
        a.xor(ebp, ebp);
    }

    private static void WriteSave(Assembler a)
    {
        uint at = Registers;
        foreach (AssemblerRegister64 register in (AssemblerRegister64[])[rbx, rcx, rdx, rsi, rdi])
        {
            a.mov(__qword_ptr[at], register);
            at += 8;
        }
        void Next()
        {
            a.mov(__qword_ptr[at], rax);
            at += 8;
        }
        a.pushfq();
        a.pop(rax);
        Next();
        a.mov(rax, cr0);
        Next();
        a.mov(rax, cr3);
        Next();
        a.mov(rax, cr4);
        Next();
        a.mov(rax, cr8);
        Next();
        a.mov(rax, dr7);
        Next();
        a.mov(ecx, EferIndex);
        a.rdmsr();
        Next();
    }

    /// <summary>A line, without zeros in front.</summary>
    private static void WriteReport(Assembler a)
    {
        Label field = a.CreateLabel(), wide = a.CreateLabel(), digit = a.CreateLabel(), small = a.CreateLabel(), skip = a.CreateLabel();
        a.mov(esi, FieldsMark);
        a.mov(ebx, Fields.Count);
        a.Label(ref field);
        a.mov(edi, __dword_ptr[rsi]);
        a.mov(rdx, __qword_ptr[rdi]);
        a.cmp(__dword_ptr[rsi + 4], 8);
        a.je(wide);
        a.mov(edx, edx);
        a.Label(ref wide);
        a.mov(ecx, 16);
        a.Label(ref skip);
        a.rol(rdx, 4);
        a.test(dl, 15);
        a.jne(digit);
        a.dec(ecx);
        a.jne(skip);
        a.inc(ecx);
        a.Label(ref digit);
        a.mov(eax, edx);
        a.and(eax, 15);
        a.add(al, (int)'0');
        a.cmp(al, (int)'9');
        a.jbe(small);
        a.add(al, 'a' - '0' - 10);
        a.Label(ref small);
        a.@out(0xE9, al);
        a.rol(rdx, 4);
        a.dec(ecx);
        a.jne(digit);
        a.mov(al, (int)' ');
        a.@out(0xE9, al);
        a.add(rsi, 8);
        a.dec(ebx);
        a.jne(field);
        a.mov(al, (int)'\n');
        a.@out(0xE9, al);
    }
}
