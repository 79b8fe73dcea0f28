using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Translation;

/// <summary>Guest code whose translation is kept.</summary>
internal static class Snippets
{
    public static IEnumerable<(string Name, int Bitness, Action<Assembler> Write)> Units =>
    [
        ("registers", 64, a => { a.mov(eax, ebx); a.add(rax, rcx); a.lea(rdx, __[rax + rcx * 4 + 8]); a.xor(r9d, r9d); }),
        ("registers that stay in memory", 64, a => { a.mov(r13, r14); a.add(r13, rax); a.sub(r15d, r13d); }),
        ("load, store", 64, a => { a.mov(rax, __[rsp + 8]); a.mov(__[rsp + 16], rax); }),
        ("read, modify, write", 64, a => { a.add(__dword_ptr[rsp + 8], 1); a.inc(__qword_ptr[rsp]); }),
        ("flags over a load", 64, a => { a.cmp(rax, rbx); a.mov(rcx, __[rsp]); a.setl(al); a.cmp(eax, 1); }),
        ("flags made again on the slow way", 64, a => { a.sub(rax, rbx); a.mov(rcx, __[rsp]); a.cmp(rcx, rax); }),
        ("conditional jump in the middle", 64, a =>
        {
            Label over = a.CreateLabel();
            a.test(eax, eax);
            a.jne(over);
            a.mov(ecx, 1);
            a.add(ecx, eax);
            a.Label(ref over);
            a.ret();
        }),
        ("loop", 64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ecx, 3);
            a.Label(ref top);
            a.dec(ecx);
            a.jne(top);
            a.nop();
        }),
        ("call and return", 64, a =>
        {
            Label function = a.CreateLabel(), end = a.CreateLabel();
            a.call(function);
            a.jmp(end);
            a.Label(ref function);
            a.ret();
            a.Label(ref end);
            a.nop();
        }),
        ("jump through a register", 64, a => { a.mov(eax, (uint)BareCpu.CodeAddress + 8); a.jmp(rax); a.nop(); a.nop(); }),
        ("push, pop", 64, a => { a.push(rbp); a.mov(rbp, rsp); a.push(r13); a.pop(r13); a.leave(); }),
        ("multiply, divide", 64, a => { a.mov(eax, 7); a.mov(ecx, 3); a.mul(ecx); a.div(ecx); a.imul(eax, ecx, 5); }),
        ("shifts", 64, a => { a.shl(rax, 3); a.sar(ecx, 1); a.shr(rdx, cl); a.cmp(eax, eax); }),
        ("sign extensions", 64, a => { a.movsx(eax, cl); a.movzx(edx, __byte_ptr[rsp]); a.cdqe(); a.cqo(); }),
        ("high bytes", 64, a => { a.mov(ah, cl); a.add(ch, 1); }),
        ("compare and exchange", 64, a => a.@lock.cmpxchg(__[rsp], rcx)),
        ("interrupt flag", 64, a => { a.pushfq(); a.cli(); a.popfq(); a.sti(); a.nop(); }),
        ("CPUID", 64, a => a.cpuid()),
        ("SSE", 64, a => { a.movaps(xmm0, xmm1); a.addsd(xmm0, __qword_ptr[rsp]); a.movups(__[rsp], xmm0); }),
        ("calls out", 64, a => { a.xor(eax, eax); a.@in(eax, dx); }),
        ("registers", 32, a => { a.mov(eax, ebx); a.add(eax, ecx); a.lea(edx, __[eax + ecx * 4 + 8]); }),
        ("load, store", 32, a => { a.mov(eax, __[esp + 8]); a.mov(__[esp + 16], eax); }),
        ("call and return", 32, a =>
        {
            Label function = a.CreateLabel(), end = a.CreateLabel();
            a.call(function);
            a.jmp(end);
            a.Label(ref function);
            a.ret();
            a.Label(ref end);
            a.nop();
        }),
        ("push, pop", 32, a => { a.push(5); a.push(__dword_ptr[esp]); a.pop(eax); a.pop(ecx); }),
        ("BCD calls out", 32, a => { a.daa(); a.add(eax, 1); }),
        ("load, store", 16, a => { a.mov(ax, __word_ptr[bx + si]); a.mov(__word_ptr[bx + 2], ax); }),
    ];

    public static IEnumerable<Action<Assembler>> Forms(int bitness)
    {
        AssemblerRegister64 b = rbx;
        AssemblerMemoryOperand m = bitness == 64 ? __[rsp + 8] : __[esp + 8];
        AssemblerMemoryOperand indexed = bitness == 64 ? __[rbx + rcx * 4] : __[ebx + ecx * 4];
        yield return a => a.mov(eax, ebx);
        yield return a => a.mov(eax, 5);
        yield return a => a.mov(eax, __dword_ptr[m]);
        yield return a => a.mov(eax, __dword_ptr[indexed]);
        yield return a => a.mov(__dword_ptr[m], eax);
        yield return a => a.mov(__dword_ptr[m], 5);
        yield return a => a.movzx(eax, __byte_ptr[m]);
        yield return a => a.movsx(eax, bl);
        yield return a => a.add(eax, ebx);
        yield return a => a.add(eax, 5);
        yield return a => a.add(eax, __dword_ptr[m]);
        yield return a => a.add(__dword_ptr[m], eax);
        yield return a => a.adc(eax, ebx);
        yield return a => a.cmp(eax, __dword_ptr[m]);
        yield return a => a.test(eax, ebx);
        yield return a => a.lea(eax, indexed);
        yield return a => a.shl(eax, 3);
        yield return a => a.shl(eax, cl);
        yield return a => a.rol(eax, 7);
        yield return a => a.imul(eax, ebx);
        yield return a => a.mul(ebx);
        yield return a => a.div(ebx);
        yield return a => a.bsf(eax, ebx);
        yield return a => a.bt(eax, 3);
        yield return a => a.sete(al);
        yield return a => a.cmove(eax, ebx);
        yield return a => a.xchg(eax, ebx);
        yield return a => a.bswap(eax);
        yield return a => a.push(5);
        yield return a => a.@lock.xadd(__dword_ptr[m], eax);
        yield return a => a.movd(xmm0, eax);
        yield return a => a.fld1();
        if (bitness != 64)
            yield break;
        yield return a => a.push(b);
        yield return a => a.pop(b);
        yield return a => a.mov(r13, r14);
        yield return a => a.add(r13, __[rsp + 8]);
        yield return a => a.pushfq();
        yield return a => a.popfq();
        yield return a => a.cli();
        yield return a => a.sti();
        yield return a => a.cpuid();
        yield return a => a.rdtsc();
    }
}
