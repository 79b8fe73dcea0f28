using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Guests.NanobenchmarkLayout;

namespace X86Virt.Guests;

/// <summary>What the nanobenchmark kernel does in another way in long mode than in protected mode.</summary>
internal abstract class NanobenchmarkMode(int bits)
{
    public WordAssembler Words { get; } = new(bits);

    protected Assembler c => Words.Code;

    /// <summary>The descriptor of the kernel's code segment.</summary>
    public abstract ulong CodeDescriptor { get; }

    /// <summary>Bytes of an interrupt gate.</summary>
    public abstract uint GateSize { get; }

    /// <summary>Doublewords of page tables and of the task state, on memory that is clear.</summary>
    public abstract IEnumerable<(uint At, uint Value)> Tables { get; }

    /// <summary>What is done before paging is switched on, in 32-bit code.</summary>
    public virtual void PreparePaging(Assembler entry)
    {
    }

    public abstract void SetUpSystemCalls(Label entry);

    /// <summary>Goes to user mode, where the call at <paramref name="call"/> comes next, which returns to <paramref name="back"/>.</summary>
    public abstract void EnterUser(Label call, Label back);

    public abstract void SystemCall();

    public abstract void SystemReturn();

    /// <summary>Pushes what an interrupt pushes; it returns to <paramref name="back"/>.</summary>
    public abstract void PushFrame(Label back);

    public abstract void PrepareTaskPriority();

    /// <summary>Writes 0 to the task-priority register, by one instruction.</summary>
    public abstract void WriteTaskPriority();

    /// <summary>WRMSR of EAX, below 4 GiB.</summary>
    protected void WriteRegister(uint register)
    {
        c.mov(ecx, register);
        c.xor(edx, edx);
        c.wrmsr();
    }

    /// <summary>Page directories by the GiB that they map, in the pointer table at <paramref name="pointers"/>.</summary>
    protected static IEnumerable<(uint At, uint Value)> Directories(uint pointers, uint flags)
        => [(pointers, IdentityDirectory | flags), (pointers + 8, SmallDirectory | flags), (pointers + 16, ManyDirectory | flags), (pointers + 24, DeviceDirectory | flags)];
}
