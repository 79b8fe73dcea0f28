using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>Makes random instructions and states to execute them in: mostly such that memory operands hit the window, near its edges above all.</summary>
internal sealed unsafe class InstructionGenerator
{
    private const int MaximumLength = 15;

    private readonly RandomSource _random;
    private readonly int _bitness;
    private readonly InstructionSpace _space;
    private readonly Func<Instruction, bool> _allowed;
    private readonly Decoder _decoder;
    private readonly BufferReader _reader = new();
    private readonly byte[] _bytes = new byte[32];

    // What Comparable says of each encoding form, once asked: 1 no, 2 yes.
    private readonly byte[] _verdicts = new byte[8192];

    private readonly bool _vectors;
    private bool _locked;

    public InstructionGenerator(RandomSource random, int bitness, Func<Instruction, bool> allowed, bool vectors)
    {
        _vectors = vectors;
        _random = random;
        _bitness = bitness;
        _space = new InstructionSpace(bitness, allowed);
        _allowed = allowed;
        _decoder = Decoder.Create(bitness, _reader, DecoderOptions.AMD);
    }

    /// <summary>Fills in the next case, with an XSAVE image if vector state matters, and gives the decoded instruction.</summary>
    public Instruction Next(OracleCase* c, byte* image)
    {
        Instruction instruction;
        do
        {
            c->CodeOffset = (uint)(_random.Percent(3) ? 0xFF0 + _random.Below(16) : 0x800);
            Compose();
        }
        while (!Decode(c->CodeOffset, out instruction) || !Acceptable(instruction));

        c->Mode = (byte)_bitness;
        c->VectorState = (byte)(_vectors ? 1 : 0);
        for (int i = 0; i < 16; i++)
            c->Gpr[i] = _random.Interesting();
        c->Flags = 0x202 | (_random.Next() & (Flags.RflagsStatus | Flags.Df));
        if (_random.Percent(70))
            c->Flags &= ~(ulong)Flags.Df;
        if (!_random.Percent(5))
            c->Gpr[4] = (uint)Target(8);
        PlaceMemory(c, ref instruction);
        if (_vectors)
        {
            XsaveImage.Randomize(image, _random);
            if (instruction.IsVsib && !_random.Percent(5))
                XsaveImage.SetIndex(image, instruction.MemoryIndex.GetNumber(), instruction.IsVsib64, _random);
        }
        c->Length = (byte)instruction.Length;
        for (int i = 0; i < 16; i++)
            c->Bytes[i] = _bytes[i];
        return instruction;
    }

    private ulong Rip(uint codeOffset) => (_bitness == 16 ? 0 : OracleLayout.Code) + codeOffset;

    private bool Decode(uint codeOffset, out Instruction instruction)
    {
        _reader.Set(_bytes);
        _decoder.IP = Rip(codeOffset);
        _decoder.Decode(out instruction);
        return instruction.Code != Code.INVALID || (_random.Percent(10) && !_reader.Exhausted);
    }

    private bool Acceptable(in Instruction instruction)
    {
        // Of what is invalid only LOCK where there can be none: other encodings may be extensions that the host has.
        // How much of them is fetched before that is noticed differs.
        if (instruction.Code == Code.INVALID)
            return _locked && (instruction.IP & 0xFFF) + MaximumLength < 0x1000 && IsAllowedWithoutLock(instruction.IP);
        ref byte verdict = ref _verdicts[(int)instruction.Code];
        if (verdict == 0)
            verdict = (byte)(_allowed(instruction) ? 2 : 1);
        if (verdict == 1)
            return false;
        if (instruction.SegmentPrefix == Register.FS || (instruction.SegmentPrefix == Register.GS && _bitness != 64)
            || (instruction.SegmentPrefix == Register.CS && _bitness == 16))
            return false;
        // Zen lets REP and REPNE override the condition of LOOPE and LOOPNE, which no manual has.
        if (instruction.Mnemonic is Mnemonic.Loope or Mnemonic.Loopne && (instruction.HasRepPrefix || instruction.HasRepnePrefix))
            return false;
        return true;
    }

