using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>IDENT translations: the guest's own instruction with its registers renamed and its memory operand redirected.</summary>
internal sealed unsafe partial class Translator
{
    // Guest registers that stay in memory and the scratch registers that stand in for them in one instruction.
    private readonly int[] _scratchOf = new int[16];

    // AH, CH, DH and BH are parts of the scratch registers alone, and cannot stand next to a register that needs a REX prefix.
    private bool _allInScratch;

    private static bool HasHighByte(in Instruction instruction, int operands)
    {
        for (int k = 0; k < operands; k++)
        {
            if (instruction.GetOpKind(k) == OpKind.Register && RegisterMap.IsHighByte(instruction.GetOpRegister(k)))
                return true;
        }
        return false;
    }

    private bool EmitData(in Instruction instruction, int i)
    {
        DataUnits units = DataUnitsOf.Find(instruction);
        if (units != DataUnits.None)
            return EmitDataUnit(instruction, i, units);
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Prefetch or Mnemonic.Prefetcht0
                or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchnta or Mnemonic.Prefetchw or Mnemonic.Pause
                or Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence:
                return true;
            case Mnemonic.Lea:
                return EmitLea(instruction, i);
            case Mnemonic.Cbw or Mnemonic.Cwde or Mnemonic.Cdqe or Mnemonic.Cwd or Mnemonic.Cdq or Mnemonic.Cqo:
                return EmitConvert(instruction.Mnemonic);
        }
        return EmitRenamed(instruction, i);
    }

    private bool EmitLea(in Instruction instruction, int i)
    {
        int guest = RegisterMap.GuestOf(instruction.Op0Register);
        int size = instruction.Op0Register.GetSize();
        int host = RegisterMap.HostOf(guest);
        Op* op = _ops + i;
        if (size == 8 && host >= 0)
        {
            EmitEffectiveAddress(instruction, op, host);
            return true;
        }
        EmitEffectiveAddress(instruction, op, HostAssembler.Rax);
        SetGuest(guest, size, HostAssembler.Rax);
        return true;
    }

    /// <summary>Writes a guest register of 2, 4 or 8 bytes from a host register; leaves flags alone.</summary>
    private void SetGuest(int guest, int size, int from)
    {
        int host = RegisterMap.HostOf(guest);
        if (host >= 0)
        {
            if (size == 2)
                _a.Move16(host, from);
            else
                _a.Move(size, host, from);
            return;
        }
        if (size == 4)
            _a.Move(4, from, from);
        _a.Store(size == 4 ? 8 : size, from, HostAssembler.Rbx, guest * 8);
    }

    /// <summary>Reads all 8 bytes of a guest register; leaves flags alone.</summary>
    private void GetGuest(int guest, int to)
    {
        int host = RegisterMap.HostOf(guest);
        if (host >= 0)
            _a.Move(8, to, host);
        else
            _a.Load(8, to, HostAssembler.Rbx, guest * 8);
    }

    /// <summary>Sign extensions of the accumulator, in RAX and RDX, where their encodings have them.</summary>
    private bool EmitConvert(Mnemonic mnemonic)
    {
        GetGuest(0, HostAssembler.Rax);
        int size = mnemonic switch { Mnemonic.Cbw or Mnemonic.Cwd => 2, Mnemonic.Cwde or Mnemonic.Cdq => 4, _ => 8 };
        bool widens = mnemonic is Mnemonic.Cbw or Mnemonic.Cwde or Mnemonic.Cdqe;
        if (size == 2)
            _a.Byte(0x66);
        else if (size == 8)
            _a.Byte(0x48);
        _a.Byte(widens ? 0x98 : 0x99);
        SetGuest(widens ? 0 : 2, size, widens ? HostAssembler.Rax : HostAssembler.Rdx);
        return true;
    }

    private bool EmitRenamed(in Instruction instruction, int i)
    {
        bool memory = _kinds[i] == TranslationKind.Memory;
        bool byCl = FlagLiveness.IsShiftByCl(instruction);
        RflagsBits read = instruction.RflagsRead & FlagLiveness.Status;
        RflagsBits modified = FlagLiveness.Modified(instruction);
        RflagsBits after = _needed[i + 1];
        bool needsFlags = read != 0 || (modified != 0 && (after & ~FlagLiveness.Killed(instruction)) != 0);
        InstructionInfo info = _info.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage | InstructionInfoOptions.NoRegisterUsage);

        int firstStub = _stubCount;
        // The operand is at [RAX + RCX], or at [address] where more registers are wanted.
        int address = HostAssembler.Rax, index = -1;
        if (memory)
        {
            ClobberFlags(_needed[i]);
            int size = instruction.MemorySize.GetSize();
            EmitLinear(instruction, i, size, WritesMemory(instruction, info));
            EmitAddend(i, size, WritesMemory(instruction, info));
            if (_live != DataUnits.None && HostExecutedFamily.NeedsAlignment(instruction) && (DataUnitsOf.Find(instruction) & DataUnits.Vector) != 0)
            {
                _a.TestImmediateByte(HostAssembler.Rax, size - 1);
                AddSlow(_a.JumpIf(HostCondition.NotEqual), i);
            }
            if (needsFlags)
            {
                // Flags come in through RAX.
                address = byCl ? HostAssembler.Rdx : HostAssembler.Rcx;
                _a.LeaIndexed(8, address, HostAssembler.Rax, HostAssembler.Rcx, 0, 0);
            }
            else if (byCl || HasHighByte(instruction, instruction.OpCount) || ScratchWanted(instruction) > 1)
            {
                _a.Alu(HostAlu.Add, 8, HostAssembler.Rax, HostAssembler.Rcx);
            }
            else
            {
                index = HostAssembler.Rcx;
            }
        }
        if (needsFlags)
            LoadFlags();

        Instruction renamed = instruction;
        renamed.Code = CodeForms.General(instruction.Code);
        renamed.HasLockPrefix = false;
        // Where it means nothing to the guest's processor it may mean something to the host's.
        renamed.HasRepPrefix = renamed.HasRepnePrefix = false;
        if (byCl)
            GetGuest(1, HostAssembler.Rcx);
        int used = (memory ? 1 << address : 0) | (index >= 0 ? 1 << index : 0) | (byCl ? 1 << HostAssembler.Rcx : 0);
        if (!RenameRegisters(ref renamed, info, byCl, used))
            return false;
        if (memory)
        {
            renamed.SegmentPrefix = Register.None;
            renamed.MemoryBase = Register.RAX + address;
            renamed.MemoryIndex = index >= 0 ? Register.RAX + index : Register.None;
            renamed.MemoryIndexScale = 1;
            renamed.MemoryDisplacement64 = 0;
            renamed.MemoryDisplSize = 0;
        }
        if (!_a.TryEncode(renamed))
            return false;
        StoreScratch(instruction, info, byCl);
        if (modified != 0)
        {
            _flagsInHost = true;
            _flagsInState = false;
        }
        ResumeHere(firstStub, i);
        return true;
    }

    /// <summary>How many of the registers an instruction names stay in memory.</summary>
    private static int ScratchWanted(in Instruction instruction)
    {
        int wanted = 0;
        for (int k = 0; k < instruction.OpCount; k++)
        {
            int guest = instruction.GetOpKind(k) == OpKind.Register ? RegisterMap.GuestOf(instruction.GetOpRegister(k)) : -1;
            if (guest >= 0 && RegisterMap.HostOf(guest) == RegisterMap.InMemory)
                wanted++;
        }
        return wanted;
    }

    private static bool WritesMemory(in Instruction instruction, in InstructionInfo info)
    {
        for (int k = 0; k < instruction.OpCount; k++)
        {
            if (instruction.GetOpKind(k) == OpKind.Memory)
                return info.GetOpAccess(k) is not (OpAccess.Read or OpAccess.CondRead);
        }
        return false;
    }

    /// <summary>Gives each general-register operand its host register; those that live in memory borrow a scratch register.</summary>
    private bool RenameRegisters(ref Instruction renamed, in InstructionInfo info, bool byCl, int used)
    {
        Array.Fill(_scratchOf, -1);
        int operands = byCl ? renamed.OpCount - 1 : renamed.OpCount;
        _allInScratch = HasHighByte(renamed, operands);
        for (int k = 0; k < operands; k++)
        {
            if (renamed.GetOpKind(k) != OpKind.Register)
                continue;
            Register register = renamed.GetOpRegister(k);
            if (!register.IsGPR())
                continue;
            int guest = RegisterMap.GuestOf(register);
            int host = RegisterMap.HostOf(guest);
            if (host == RegisterMap.InMemory || _allInScratch)
            {
                host = _scratchOf[guest];
                if (host < 0)
                {
                    host = (used & 4) == 0 ? HostAssembler.Rdx : (used & 2) == 0 ? HostAssembler.Rcx : HostAssembler.Rax;
                    if ((used & (1 << host)) != 0)
                        return false;
                    used |= 1 << host;
                    _scratchOf[guest] = host;
                    if (register.GetSize() < 4 || IsRead(renamed, info, guest, k, operands))
                        GetGuest(guest, host);
                }
            }
            renamed.SetOpRegister(k, RegisterMap.AtWidth(host, register));
        }
        return true;
    }

    /// <summary>Whether operand <paramref name="first"/> or a later one reads a guest register; the earlier ones are renamed.</summary>
    private static bool IsRead(in Instruction instruction, in InstructionInfo info, int guest, int first, int operands)
    {
        for (int k = first; k < operands; k++)
        {
            if (info.GetOpAccess(k) != OpAccess.Write && instruction.GetOpKind(k) == OpKind.Register && RegisterMap.GuestOf(instruction.GetOpRegister(k)) == guest)
                return true;
        }
        return false;
    }

    private void StoreScratch(in Instruction instruction, in InstructionInfo info, bool byCl)
    {
        int operands = byCl ? instruction.OpCount - 1 : instruction.OpCount;
        for (int k = 0; k < operands; k++)
        {
            if (instruction.GetOpKind(k) != OpKind.Register || info.GetOpAccess(k) is OpAccess.Read or OpAccess.CondRead)
                continue;
            int guest = RegisterMap.GuestOf(instruction.GetOpRegister(k));
            if (guest >= 0 && _scratchOf[guest] >= 0)
                SetGuest(guest, 8, _scratchOf[guest]);
        }
    }
}
