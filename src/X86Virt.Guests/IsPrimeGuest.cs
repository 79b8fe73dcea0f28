using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>isPrime of Adams and Agesen's paper (ASPLOS 2006, section 3.1), instruction for instruction, with a caller.</summary>
internal static class IsPrimeGuest
{
    private const ulong LoadAddress = 0x10_0000;
    private const byte DebugExitPort = 0xF4;

    public static BuiltInGuest Build(int n)
    {
        var c = new Assembler(64);
        Label isPrime = c.CreateLabel("isPrime"), nexti = c.CreateLabel("nexti"), prime = c.CreateLabel("prime"), notPrime = c.CreateLabel("notPrime"), stop = c.CreateLabel("stop");

        c.mov(edi, n);
        c.call(isPrime);
        c.@out(DebugExitPort, eax);
        c.Label(ref stop);
        c.cli();
        c.hlt();
        c.jmp(stop);

        c.Label(ref isPrime);
        c.mov(ecx, edi);
        c.mov(esi, 2);
        c.cmp(esi, ecx);
        c.jge(prime);
        c.Label(ref nexti);
        c.mov(eax, ecx);
        c.cdq();
        c.idiv(esi);
        c.test(edx, edx);
        c.jz(notPrime);
        c.inc(esi);
        c.cmp(esi, ecx);
        c.jl(nexti);
        c.Label(ref prime);
        c.mov(eax, 1);
        c.ret();
        c.Label(ref notPrime);
        c.xor(eax, eax);
        c.ret();

        GuestCode code = GuestAssembly.Assemble(c, LoadAddress, isPrime, nexti, prime, notPrime);
        return new BuiltInGuest("IsPrime", $"isPrime({n}): exit code 3 for a prime, 1 otherwise", code.Bytes, 64, LoadAddress, LoadAddress, code.Symbols);
    }
}
