using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.WordAssembler;

namespace X86Virt.Guests;

/// <summary>Text to the first serial port, and the words of the command line.</summary>
internal sealed partial class NanobenchmarkGuest
{
    private void Print(string text)
    {
        c.mov(esi, _data.Add(text));
        c.call(_putText);
    }

    /// <summary>The text at ESI.</summary>
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

    /// <summary>Eight bytes of memory as sixteen hexadecimal digits, in as many instructions whatever they are.</summary>
    private void PrintNumber(uint address)
    {
        c.mov(eax, __dword_ptr[address + 4]);
        c.call(_putHex);
        c.mov(eax, __dword_ptr[address]);
        c.call(_putHex);
    }

    /// <summary>EAX as eight digits.</summary>
    private void PutHex()
    {
        Label digit = c.CreateLabel();
        c.Label(ref _putHex);
        c.mov(ebx, eax);
        c.mov(edi, 8);
        c.Label(ref digit);
        c.rol(ebx, 4);
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

    /// <summary>Looks for the text at EDI in that at ESI: ESI is where it begins, EAX where it ends; EAX is 0 if it is not there.</summary>
    private void Find()
    {
        Label compare = c.CreateLabel(), advance = c.CreateLabel(), found = c.CreateLabel(), none = c.CreateLabel();
        c.Label(ref _find);
        c.mov(ecx, esi);
        c.mov(edx, edi);
        c.Label(ref compare);
        c.mov(al, w.At(Dx));
        c.test(al, al);
        c.je(found);
        c.cmp(al, w.At(Cx));
        c.jne(advance);
        c.inc(ecx);
        c.inc(edx);
        c.jmp(compare);
        c.Label(ref advance);
        c.cmp(__byte_ptr[w.At(Si)], 0);
        c.je(none);
        c.inc(esi);
        c.jmp(_find);
        c.Label(ref found);
        c.mov(eax, ecx);
        c.ret();
        c.Label(ref none);
        c.xor(eax, eax);
        c.ret();
    }

    /// <summary>The decimal number behind the text at EDI in the command line at EBX, into RAX; 0 if it is not there, all ones if it is too large.</summary>
    private void FindNumber()
    {
        Label digit = c.CreateLabel(), tooLarge = c.CreateLabel(), end = c.CreateLabel();
        c.Label(ref _number);
        c.mov(esi, ebx);
        c.call(_find);
        c.mov(esi, eax);
        c.xor(eax, eax);
        c.test(esi, esi);
        c.je(end);
        c.Label(ref digit);
        c.movzx(ecx, __byte_ptr[w.At(Si)]);
        c.sub(ecx, '0');
        c.cmp(ecx, 9);
        c.ja(end);
        c.mov(edx, 10);
        w.Multiply(Dx);
        c.jc(tooLarge);
        w.Add(Ax, Cx);
        c.jc(tooLarge);
        c.inc(esi);
        c.jmp(digit);
        c.Label(ref tooLarge);
        w.Fill(Ax);
        c.Label(ref end);
        c.ret();
    }

    /// <summary>EAX is not 0 if the list of operations has the whole name at EDI, or if there is no list.</summary>
    private void Wanted()
    {
        Label again = c.CreateLabel(), begins = c.CreateLabel(), next = c.CreateLabel(), yes = c.CreateLabel(), end = c.CreateLabel();
        c.Label(ref _wanted);
        c.mov(esi, __dword_ptr[NanobenchmarkLayout.Operations]);
        c.test(esi, esi);
        c.je(yes);
        c.Label(ref again);
        c.call(_find);
        c.test(eax, eax);
        c.je(end);
        c.cmp(__byte_ptr[w.At(Si, -1)], (sbyte)',');
        c.je(begins);
        c.cmp(__byte_ptr[w.At(Si, -1)], (sbyte)'=');
        c.jne(next);
        c.Label(ref begins);
        c.cmp(__byte_ptr[w.At(Ax)], (sbyte)',');
        c.je(yes);
        c.cmp(__byte_ptr[w.At(Ax)], (sbyte)' ');
        c.jbe(yes);
        c.Label(ref next);
        c.inc(esi);
        c.jmp(again);
        c.Label(ref yes);
        c.mov(eax, 1);
        c.Label(ref end);
        c.ret();
    }
}
