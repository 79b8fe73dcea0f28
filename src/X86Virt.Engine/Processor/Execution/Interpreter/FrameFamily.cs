using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>ENTER, PUSHA, POPA: several stack slots in one instruction, all checked before one is written.</summary>
internal static unsafe class FrameFamily
{
    private const byte Rbp = 5 * 8;

    public static Handler Bind(in Instruction instruction) => instruction.Code switch
    {
        Code.Enterw_imm16_imm8 => &Enter<ushort>,
        Code.Enterd_imm16_imm8 => &Enter<uint>,
        Code.Enterq_imm16_imm8 => &Enter<ulong>,
        Code.Pushaw => &PushAll<ushort>,
        Code.Pushad => &PushAll<uint>,
        Code.Popaw => &PopAll<ushort>,
        Code.Popad => &PopAll<uint>,
        _ => null,
    };

    private static bool Write<T>(CpuState* s, Op* op, ulong pointer, ulong value) where T : unmanaged
    {
        T raw;
        Operand.Store<T>(&raw, value);
        return Stack.Linear(s, op, pointer, sizeof(T), true, out ulong linear) && LinearMemory.Write(s, op, linear, raw);
    }

    private static bool Read<T>(CpuState* s, Op* op, ulong pointer, out ulong value) where T : unmanaged
    {
        value = 0;
        if (!Stack.Linear(s, op, pointer, sizeof(T), false, out ulong linear) || !LinearMemory.Read(s, op, linear, out T raw))
            return false;
        value = Operand.Load<T>(&raw);
        return true;
    }

    private static bool Probe<T>(CpuState* s, Op* op, ulong pointer) where T : unmanaged
        => Stack.Linear(s, op, pointer, sizeof(T), true, out ulong linear) && LinearMemory.ProbeWrite(s, op, linear, sizeof(T));

    /// <summary>
    /// Pushes rBP, copies the enclosing frames' pointers, pushes its own, and makes room. The stack must be writable at the final
    /// pointer, though nothing is written there.
    /// </summary>
    private static Op* Enter<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong mask = s->StackMask;
        int level = op->Displacement & 31;
        ulong frame = (s->Rsp - (ulong)sizeof(T)) & mask;
        ulong room = (ulong)(ushort)op->Immediate;
        ulong final = (frame - (ulong)(level * sizeof(T)) - room) & mask;
        for (int i = 0; i <= level; i++)
        {
            if (!Probe<T>(s, op, (frame - (ulong)(i * sizeof(T))) & mask))
                return null;
        }
        for (int i = 1; i < level; i++)
        {
            if (!Read<T>(s, op, (s->Rbp - (ulong)(i * sizeof(T))) & mask, out _))
                return null;
        }
        if (!Probe<T>(s, op, final))
            return null;

        // On a 16-bit stack the rest of ESP goes into EBP, too.
        ulong framePointer = (s->Rsp & ~mask) | frame;
        Write<T>(s, op, frame, Operand.Register<T>(s, Rbp));
        for (int i = 1; i < level; i++)
        {
            // Read again: the old frame may overlap what was just pushed.
            Read<T>(s, op, (s->Rbp - (ulong)(i * sizeof(T))) & mask, out ulong link);
            Write<T>(s, op, (frame - (ulong)(i * sizeof(T))) & mask, link);
        }
        if (level > 0)
            Write<T>(s, op, (frame - (ulong)(level * sizeof(T))) & mask, framePointer);
        Operand.SetRegister<T>(s, Rbp, framePointer);
        Stack.SetPointer(s, final);
        return op + 1;
    }

    private static Op* PushAll<T>(CpuState* s, Op* op) where T : unmanaged
    {
        for (int i = 1; i <= 8; i++)
        {
            if (!Probe<T>(s, op, (s->Rsp - (ulong)(i * sizeof(T))) & s->StackMask))
                return null;
        }
        for (int i = 1; i <= 8; i++)
            Write<T>(s, op, (s->Rsp - (ulong)(i * sizeof(T))) & s->StackMask, s->Gpr[i - 1]);
        Stack.Release(s, -8 * sizeof(T));
        return op + 1;
    }

    /// <summary>The slot of the stack pointer is skipped.</summary>
    private static Op* PopAll<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong* values = stackalloc ulong[8];
        for (int i = 0; i < 8; i++)
        {
            if (!Read<T>(s, op, (s->Rsp + (ulong)(i * sizeof(T))) & s->StackMask, out values[7 - i]))
                return null;
        }
        for (int i = 0; i < 8; i++)
        {
            if (i != 4)
                Operand.SetRegister<T>(s, (byte)(i * 8), values[i]);
        }
        Stack.Release(s, 8 * sizeof(T));
        return op + 1;
    }
}
