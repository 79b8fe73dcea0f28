using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.Privileged.GuestTables;

namespace X86Virt.Engine.Tests.Privileged;

/// <summary>
/// A multiboot image that runs privileged experiments one after the other and reports on port E9h, in a line each, how they ended:
/// the vector, its stack frame, registers, CR2, DR6, TR, LDTR, CR0, CR3 and sums over descriptor tables, page tables and data. The same
/// image runs on this processor and on any other PC, so that the lines can be compared.
/// </summary>
internal static class PrivilegedGuest
{
    public const uint Base = 0x10_0000;
    private const uint Index = 0x1F_F000, RunnerStack = 0x1F_F000, Pointer = 0x1F_E100;
    private const uint Cr0Value = 0x8001_0033, Cr4Value = 0x18;

    /// <summary>Builds the image and gives the address to enter it at.</summary>
    public static (byte[] Image, uint Entry) Build(IReadOnlyList<PrivilegedCase> cases)
    {
        const int HeaderSize = 32;
        var image = new MemoryStream();
        image.SetLength(HeaderSize);
        image.Position = HeaderSize;

        var runner = new Runner(Base + HeaderSize, cases.Count);
        image.Write(runner.Code);
        uint tables = Align(image);
        image.Write(GuestTables.Build(v => runner.Handlers[v], runner.OtherTask, runner.FaultTask));
        uint list = Align(image);
        uint[] starts = new uint[cases.Count];
        image.Position += cases.Count * 4;
        for (int i = 0; i < cases.Count; i++)
        {
            starts[i] = Base + (uint)image.Position;
            image.Write(Thunk(cases[i], runner.Reset, starts[i]));
        }
        byte[] bytes = image.ToArray();
        runner.Link(bytes.AsSpan(HeaderSize), tables, list);
        for (int i = 0; i < starts.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((int)(list - Base) + i * 4), starts[i]);

        // Multiboot header with addresses.
        const uint Magic = 0x1BAD_B002, HasAddresses = 0x1_0000;
        uint[] header = [Magic, HasAddresses, unchecked(0 - Magic - HasAddresses), Base, Base, Base + (uint)bytes.Length, Base + (uint)bytes.Length, runner.Entry];
        for (int i = 0; i < header.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), header[i]);
        return (bytes, runner.Entry);
    }

    private static uint Align(MemoryStream image)
    {
        image.Position = (image.Position + 15) & ~15;
        return Base + (uint)image.Position;
    }

    private static byte[] Assemble(Assembler a, uint address)
    {
        using var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    /// <summary>Sets a case up and enters it by IRET.</summary>
    private static byte[] Thunk(PrivilegedCase c, uint reset, uint address)
    {
        var a = new Assembler(32);
        a.call(reset);
        byte[] code = [.. c.Code, 0xCD, DoneVector, 0xCD, DoneVector, 0x90, 0x90, 0x90, 0x90];
        for (int i = 0; i + 4 <= code.Length; i += 4)
            a.mov(__dword_ptr[CodePage + (uint)i], BinaryPrimitives.ReadUInt32LittleEndian(code.AsSpan(i)));
        foreach ((uint where, uint value) in c.Patches)
            a.mov(__dword_ptr[where], value);
        c.SetUp?.Invoke(a);
        a.mov(eax, cr3);
        a.mov(cr3, eax);
        a.mov(esp, KernelStack);
        uint flags = c.Flags | (c.Context == Context.Virtual8086 ? 1u << 17 : 0);
        uint data = UserData;
        switch (c.Context)
        {
            case Context.Kernel:
                data = KernelData;
                Push(a, flags, KernelCode, CodePage);
                break;
            case Context.Ring1:
                Push(a, Ring1Data, Ring1Stack - 0x100, flags, Ring1Code, CodePage);
                break;
            case Context.User:
                Push(a, UserData, UserStack - 0x20, flags, UserCode, CodePage);
                break;
            default:
                Push(a, 0x700, 0x700, 0x700, 0x700, 0x800, 0xFE0, flags, CodePage >> 4, 0);
                break;
        }
        a.mov(eax, data);
        a.mov(ds, eax);
        a.mov(es, eax);
        foreach (Register r in (Register[])[Register.EAX, Register.ECX, Register.EDX, Register.EBX, Register.EBP, Register.ESI, Register.EDI])
            a.mov(new AssemblerRegister32(r), c.Registers.GetValueOrDefault(r, 0x1111_1111u * (uint)(r - Register.EAX + 1)));
        a.iretd();
        return Assemble(a, address);
    }

    private static void Push(Assembler a, params ReadOnlySpan<uint> values)
    {
        foreach (uint value in values)
            a.push((int)value);
    }

    /// <summary>The part of the image that is the same for every case.</summary>
    private sealed class Runner
    {
        private const uint TablesMark = 0xDEAD_0001, ListMark = 0xDEAD_0002;

        public Runner(uint address, int count)
        {
            var a = new Assembler(32);
            Label reset = a.CreateLabel(), entry = a.CreateLabel(), next = a.CreateLabel(), common = a.CreateLabel(), hex = a.CreateLabel(), dispatch = a.CreateLabel(),
                other = a.CreateLabel(), fault = a.CreateLabel(), sum = a.CreateLabel();
            Label[] stubs = new Label[VectorCount];
            for (int i = 0; i < VectorCount; i++)
                stubs[i] = a.CreateLabel();

            a.Label(ref entry);
            a.cli();
            a.mov(esp, RunnerStack);
            a.mov(__dword_ptr[Index], 0);
            // No interrupts but those of the cases: firmware may have left a timer running.
            a.mov(al, 0xFF);
            a.@out(0x21, al);
            a.@out(0xA1, al);
            a.jmp(dispatch);
            WriteReset(a, ref reset);
            for (int i = 0; i < VectorCount; i++)
            {
                a.Label(ref stubs[i]);
                a.push(i);
                a.jmp(common);
            }
            a.Label(ref other);
            a.@int(OtherTaskVector);
            a.Label(ref fault);
            a.push(DoneVector + (int)Processor.Vector.DoubleFault);
            a.jmp(common);
            WriteReport(a, ref common, hex, sum);
            WriteNext(a, ref next, ref dispatch, count);
            WriteHex(a, ref hex);
            WriteSum(a, ref sum);

            using var stream = new MemoryStream();
            AssemblerResult result = a.Assemble(new StreamCodeWriter(stream), address, BlockEncoderOptions.ReturnNewInstructionOffsets);
            Code = stream.ToArray();
            Entry = (uint)result.GetLabelRIP(entry);
            Reset = (uint)result.GetLabelRIP(reset);
            OtherTask = (uint)result.GetLabelRIP(other);
            FaultTask = (uint)result.GetLabelRIP(fault);
            Handlers = [.. stubs.Select(s => (uint)result.GetLabelRIP(s))];
        }

        public byte[] Code { get; }
        public uint Entry { get; }
        public uint Reset { get; }
        public uint OtherTask { get; }
        public uint FaultTask { get; }
        public uint[] Handlers { get; }

        /// <summary>Puts in the addresses that are known only when the image is complete.</summary>
        public void Link(Span<byte> code, uint tables, uint list)
        {
            Replace(code[..Code.Length], TablesMark, tables);
            Replace(code[..Code.Length], ListMark, list);
        }

        private static void Replace(Span<byte> code, uint mark, uint value)
        {
            Span<byte> pattern = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(pattern, mark);
            BinaryPrimitives.WriteUInt32LittleEndian(code[code.IndexOf(pattern)..], value);
        }

        /// <summary>Everything as it was before the first case. Runs without paging while the tables are written.</summary>
        private static void WriteReset(Assembler a, ref Label reset)
        {
            a.Label(ref reset);
            a.mov(eax, Cr0Value & int.MaxValue);
            a.mov(cr0, eax);
            a.cld();
            a.mov(esi, TablesMark);
            a.mov(edi, Tables);
            a.mov(ecx, Size / 4);
            a.rep.movsd();
            a.mov(eax, 0x40CD_40CD);
            a.mov(edi, Landing);
            a.mov(ecx, 16);
            a.rep.stosd();
            foreach (uint stack in (uint[])[UserStack, KernelStack, InnerStack, Ring1Stack])
            {
                a.mov(eax, stack + 0x1100_0000);
                a.mov(edi, stack - 0x40);
                a.mov(ecx, 16);
                a.rep.stosd();
            }
            a.mov(__word_ptr[Pointer], GdtLimit);
            a.mov(__dword_ptr[Pointer + 2], Gdt);
            a.lgdt(__[Pointer]);
            a.mov(__word_ptr[Pointer], VectorCount * 8 - 1);
            a.mov(__dword_ptr[Pointer + 2], Idt);
            a.lidt(__[Pointer]);
            a.mov(eax, KernelData);
            a.mov(ds, eax);
            a.mov(es, eax);
            a.mov(ss, eax);
            a.mov(eax, UserData);
            a.mov(fs, eax);
            a.mov(gs, eax);
            a.mov(eax, LdtSelector);
            a.lldt(ax);
            a.mov(eax, TaskSelector);
            a.ltr(ax);
            a.xor(eax, eax);
            a.mov(dr7, eax);
            a.mov(dr6, eax);
            a.mov(cr2, eax);
            a.mov(eax, Cr4Value);
            a.mov(cr4, eax);
            a.mov(eax, PageDirectory);
            a.mov(cr3, eax);
            a.mov(eax, Cr0Value);
            a.mov(cr0, eax);
            a.fninit();
            a.push(2);
            a.popfd();
            a.ret();
        }

        private static void WriteReport(Assembler a, ref Label common, Label hex, Label sum)
        {
            // From EBP on: GS, FS, ES, DS; EDI to EAX; the vector; error code, if any; EIP and so on.
            const int Vector = 48, Frame = 52;
            Label plain = a.CreateLabel(), outer = a.CreateLabel(), virtualFrame = a.CreateLabel(), print = a.CreateLabel();
            a.Label(ref common);
            a.pushad();
            a.push(ds);
            a.push(es);
            a.push(fs);
            a.push(gs);
            a.mov(eax, KernelData);
            a.mov(ds, eax);
            a.mov(es, eax);
            a.mov(ebp, esp);
            a.mov(eax, __dword_ptr[Index]);
            a.call(hex);
            a.mov(eax, __dword_ptr[ebp + Vector]);
            a.call(hex);
            a.lea(esi, __dword_ptr[ebp + Frame]);
            a.mov(edi, esi);
            a.mov(ecx, 3);
            a.mov(eax, __dword_ptr[ebp + Vector]);
            a.mov(edx, 0x2_7D00);
            a.cmp(eax, 32);
            a.jae(plain);
            a.bt(edx, eax);
            a.jnc(plain);
            a.inc(ecx);
            a.add(edi, 4);
            a.Label(ref plain);
            a.test(__dword_ptr[edi + 8], 1 << 17);
            a.jne(virtualFrame);
            a.test(__byte_ptr[edi + 4], 3);
            a.jne(outer);
            a.cmp(eax, DoneVector);
            a.jb(print);
            a.Label(ref virtualFrame);
            a.add(ecx, 4);
            a.Label(ref outer);
            a.add(ecx, 2);
            a.Label(ref print);
            a.cld();
            Loop(a, () => a.lodsd(), hex);
            a.mov(esi, ebp);
            a.mov(ecx, 4);
            Loop(a, () => { a.lodsd(); a.movzx(eax, ax); }, hex);
            a.mov(ecx, 8);
            Loop(a, () => a.lodsd(), hex);
            foreach (Action read in (Action[])[() => a.mov(eax, ss), () => a.mov(eax, cr2), () => a.mov(eax, dr6), () => a.str(eax), () => a.sldt(eax),
                () => a.mov(eax, cr0), () => a.mov(eax, cr3)])
            {
                read();
                a.call(hex);
            }
            // RF in saved images is left out: not every processor model keeps it.
            a.and(__dword_ptr[TaskSegment + 0x24], ~(1 << 16));
            a.and(__dword_ptr[GuestTables.OtherTask + 0x24], ~(1 << 16));
            foreach ((uint start, uint words) in ((uint, uint)[])[(Gdt, 0x300), (PageDirectory + 0x400, 4), (TestTable, 8), (Data, 16), (Data + 0xFC0, 32)])
            {
                a.mov(esi, start);
                a.mov(ecx, words);
                a.call(sum);
                a.call(hex);
            }
            a.mov(al, (int)'\n');
            a.@out(0xE9, al);
            a.inc(__dword_ptr[Index]);
        }

        private static void Loop(Assembler a, Action body, Label hex)
        {
            Label again = a.CreateLabel();
            a.Label(ref again);
            body();
            a.call(hex);
            a.dec(ecx);
            a.jne(again);
        }

        private static void WriteNext(Assembler a, ref Label next, ref Label dispatch, int count)
        {
            Label done = a.CreateLabel();
            a.Label(ref next);
            a.mov(eax, KernelData);
            a.mov(ss, eax);
            a.Label(ref dispatch);
            a.mov(esp, RunnerStack);
            a.mov(eax, __dword_ptr[Index]);
            a.cmp(eax, count);
            a.jae(done);
            a.mov(ebx, ListMark);
            a.jmp(__dword_ptr[ebx + eax * 4]);
            a.Label(ref done);
            a.mov(al, 0);
            a.@out(0xF4, al);
            a.cli();
            a.hlt();
            a.jmp(done);
        }

        /// <summary>Prints EAX and a space; keeps all registers but EAX and EDX.</summary>
        private static void WriteHex(Assembler a, ref Label hex)
        {
            Label digit = a.CreateLabel(), small = a.CreateLabel();
            a.Label(ref hex);
            a.push(ecx);
            a.mov(edx, eax);
            a.mov(ecx, 8);
            a.Label(ref digit);
            a.rol(edx, 4);
            a.mov(eax, edx);
            a.and(eax, 15);
            a.add(al, (int)'0');
            a.cmp(al, (int)'9');
            a.jbe(small);
            a.add(al, 'a' - '0' - 10);
            a.Label(ref small);
            a.@out(0xE9, al);
            a.dec(ecx);
            a.jne(digit);
            a.mov(al, (int)' ');
            a.@out(0xE9, al);
            a.pop(ecx);
            a.ret();
        }

        /// <summary>EAX: a sum that depends on order over ECX doublewords at ESI.</summary>
        private static void WriteSum(Assembler a, ref Label sum)
        {
            Label again = a.CreateLabel();
            a.Label(ref sum);
            a.xor(eax, eax);
            a.Label(ref again);
            a.rol(eax, 5);
            a.add(eax, __dword_ptr[esi]);
            a.add(esi, 4);
            a.dec(ecx);
            a.jne(again);
            a.ret();
        }
    }
}
