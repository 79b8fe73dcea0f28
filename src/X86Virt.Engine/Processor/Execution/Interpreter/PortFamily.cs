using System.Runtime.CompilerServices;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>IN, OUT, INS, OUTS (AMD volume 3). Each element of a repeated one is an instruction of its own as far as time goes.</summary>
internal static unsafe class PortFamily
{
    private const byte Rcx = 1 * 8, Rsi = 6 * 8, Rdi = 7 * 8;

    public static Handler Bind(in Instruction instruction) => instruction.Code switch
    {
        Code.In_AL_imm8 => &In<byte>,
        Code.In_AX_imm8 => &In<ushort>,
        Code.In_EAX_imm8 => &In<uint>,
        Code.In_AL_DX => &InDx<byte>,
        Code.In_AX_DX => &InDx<ushort>,
        Code.In_EAX_DX => &InDx<uint>,
        Code.Out_imm8_AL => &Out<byte>,
        Code.Out_imm8_AX => &Out<ushort>,
        Code.Out_imm8_EAX => &Out<uint>,
        Code.Out_DX_AL => &OutDx<byte>,
        Code.Out_DX_AX => &OutDx<ushort>,
        Code.Out_DX_EAX => &OutDx<uint>,
        Code.Insb_m8_DX => &InString<byte>,
        Code.Insw_m16_DX => &InString<ushort>,
        Code.Insd_m32_DX => &InString<uint>,
        Code.Outsb_DX_m8 => &OutString<byte>,
        Code.Outsw_DX_m16 => &OutString<ushort>,
        Code.Outsd_DX_m32 => &OutString<uint>,
        _ => null,
    };

    /// <summary>IOPL, or else the permission bitmap of the task.</summary>
    private static bool IsAllowed(CpuState* s, Op* op, ushort port, int size)
        => !s->ProtectedMode || (s->Cpl <= s->Iopl && !s->Virtual8086) || TaskState.AllowsPort(s, op, port, size);

    /// <summary>Makes the count of retired instructions exact, which devices tell the time by, and reads.</summary>
    private static uint Read<T>(CpuState* s, Op* op, ushort port) where T : unmanaged
    {
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.PortReads++;
        cpu.Statistics.Ports[port]++;
        DebugRegisters.OnPort(s, op, port, sizeof(T));
        return cpu.Bus.ReadPort(port, sizeof(T));
    }

    private static void Write<T>(CpuState* s, Op* op, ushort port, uint value) where T : unmanaged
    {
        Cpu cpu = Cpu.Of(s);
        cpu.Statistics.PortWrites++;
        cpu.Statistics.Ports[port]++;
        DebugRegisters.OnPort(s, op, port, sizeof(T));
        cpu.Bus.WritePort(port, sizeof(T), value);
    }

    private static Op* In<T>(CpuState* s, Op* op) where T : unmanaged => In<T>(s, op, (byte)op->Immediate);

    private static Op* InDx<T>(CpuState* s, Op* op) where T : unmanaged => In<T>(s, op, (ushort)s->Rdx);

    private static Op* In<T>(CpuState* s, Op* op, ushort port) where T : unmanaged
    {
        if (!IsAllowed(s, op, port, sizeof(T)) || Intercept.TakesPort(s, op, port, sizeof(T), isIn: true, isString: false))
            return null;
        Control.Complete(s, op);
        Operand.SetRegister<T>(s, 0, Read<T>(s, op, port));
        return null;
    }

    private static Op* Out<T>(CpuState* s, Op* op) where T : unmanaged => Out<T>(s, op, (byte)op->Immediate);

    private static Op* OutDx<T>(CpuState* s, Op* op) where T : unmanaged => Out<T>(s, op, (ushort)s->Rdx);

    private static Op* Out<T>(CpuState* s, Op* op, ushort port) where T : unmanaged
    {
        if (!IsAllowed(s, op, port, sizeof(T)) || Intercept.TakesPort(s, op, port, sizeof(T), isIn: false, isString: false))
            return null;
        Control.Complete(s, op);
        Write<T>(s, op, port, (uint)Operand.Register<T>(s, 0));
        return null;
    }

    private static ulong AddressMask(Op* op)
        => (op->Flags & OpFlags.Narrow) == 0 ? ulong.MaxValue : (op->Flags & OpFlags.Address16) != 0 ? 0xFFFF : 0xFFFF_FFFFUL;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Advance(CpuState* s, byte register, ulong mask, ulong by)
    {
        ulong* r = (ulong*)((byte*)s + register);
        ulong sum = (*r + by) & mask;
        *r = mask == 0xFFFF ? (*r & ~0xFFFFUL) | sum : sum;
    }

    private static nint Step<T>(CpuState* s) where T : unmanaged => (s->SystemFlags & Flags.Df) != 0 ? -sizeof(T) : sizeof(T);

    /// <summary>Nothing left to do, where the count of a repeated instruction is 0.</summary>
    private static bool IsOver(CpuState* s, Op* op, ulong mask)
    {
        if ((op->Flags & (OpFlags.Rep | OpFlags.Repne)) == 0 || (s->Rcx & mask) != 0)
            return false;
        Advance(s, Rcx, mask, 0);
        return true;
    }

    /// <summary>Counts one element down and ends the block, on the instruction if there are more.</summary>
    private static void Finish(CpuState* s, Op* op, ulong mask)
    {
        if ((op->Flags & (OpFlags.Rep | OpFlags.Repne)) == 0)
        {
            Control.Complete(s, op);
            return;
        }
        Advance(s, Rcx, mask, ulong.MaxValue);
        if ((s->Rcx & mask) == 0)
            Control.Complete(s, op);
        else
            Control.Repeat(s, op);
    }

    private static Op* InString<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong mask = AddressMask(op);
        ushort port = (ushort)s->Rdx;
        if (!IsAllowed(s, op, port, sizeof(T)))
            return null;
        if (IsOver(s, op, mask))
            return Control.Complete(s, op);
        if (Intercept.TakesPort(s, op, port, sizeof(T), isIn: true, isString: true))
            return null;
        // The destination is checked before the device is read, as what was read from it would be lost.
        if (!Operand.Linear(s, op, Segment.Es, s->Rdi & mask, sizeof(T), true, out ulong linear) || !LinearMemory.ProbeWrite(s, op, linear, sizeof(T)))
            return null;
        ulong raw = Read<T>(s, op, port);
        T value = Unsafe.As<ulong, T>(ref raw);
        LinearMemory.Write(s, op, linear, value);
        Advance(s, Rdi, mask, (ulong)Step<T>(s));
        Finish(s, op, mask);
        return null;
    }

    private static Op* OutString<T>(CpuState* s, Op* op) where T : unmanaged
    {
        ulong mask = AddressMask(op);
        ushort port = (ushort)s->Rdx;
        if (!IsAllowed(s, op, port, sizeof(T)))
            return null;
        if (IsOver(s, op, mask))
            return Control.Complete(s, op);
        if (Intercept.TakesPort(s, op, port, sizeof(T), isIn: false, isString: true))
            return null;
        if (!Operand.Linear(s, op, op->Segment, s->Rsi & mask, sizeof(T), false, out ulong linear) || !LinearMemory.Read(s, op, linear, out T value))
            return null;
        Advance(s, Rsi, mask, (ulong)Step<T>(s));
        Finish(s, op, mask);
        Write<T>(s, op, port, (uint)Operand.Load<T>(&value));
        return null;
    }
}
