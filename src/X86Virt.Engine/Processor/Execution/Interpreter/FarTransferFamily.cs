using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Far JMP, CALL and RET; IRET.</summary>
internal static unsafe class FarTransferFamily
{
    public static Handler Bind(in Instruction instruction) => instruction.Code switch
    {
        Code.Jmp_ptr1616 => &Jmp<ushort>,
        Code.Jmp_ptr1632 => &Jmp<uint>,
        Code.Call_ptr1616 => &Call<ushort>,
        Code.Call_ptr1632 => &Call<uint>,
        Code.Jmp_m1616 => &JmpMemory<ushort>,
        Code.Jmp_m1632 => &JmpMemory<uint>,
        Code.Jmp_m1664 => &JmpMemory<ulong>,
        Code.Call_m1616 => &CallMemory<ushort>,
        Code.Call_m1632 => &CallMemory<uint>,
        Code.Call_m1664 => &CallMemory<ulong>,
        Code.Retfw or Code.Retfw_imm16 => &Ret<ushort>,
        Code.Retfd or Code.Retfd_imm16 => &Ret<uint>,
        Code.Retfq or Code.Retfq_imm16 => &Ret<ulong>,
        Code.Iretw => &Iret<ushort>,
        Code.Iretd => &Iret<uint>,
        Code.Iretq => &Iret<ulong>,
        _ => null,
    };

    private static Op* Jmp<T>(CpuState* s, Op* op) where T : unmanaged
        => FarTransfer.Go(s, op, (ushort)op->Displacement, (ulong)op->Immediate, sizeof(T), call: false);

    private static Op* Call<T>(CpuState* s, Op* op) where T : unmanaged
        => FarTransfer.Go(s, op, (ushort)op->Displacement, (ulong)op->Immediate, sizeof(T), call: true);

    private static Op* JmpMemory<T>(CpuState* s, Op* op) where T : unmanaged
        => FarPointer.Read<T>(s, op, out ulong offset, out ushort selector) ? FarTransfer.Go(s, op, selector, offset, sizeof(T), call: false) : null;

    private static Op* CallMemory<T>(CpuState* s, Op* op) where T : unmanaged
        => FarPointer.Read<T>(s, op, out ulong offset, out ushort selector) ? FarTransfer.Go(s, op, selector, offset, sizeof(T), call: true) : null;

    private static Op* Ret<T>(CpuState* s, Op* op) where T : unmanaged => FarReturn.Return(s, op, sizeof(T), (ushort)op->Immediate);

    private static Op* Iret<T>(CpuState* s, Op* op) where T : unmanaged
        => Intercept.Takes(s, op, SvmExitCode.Iret) ? null : FarReturn.Interrupt(s, op, sizeof(T));
}
