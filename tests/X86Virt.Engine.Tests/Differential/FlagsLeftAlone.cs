using Iced.Intel;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// Instructions that leave some flags alone, or leave undefined ones in a way of their own, between others whose host code has flags of its own:
/// translated code must leave what the interpreter leaves, from every flags before.
/// </summary>
public unsafe class FlagsLeftAlone
{
    private static readonly (string Name, Action<Assembler> Write)[] Instructions =
    [
        ("imul r, r", a => a.imul(rax, rcx)),
        ("imul r, m", a => a.imul(rax, __[rsi])),
        ("imul r, r, i", a => a.imul(eax, ecx, 77)),
        ("imul r", a => a.imul(rcx)),
        ("mul r", a => a.mul(ecx)),
        ("mul m", a => a.mul(__qword_ptr[rsi])),
        ("mul 8", a => a.mul(cl)),
        ("div 32", a => a.div(ecx)),
        ("div 64", a => a.div(rcx)),
        ("div m", a => a.div(__dword_ptr[rsi])),
        ("idiv 32", a => a.idiv(ecx)),
        ("idiv 64", a => a.idiv(rcx)),
        ("div 16", a => a.div(cx)),
        ("tzcnt", a => a.tzcnt(rax, rcx)),
        ("lzcnt", a => a.lzcnt(eax, ecx)),
        ("popcnt", a => a.popcnt(rax, rcx)),
        ("bsf", a => a.bsf(rax, rcx)),
        ("bsr", a => a.bsr(eax, ecx)),
        ("bsf of 0", a => a.bsf(rax, r9)),
        ("bt", a => a.bt(rax, 3)),
        ("bts", a => a.bts(rax, rcx)),
        ("shl", a => a.shl(rax, 3)),
        ("shl by cl", a => a.shl(rax, cl)),
        ("sar 1", a => a.sar(eax, 1)),
        ("shld", a => a.shld(rax, rcx, 5)),
        ("shrd", a => a.shrd(eax, ecx, 7)),
        ("rol", a => a.rol(rax, 3)),
        ("rcr", a => a.rcr(rax, 1)),
        ("andn", a => a.andn(rax, rcx, rdx)),
        ("bextr", a => a.bextr(rax, rcx, rdx)),
        ("blsr", a => a.blsr(rax, rcx)),
        ("blsi of 0", a => a.blsi(rax, r9)),
        ("bzhi", a => a.bzhi(rax, rcx, rdx)),
        ("crc32", a => a.crc32(eax, ecx)),
        ("inc", a => a.inc(rax)),
        ("dec m", a => a.dec(__dword_ptr[rsi])),
        ("neg", a => a.neg(rax)),
        ("adc", a => a.adc(rax, rcx)),
        ("adcx", a => a.adcx(rax, rcx)),
        ("cmc", a => a.cmc()),
        ("xadd", a => a.xadd(__qword_ptr[rsi], rax)),
        ("cmpxchg", a => a.cmpxchg(__qword_ptr[rsi], rcx)),
        ("and m", a => a.and(rax, __[rsi])),
        ("test", a => a.test(rax, rax)),
    ];

    private static readonly (string Name, Action<Assembler> Write)[] Neighbours =
    [
        ("nothing", _ => { }),
        ("load", a => a.mov(r10, __[rsi + 8])),
        ("store", a => a.mov(__[rsi + 16], r10)),
        ("add, store", a => { a.add(r11, r10); a.mov(__[rsi + 16], r11); }),
        ("sub, load, load", a => { a.sub(r8d, 4); a.mov(r10, __[rsi + 8]); a.mov(r11, __[rsi]); }),
        ("cmp, push", a => { a.cmp(r8d, 4); a.push(r8); }),
        ("xor, store", a => { a.xor(r8b, 4); a.mov(__[rsi + 16], r8); }),
        ("cmp, set m, cmp", a => { a.cmp(r8d, 4); a.setne(__byte_ptr[rsi + 16]); a.cmp(r8d, 1); a.mov(__[rsi + 24], r8); }),
        ("sub, cmov m, load, adc m", a => { a.sub(r8d, 4); a.cmovl(r10, __[rsi + 8]); a.mov(r11, __[rsi]); a.adc(__dword_ptr[rsi + 16], 3); }),
        ("cmp, jump, load, sbb", a => { Label over = a.CreateLabel(); a.cmp(r8, rcx); a.jb(over); a.mov(r10, __[rsi + 8]); a.sbb(r10, r11); a.Label(ref over); a.nop(); }),
        ("test, jump, store, jump, xor", a =>
        {
            Label over = a.CreateLabel();
            a.test(cl, 1);
            a.je(over);
            a.mov(__[rsi + 16], r8);
            a.jo(over);
            a.xor(r8, r10);
            a.Label(ref over);
            a.mov(__[rsi + 24], r8);
        }),
        ("or m, load", a => { a.or(r8, __[rsi]); a.mov(r10, __[rsi + 8]); }),
    ];

