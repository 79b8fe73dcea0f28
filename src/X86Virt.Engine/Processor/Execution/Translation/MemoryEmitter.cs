using System.Runtime.Intrinsics.X86;
using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Memory operands: the linear address, then the software TLB.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Leaves the host address of an instruction's memory operand in RAX; spoils RCX, RDX and the host's flags.</summary>
    private void EmitHostAddress(in Instruction instruction, int i, int size, bool write)
    {
        EmitLinear(instruction, i, size, write);
        EmitTranslate(i, size, write);
    }

    /// <summary>Leaves the linear address in RAX.</summary>
    private void EmitLinear(in Instruction instruction, int i, int size, bool write)
    {
        Op* op = _ops + i;
        EmitEffectiveAddress(instruction, op, HostAssembler.Rax);
        int segment = (int)op->Segment;
        if ((_mode & CodeMode.SizeMask) == CodeMode.Code64)
        {
            if (op->Segment is Segment.Fs or Segment.Gs)
                _a.AluLoad(HostAlu.Add, 8, HostAssembler.Rax, HostAssembler.Rbx, CpuState.AddressBaseOffset + segment * 8);
            return;
        }
        if ((op->Flags & OpFlags.Checked) == 0)
            return;

        // The limit as it is now: the unit is for all segments.
        int register = CpuState.SegmentsOffset + segment * sizeof(SegmentRegister);
        _a.TestByte(HostAssembler.Rbx, write ? CpuState.WritableSegmentsOffset : CpuState.ReadableSegmentsOffset, 1 << segment);
        AddSlow(_a.JumpIf(HostCondition.Equal), i);
        _a.Load(4, HostAssembler.Rcx, HostAssembler.Rbx, register + 4);
        _a.AluImmediate(HostAlu.Sub, 4, HostAssembler.Rcx, size - 1);
        AddSlow(_a.JumpIf(HostCondition.Below), i);
        _a.Alu(HostAlu.Cmp, 4, HostAssembler.Rax, HostAssembler.Rcx);
        AddSlow(_a.JumpIf(HostCondition.Above), i);
        _a.AluLoad(HostAlu.Add, 4, HostAssembler.Rax, HostAssembler.Rbx, CpuState.AddressBaseOffset + segment * 8);
    }

    /// <summary>Offset in the segment, wrapped to the address size; leaves flags alone.</summary>
    private void EmitEffectiveAddress(in Instruction instruction, Op* op, int to)
    {
        bool narrow = (op->Flags & OpFlags.Narrow) != 0;
        int size = narrow ? 4 : 8;
        int displacement = op->Displacement;
        int index = GuestAt(op->Index), @base = GuestAt(op->Base);
        if (op->Base == CpuState.BlockRipOffset)
        {
            ulong target = instruction.MemoryDisplacement64;
            _a.MoveImmediate(to, narrow ? (uint)target : target);
            return;
        }
        if (@base < 0 && index < 0)
        {
            ulong absolute = instruction.MemoryDisplacement64;
            if ((op->Flags & OpFlags.Address16) != 0)
                absolute = (ushort)absolute;
            _a.MoveImmediate(to, narrow ? (uint)absolute : absolute);
            return;
        }

        int hostBase = @base < 0 ? -1 : HostRegister(@base, HostAssembler.Rcx);
        int hostIndex = index < 0 ? -1 : HostRegister(index, HostAssembler.Rdx);
        if (hostIndex < 0)
        {
            if (displacement == 0 && !narrow)
                _a.Move(8, to, hostBase);
            else
                _a.Lea(size, to, hostBase, displacement);
        }
        else if (hostBase < 0)
        {
            _a.LeaScaled(size, to, hostIndex, op->Scale, displacement);
        }
        else
        {
            _a.LeaIndexed(size, to, hostBase, hostIndex, op->Scale, displacement);
        }
        if ((op->Flags & OpFlags.Address16) != 0)
            _a.ZeroExtend16(to, to);
    }

    /// <summary>The guest register that an entry's address field names, or -1.</summary>
    private static int GuestAt(byte offset) => offset < 16 * 8 ? offset / 8 : -1;

    /// <summary>The host register of a guest register, which is loaded into <paramref name="scratch"/> if it has none.</summary>
    private int HostRegister(int guest, int scratch)
    {
        int host = RegisterMap.HostOf(guest);
        if (host != RegisterMap.InMemory)
            return host;
        _a.Load(8, scratch, HostAssembler.Rbx, guest * 8);
        return scratch;
    }

    /// <summary>From the linear address in RAX to the host address in RAX.</summary>
    private void EmitTranslate(int i, int size, bool write)
    {
        EmitAddend(i, size, write);
        _a.Alu(HostAlu.Add, 8, HostAssembler.Rax, HostAssembler.Rcx);
    }

    /// <summary>
    /// From the linear address in RAX to what must be added for the host address, in RCX. One exclusive-or of tag and address is at most
    /// 4096 - size exactly if the page matches and the access stays in it.
    /// </summary>
    private void EmitAddend(int i, int size, bool write)
    {
        if (Bmi2.IsSupported)
        {
            _a.RotateRightTo(HostAssembler.Rcx, HostAssembler.Rax, 7);
        }
        else
        {
            _a.Move(4, HostAssembler.Rcx, HostAssembler.Rax);
            _a.ShiftRight(4, HostAssembler.Rcx, 7);
        }
        _a.AluImmediate(HostAlu.And, 4, HostAssembler.Rcx, (int)Tlb.IndexMask * sizeof(TlbEntry));
        _a.LoadIndexed(8, HostAssembler.Rdx, HostAssembler.Rbx, HostAssembler.Rcx, 0, _tlb + (write ? 8 : 0));
        _a.Alu(HostAlu.Xor, 8, HostAssembler.Rdx, HostAssembler.Rax);
        _a.AluImmediate(HostAlu.Cmp, 8, HostAssembler.Rdx, 0x1000 - size);
        AddSlow(_a.JumpIf(HostCondition.Above), i);
        _a.LoadIndexed(8, HostAssembler.Rcx, HostAssembler.Rbx, HostAssembler.Rcx, 0, _tlb + 24);
    }
}
