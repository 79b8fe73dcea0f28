using System.Numerics;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>
/// The processor's registers by name, as a debugger has them: parts (EAX, AH), single flags (ZF), hidden parts of segment registers
/// (CS.Base) and model-specific registers too. Writing checks the width and nothing else: what the processor would refuse can be set.
/// </summary>
public static unsafe class RegisterSet
{
    /// <summary>Every name, parts included.</summary>
    public static IEnumerable<string> Names => RegisterTable.All.Select(d => d.Name);

    /// <summary>Reads the registers that a test on name, group and being a part chooses.</summary>
    public static IReadOnlyList<RegisterValue> Read(Cpu cpu, Func<string, RegisterGroup, bool, bool> wanted)
        => [.. RegisterTable.All.Where(d => wanted(d.Name, d.Group, d.IsPart)).Select(d => Read(cpu, d))];

    public static RegisterValue Read(Cpu cpu, string name) => Read(cpu, Definition(name));

    private static RegisterValue Read(Cpu cpu, RegisterDefinition d)
    {
        BigInteger value = d.Read(cpu);
        object plain = d.Bits <= 64 ? (object)(ulong)value : value;
        return new RegisterValue(d.Name, d.Group, d.Bits, plain, RegisterText.Hex(value, d.Bits), d.Describe(cpu));
    }

    /// <summary>Sets a register. A negative value is taken in two's complement; one that does not fit is refused.</summary>
    public static void Write(Cpu cpu, string name, BigInteger value)
    {
        RegisterDefinition d = Definition(name);
        BigInteger limit = BigInteger.One << d.Bits;
        if (value >= limit || value < -(limit >> 1))
            throw new MachineException("InvalidRegisterValue", $"{d.Name} has {d.Bits} bits, which {value} does not fit. Give a value below 2^{d.Bits}.");
        d.Write(cpu, value.Sign < 0 ? value + limit : value);
        if (d.Group is RegisterGroup.Control or RegisterGroup.Debug)
            cpu.FlushTlb(keepGlobal: false);
        // Any of them may change what decoding depends on, or what is due before the next instruction.
        ModeChange.Update(cpu);
        cpu.RequestAttention(Attention.Interrupt);
    }

    private static RegisterDefinition Definition(string name)
        => RegisterTable.Find(name) ?? throw new MachineException("RegisterNotFound", $"There is no register '{name}'. Get-VMRegister -Name * lists those there are.");

    /// <summary>The general-purpose registers and RFLAGS, without allocating a register each.</summary>
    public static GeneralRegisters General(Cpu cpu)
    {
        CpuState* s = cpu.State;
        return new GeneralRegisters(s->Rax, s->Rbx, s->Rcx, s->Rdx, s->Rsi, s->Rdi, s->Rbp, s->Rsp,
            s->Gpr[8], s->Gpr[9], s->Gpr[10], s->Gpr[11], s->Gpr[12], s->Gpr[13], s->Gpr[14], s->Gpr[15], Flags.Rflags(s));
    }
}
