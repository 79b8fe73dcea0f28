using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Fences, PAUSE, cache line flushes and MOVNTI. Memory is always coherent here and accesses are in order, so fences do nothing; a flush
/// still checks its address as a one-byte load does (AMD volume 3).
/// </summary>
internal static unsafe class CacheHintFamily
{
    public static Handler Bind(in Instruction instruction, bool memory) => instruction.Mnemonic switch
    {
        Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence => &Nothing,
        Mnemonic.Pause => &Pause,
        Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb when memory => &Touch,
        Mnemonic.Movnti => instruction.Code == Code.Movnti_m64_r64 ? &StoreGeneral<ulong> : &StoreGeneral<uint>,
        _ => null,
    };

    private static Op* Nothing(CpuState* s, Op* op) => op + 1;

    private static Op* Pause(CpuState* s, Op* op) => Intercept.TakesPause(s, op) ? null : op + 1;

    private static Op* Touch(CpuState* s, Op* op)
        => Operand.Linear(s, op, 1, false, out ulong linear) && LinearMemory.ProbeRead(s, op, linear, 1) ? op + 1 : null;

    private static Op* StoreGeneral<T>(CpuState* s, Op* op) where T : unmanaged
        => Operand.WriteMemory<T>(s, op, Operand.Register<T>(s, op->Destination)) ? op + 1 : null;
}