    /// <summary>Behind it: one flag is read, and all are overwritten.</summary>
    private static readonly (string Name, Action<Assembler> Write)[] Readers =
    [
        ("seto, cmp", a => { a.seto(r10b); a.cmp(r8, r8); }),
        ("sets, cmp", a => { a.sets(r10b); a.cmp(r8, r8); }),
        ("setz, cmp", a => { a.setz(r10b); a.cmp(r8, r8); }),
        ("setp, cmp", a => { a.setp(r10b); a.cmp(r8, r8); }),
        ("setc, cmp", a => { a.setc(r10b); a.cmp(r8, r8); }),
    ];

    public static TheoryData<string> Names() => [.. Instructions.Select(i => i.Name)];

    [Theory, MemberData(nameof(Names))]
    public void TranslatedCodeLeavesTheFlagsThatTheInterpreterLeaves(string name)
    {
        Action<Assembler> write = Instructions.First(i => i.Name == name).Write;
        using var reference = new BareCpu(64, BareCpu.Engines["Interpreter"]);
        using var tested = new BareCpu(64, BareCpu.Engines["BinaryTranslation"]);
        foreach ((string before, Action<Assembler> writeBefore) in Neighbours)
        {
            foreach ((string after, Action<Assembler> writeAfter) in Neighbours.Concat(Readers))
            {
                byte[] code = BareCpu.Assemble(64, a =>
                {
                    writeBefore(a);
                    write(a);
                    writeAfter(a);
                });
                int count = Count(code);
                foreach (uint flags in (uint[])[0, Flags.RflagsStatus, 0x811, 0x0C4])
                {
                    // The last accesses of a page that is not there fault, so that what they see of flags is compared, too.
                    foreach (ulong address in (ulong[])[0x9000, 0x1_0000_0000])
                    {
                        string expected = Run(reference, code, count, flags, address), actual = Run(tested, code, count, flags, address);
                        Assert.True(expected == actual, $"{before}; {name}; {after}; flags {flags:x}, address {address:x}\nexpected {expected}\nactual   {actual}");
                    }
                }
            }
        }
    }

    private static int Count(byte[] code)
    {
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(code));
        int count = 0;
        for (int at = 0; at < code.Length; count++)
            at += decoder.Decode().Length;
        return count;
    }

    private static string Run(BareCpu cpu, byte[] code, int count, uint flags, ulong address)
    {
        cpu.Restart();
        cpu.Memory.Write(0x9000, 0x1234_5679UL);
        cpu.Memory.Write(0x9008, 0x77UL);
        CpuState* s = cpu.State;
        for (int i = 0; i < 16; i++)
            s->Gpr[i] = (ulong)i * 3 + 1;
        (s->Rax, s->Rcx, s->Rdx, s->Rsi, s->Rsp) = (0x1_2345, 0x77, 0, address, BareCpu.StackTop);
        s->Gpr[9] = 0;
        s->StatusFlags = Flags.FromRflags(flags);
        cpu.Run(code, count);
        return $"{Flags.Rflags(s):x} {s->Rax:x} {s->Rdx:x} {s->Gpr[8]:x} {s->Gpr[10]:x} {s->Gpr[11]:x} {s->Rip:x} {cpu.Memory.Read<ulong>(0x9010):x} {cpu.FirstFault}";
    }
}