    private bool IsAllowedWithoutLock(ulong ip)
    {
        int prefix = Array.IndexOf(_bytes, (byte)0xF0);
        _reader.Set([.. _bytes.AsSpan(0, prefix), .. _bytes.AsSpan(prefix + 1)]);
        _decoder.IP = ip;
        _decoder.Decode(out Instruction instruction);
        return instruction.Code != Code.INVALID && _allowed(instruction);
    }

    private void Compose()
    {
        byte[] encoding = _space.Pick(_random);
        int n = 0;
        _locked = false;
        if (_random.Percent(20))
        {
            ReadOnlySpan<byte> prefixes = [0x66, 0x67, 0x67, 0xF2, 0xF3, 0xF0, 0x65, 0x2E, 0x36, 0x26];
            for (int more = 1 + _random.Below(2); more > 0; more--)
                _bytes[n++] = prefixes[_random.Below(prefixes.Length)];
            _locked = _bytes.AsSpan(0, n).Contains((byte)0xF0);
        }
        bool vex = encoding[0] == 0xC4 && encoding.Length == 5;
        int at = 0;
        while (!vex && encoding[at] is 0x66 or 0xF2 or 0xF3 && at < encoding.Length - 2)
            _bytes[n++] = encoding[at++];
        if (_bitness == 64 && !vex)
        {
            // REX, or another register bank for the one that is there.
            if ((encoding[at] & 0xF0) == 0x40)
                _bytes[n++] = (byte)(encoding[at++] | _random.Below(8));
            else if (_random.Percent(40))
                _bytes[n++] = (byte)(0x40 | _random.Below(8));
        }
        while (at < encoding.Length - 1)
            _bytes[n++] = encoding[at++];
        if (vex)
        {
            if (_bitness == 64)
                _bytes[n - 3] = (byte)((_bytes[n - 3] & 0x1F) | (_random.Below(8) << 5));
            if (_random.Percent(70))
                _bytes[n - 2] = (byte)((_bytes[n - 2] & 0x87) | (_random.Below(16) << 3));
        }
        byte modRm = encoding[at];
        _bytes[n++] = _random.Below(4) switch
        {
            0 => modRm,
            1 => (byte)((modRm & 0x38) | (_random.Below(256) & 0xC7)),
            2 => (byte)((modRm & 0xF8) | _random.Below(8)),
            _ => (byte)((modRm & 0xC0) | _random.Below(64)),
        };
        while (n < 24)
            _bytes[n++] = (byte)_random.Next();
    }

    /// <summary>An address for an operand: anywhere in the writable pages, at their edges, in the read-only page, outside.</summary>
    private ulong Target(int alignment)
    {
        ulong address = OracleLayout.Writable + (_random.Below(20) switch
        {
            0 => (ulong)(OracleLayout.WritableSize - _random.Below(20)),
            1 => (ulong)(0x1000 - _random.Below(20)),
            2 => 0UL - (ulong)_random.Below(20),
            3 => (ulong)(OracleLayout.WritableSize + _random.Below(0x1000)),
            4 => (ulong)(OracleLayout.MemorySize - _random.Below(20)),
            _ => 0x100 + (ulong)_random.Below(OracleLayout.WritableSize - 0x200),
        });
        return _random.Percent(60) ? address & ~(ulong)(alignment - 1) : address;
    }

