using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Turns a decoded instruction into an <see cref="Op"/>: the same operand plan for every instruction, then its handler.</summary>
internal static unsafe class Lowering
{
    /// <param name="instruction">Decoded with IP = <paramref name="blockRip"/> + <paramref name="offset"/>.</param>
    /// <param name="mode">The mode it was decoded in.</param>
    /// <param name="blockRip">RIP of the first instruction of the block.</param>
    /// <param name="offset">Distance from it.</param>
    /// <param name="op">Everything but <see cref="Op.Ordinal"/> is filled in.</param>
    /// <param name="handlers">The binder of the processor.</param>
    public static void Lower(in Instruction instruction, CodeMode mode, ulong blockRip, int offset, Op* op, HandlerTable handlers)
    {
        *op = default;
        op->Length = (byte)instruction.Length;
        op->Offset = (ushort)offset;
        op->Segment = Segment.Ds;
        op->Index = CpuState.ZeroOffset;
        op->Base = CpuState.ZeroOffset;
        OpFlags flags = OpFlags.None;
        if (instruction.HasRepPrefix)
            flags |= OpFlags.Rep;
        if (instruction.HasRepnePrefix)
            flags |= OpFlags.Repne;
        if (instruction.HasLockPrefix)
            flags |= OpFlags.Lock;

        bool memory = false;
        int registers = 0;
        int count = instruction.OpCount;
        for (int i = 0; i < count; i++)
        {
            OpKind kind = instruction.GetOpKind(i);
            switch (kind)
            {
                case OpKind.Register:
                    byte name = OperandRegisters.Name(instruction.GetOpRegister(i));
                    if (registers == 0)
                        op->Destination = name;
                    else if (registers == 1)
                        op->Source = name;
                    else if (registers == 2 && !memory)
                        op->Base = name;
                    registers++;
                    break;
                case OpKind.NearBranch16:
                    op->Immediate = (short)(instruction.NearBranch16 - (ushort)instruction.NextIP);
                    break;
                case OpKind.NearBranch32:
                    op->Immediate = (int)(instruction.NearBranch32 - (uint)instruction.NextIP);
                    break;
                case OpKind.NearBranch64:
                    op->Immediate = (long)(instruction.NearBranch64 - instruction.NextIP);
                    break;
                case OpKind.FarBranch16:
                    op->Immediate = instruction.FarBranch16;
                    op->Displacement = instruction.FarBranchSelector;
                    break;
                case OpKind.FarBranch32:
                    op->Immediate = instruction.FarBranch32;
                    op->Displacement = instruction.FarBranchSelector;
                    break;
                case OpKind.Immediate8_2nd:
                    op->Displacement = instruction.Immediate8_2nd;
                    break;
                case OpKind.Memory:
                    memory = true;
                    flags |= MemoryOperand(instruction, mode, blockRip, op);
                    break;
                case OpKind.MemorySegSI or OpKind.MemorySegDI:
                    memory = true;
                    op->Segment = OperandSegment(instruction, mode);
                    flags |= OpFlags.Address16;
                    break;
                case OpKind.MemorySegESI or OpKind.MemorySegEDI:
                    memory = true;
                    op->Segment = OperandSegment(instruction, mode);
                    flags |= OpFlags.Address32;
                    break;
                case OpKind.MemorySegRSI or OpKind.MemorySegRDI:
                    memory = true;
                    op->Segment = OperandSegment(instruction, mode);
                    break;
                case OpKind.MemoryESDI:
                    memory = true;
                    flags |= OpFlags.Address16;
                    break;
                case OpKind.MemoryESEDI:
                    memory = true;
                    flags |= OpFlags.Address32;
                    break;
                case OpKind.MemoryESRDI:
                    memory = true;
                    break;
                default:
                    op->Immediate = (long)instruction.GetImmediate(i);
                    break;
            }
        }

        // Its address is in a register that the encoding does not name.
        if (instruction.Mnemonic == Mnemonic.Monitor)
        {
            memory = true;
            op->Base = OperandRegisters.Name(Register.RAX);
            op->Segment = OperandSegment(instruction, mode);
            flags |= instruction.Code switch { Code.Monitorw => OpFlags.Address16, Code.Monitord => OpFlags.Address32, _ => OpFlags.None };
        }

        if (memory && (mode & CodeMode.SizeMask) != CodeMode.Code64
            && ((mode & CodeMode.Flat) == 0 || op->Segment is Segment.Cs or Segment.Fs or Segment.Gs))
            flags |= OpFlags.Checked;
        op->Flags = flags;
        handlers.Bind(instruction, memory, op);
    }

    private static Segment OperandSegment(in Instruction instruction, CodeMode mode)
    {
        Register segment = instruction.MemorySegment;
        // 64-bit mode ignores the other overrides, down to which of #SS and #GP a non-canonical address raises.
        if ((mode & CodeMode.SizeMask) == CodeMode.Code64 && instruction.SegmentPrefix is Register.ES or Register.CS or Register.SS or Register.DS)
            segment = instruction.MemoryBase is Register.RSP or Register.ESP or Register.RBP or Register.EBP ? Register.SS : Register.DS;
        return (Segment)OperandRegisters.Name(segment);
    }

    private static OpFlags MemoryOperand(in Instruction instruction, CodeMode mode, ulong blockRip, Op* op)
    {
        op->Segment = OperandSegment(instruction, mode);
        Register register = instruction.MemoryBase;
        if (instruction.IsIPRelativeMemoryOperand)
        {
            op->Base = CpuState.BlockRipOffset;
            op->Displacement = (int)(instruction.MemoryDisplacement64 - blockRip);
            return register == Register.EIP ? OpFlags.Address32 : OpFlags.None;
        }

        op->Base = OperandRegisters.Name(register);
        Register index = instruction.MemoryIndex;
        // With VSIB this is a vector's number, which its handler knows.
        op->Index = OperandRegisters.Name(index);
        op->Scale = instruction.MemoryIndexScale switch { 2 => 1, 4 => 2, 8 => 3, _ => 0 };
        op->Displacement = (int)instruction.MemoryDisplacement64;
        if (register == Register.None && index == Register.None)
            op->Immediate = (long)instruction.MemoryDisplacement64;

        int size = AddressSize(register, index, instruction.MemoryDisplSize, mode);
        return size == 2 ? OpFlags.Address16 : size == 4 ? OpFlags.Address32 : OpFlags.None;
    }

    private static int AddressSize(Register register, Register index, int displacementSize, CodeMode mode)
    {
        Register known = register != Register.None ? register : index;
        if (known.IsGPR16())
            return 2;
        if (known.IsGPR32())
            return 4;
        if (known.IsGPR64())
            return 8;
        return displacementSize switch
        {
            2 => 2,
            4 => 4,
            8 => 8,
            _ => (mode & CodeMode.SizeMask) switch { CodeMode.Code64 => 8, CodeMode.Code32 => 4, _ => 2 },
        };
    }
}
