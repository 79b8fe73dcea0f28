using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>Text to the first serial port, and the words of the command line.</summary>
internal sealed partial class NanobenchmarkGuest
{
    private void Print(string text)
    {
        c.mov(esi, _data.Add(text));
        c.call(_putText);
    }

    /// <summary>The text at RSI.</summary>
    private void PutText()
    {
        Label end = c.CreateLabel();
        c.Label(ref _putText);
        c.lodsb();
        c.test(al, al);
        c.je(end);
        c.call(_putCharacter);
        c.jmp(_putText);
        c.Label(ref end);
        c.ret();
    }

    private void PutCharacter()
    {
        Label wait = c.CreateLabel();
        c.Label(ref _putCharacter);
        c.mov(cl, al);
        c.mov(dx, LineStatus);
        c.Label(ref wait);
        c.@in(al, dx);
        c.test(al, 0x20);
        c.je(wait);
        c.mov(al, cl);
        c.mov(dx, Com1);
        c.@out(dx, al);
        c.ret();
    }

    /// <summary>RAX as sixteen hexadecimal digits, in as many instructions whatever they are.</summary>
    private void PutHex()
    {
        Label digit = c.CreateLabel();
        c.Label(ref _putHex);
        c.mov(rbx, rax);
        c.mov(edi, 16);
        c.Label(ref digit);
        c.rol(rbx, 4);
        c.mov(al, bl);
        c.and(al, 0xF);
        c.cmp(al, 10);
        c.setae(dl);
        c.neg(dl);
        c.and(dl, (sbyte)('a' - '0' - 10));
        c.add(al, dl);
        c.add(al, (sbyte)'0');
        c.call(_putCharacter);
        c.dec(edi);
        c.jne(digit);
        c.ret();
    }

    /// <summary>Looks for the text at RDI in that at RSI: RSI is where it begins, RAX where it ends; RAX is 0 if it is not there.</summary>
    private void Find()
    {
        Label compare = c.CreateLabel(), advance = c.CreateLabel(), found = c.CreateLabel(), none = c.CreateLabel();
        c.Label(ref _find);
        c.mov(rcx, rsi);
        c.mov(rdx, rdi);
        c.Label(ref compare);
        c.mov(al, __byte_ptr[rdx]);
        c.test(al, al);
        c.je(found);
        c.cmp(al, __byte_ptr[rcx]);
        c.jne(advance);
        c.inc(rcx);
        c.inc(rdx);
        c.jmp(compare);
        c.Label(ref advance);
        c.cmp(__byte_ptr[rsi], 0);
        c.je(none);
        c.inc(rsi);
        c.jmp(_find);
        c.Label(ref found);
        c.mov(rax, rcx);
        c.ret();
        c.Label(ref none);
        c.xor(eax, eax);
        c.ret();
    }

    /// <summary>The decimal number behind the text at RDI in the command line at RBX, into RAX; 0 if it is not there.</summary>
    private void FindNumber()
    {
        Label digit = c.CreateLabel(), end = c.CreateLabel();
        c.Label(ref _number);
        c.mov(rsi, rbx);
        c.call(_find);
        c.mov(rsi, rax);
        c.xor(eax, eax);
        c.test(rsi, rsi);
        c.je(end);
        c.Label(ref digit);
        c.movzx(ecx, __byte_ptr[rsi]);
        c.sub(ecx, '0');
        c.cmp(ecx, 9);
        c.ja(end);
        c.imul(rax, rax, 10);
        c.add(rax, rcx);
        c.inc(rsi);
        c.jmp(digit);
        c.Label(ref end);
        c.ret();
    }

    /// <summary>EAX is not 0 if the list at R13 has the whole name at RDI, or if there is no list.</summary>
    private void Wanted()
    {
        Label again = c.CreateLabel(), begins = c.CreateLabel(), next = c.CreateLabel(), yes = c.CreateLabel(), end = c.CreateLabel();
        c.Label(ref _wanted);
        c.test(r13, r13);
        c.je(yes);
        c.mov(rsi, r13);
        c.Label(ref again);
        c.call(_find);
        c.test(rax, rax);
        c.je(end);
        c.cmp(__byte_ptr[rsi - 1], (sbyte)',');
        c.je(begins);
        c.cmp(__byte_ptr[rsi - 1], (sbyte)'=');
        c.jne(next);
        c.Label(ref begins);
        c.cmp(__byte_ptr[rax], (sbyte)',');
        c.je(yes);
        c.cmp(__byte_ptr[rax], (sbyte)' ');
        c.jbe(yes);
        c.Label(ref next);
        c.inc(rsi);
        c.jmp(again);
        c.Label(ref yes);
        c.mov(eax, 1);
        c.Label(ref end);
        c.ret();
    }
}