    private void PlaceMemory(OracleCase* c, ref Instruction instruction)
    {
        if (instruction.IsStringInstruction)
        {
            c->Gpr[6] = Offset(Register.DS, Target(8));
            c->Gpr[7] = Offset(Register.ES, Target(8));
            if (!_random.Percent(10))
                c->Gpr[1] = (ulong)_random.Below(_random.Percent(20) ? 0x1800 : 40);
            return;
        }
        if (instruction.Mnemonic is Mnemonic.Enter or Mnemonic.Leave && !_random.Percent(10))
            c->Gpr[5] = Offset(Register.SS, Target(8));
        if (_bitness == 16 && instruction.IsStackInstruction)
            c->Gpr[4] = Offset(Register.SS, c->Gpr[4]);
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) is OpKind.MemorySegDI or OpKind.MemorySegEDI or OpKind.MemorySegRDI)
                c->Gpr[7] = Offset(instruction.MemorySegment, Target(16));
            if (instruction.GetOpKind(i) == OpKind.Memory && !_random.Percent(3))
            {
                // Bit offsets reach far; keep most of them near.
                if (instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && instruction.Op1Kind == OpKind.Register && !_random.Percent(10))
                    c->Gpr[instruction.Op1Register.GetNumber()] = (ulong)(_random.Below(0x4000) - 0x2000);
                Aim(c, ref instruction, Offset(instruction.MemorySegment, Target(_random.Percent(50) ? 16 : 32)));
            }
        }
    }

    /// <summary>A linear address as an offset in its segment.</summary>
    private ulong Offset(Register segment, ulong linear)
        => _bitness == 16 || segment == Register.GS ? linear - OracleLayout.Window : linear;

    /// <summary>Changes the base register or the displacement so that the operand lies at <paramref name="target"/>.</summary>
    private void Aim(OracleCase* c, ref Instruction instruction, ulong target)
    {
        Register b = instruction.MemoryBase, index = instruction.MemoryIndex;
        ulong displacement = instruction.MemoryDisplacement64;
        ConstantOffsets offsets = _decoder.GetConstantOffsets(instruction);
        if (instruction.IsIPRelativeMemoryOperand)
        {
            Patch(offsets, target - instruction.NextIP);
        }
        else if (b != Register.None && b.GetNumber() != index.GetNumber())
        {
            ulong scaled = index == Register.None || index.IsVectorRegister() ? 0 : IndexValue(c, index) * (ulong)instruction.MemoryIndexScale;
            c->Gpr[b.GetNumber()] = Sized(b, target - scaled - displacement, c->Gpr[b.GetNumber()]);
            return;
        }
        else if (b != Register.None)
        {
            c->Gpr[b.GetNumber()] = (target - displacement) / (ulong)(1 + instruction.MemoryIndexScale);
            return;
        }
        else if (offsets.HasDisplacement)
        {
            if (index != Register.None && !index.IsVectorRegister())
                c->Gpr[index.GetNumber()] &= 0xFFFF;
            ulong scaled = index == Register.None || index.IsVectorRegister() ? 0 : IndexValue(c, index) * (ulong)instruction.MemoryIndexScale;
            Patch(offsets, target - scaled);
        }
        Code code = instruction.Code;
        if (!Decode(c->CodeOffset, out instruction) || instruction.Code != code)
            throw new InvalidOperationException($"A displacement changed {code} to {instruction.Code}.");
    }

    private static ulong IndexValue(OracleCase* c, Register index)
    {
        ulong value = c->Gpr[index == Register.AL ? 0 : index.GetNumber()];
        return index == Register.AL ? (byte)value : index.IsGPR16() ? (ushort)value : index.IsGPR32() ? (uint)value : value;
    }

    private ulong Sized(Register register, ulong value, ulong old)
        => register.IsGPR64() || _random.Percent(20) ? value
            : register.IsGPR32() ? (uint)value | (old & ~0xFFFF_FFFFUL) : (ushort)value | (old & ~0xFFFFUL);

    private void Patch(in ConstantOffsets offsets, ulong displacement)
    {
        for (int i = 0; i < offsets.DisplacementSize; i++)
            _bytes[offsets.DisplacementOffset + i] = (byte)(displacement >> (i * 8));
    }

    private sealed class BufferReader : CodeReader
    {
        private byte[] _bytes = [];
        private int _next;

        public bool Exhausted => _next >= MaximumLength;

        public void Set(byte[] bytes)
        {
            _bytes = bytes;
            _next = 0;
        }

        public override int ReadByte() => _next < MaximumLength ? _bytes[_next++] : -1;
    }
}
