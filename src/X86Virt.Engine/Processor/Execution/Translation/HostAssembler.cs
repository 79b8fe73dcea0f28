using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>A condition of Jcc and SETcc, by its encoding.</summary>
internal enum HostCondition
{
    Overflow = 0,
    Below = 2,
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowOrEqual = 6,
    Above = 7,
    Sign = 8,
    NotSign = 9,
}

/// <summary>ALU operations that share one encoding, by their number in it.</summary>
internal enum HostAlu
{
    Add, Or, Adc, Sbb, And, Sub, Xor, Cmp,
}

/// <summary>
/// Writes x86-64 machine code through the write view of the translation cache. Knows the few forms that the translator itself needs, which is
/// several times faster than a general encoder; guest instructions that keep their form go through Iced's.
/// </summary>
internal sealed unsafe class HostAssembler
{
    /// <summary>Bytes of a jump with a 32-bit displacement.</summary>
    public const int JumpSize = 5;

    public const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3, Rsp = 4;

    private readonly PointerWriter _writer;
    private readonly Encoder _encoder;

    public HostAssembler()
    {
        _writer = new PointerWriter(this);
        _encoder = Encoder.Create(64, _writer);
    }

    /// <summary>Where the next byte goes (write view).</summary>
    public byte* Cursor { get; set; }

    /// <summary>Encodes an instruction as it is; false if 64-bit mode has no such form.</summary>
    public bool TryEncode(in Instruction instruction)
    {
        byte* start = Cursor;
        if (_encoder.TryEncode(instruction, 0, out _, out _))
            return true;
        Cursor = start;
        return false;
    }

    /// <summary>Encodes an instruction that has a form in 64-bit mode.</summary>
    public void Encode(in Instruction instruction) => _encoder.Encode(instruction, 0);

    private sealed class PointerWriter(HostAssembler owner) : CodeWriter
    {
        public override void WriteByte(byte value) => owner.Byte(value);
    }

    public void Byte(int value) => *Cursor++ = (byte)value;

    public void Int32(int value)
    {
        *(int*)Cursor = value;
        Cursor += 4;
    }

    private void Rex(int size, int reg, int index, int @base)
    {
        int rex = (size == 8 ? 8 : 0) | ((reg >> 3) << 2) | ((index >> 3) << 1) | (@base >> 3);
        if (rex != 0)
            Byte(0x40 | rex);
    }

    private void Registers(int reg, int rm) => Byte(0xC0 | ((reg & 7) << 3) | (rm & 7));

    /// <summary>ModRM for [base + disp], or [base + index * 2^scale + disp] with an index of 0 or more (never RSP).</summary>
    private void Memory(int reg, int @base, int index, int scale, int displacement)
    {
        int mode = displacement == 0 && (@base & 7) != 5 ? 0 : displacement == (sbyte)displacement ? 1 : 2;
        bool sib = index >= 0 || (@base & 7) == 4;
        Byte((mode << 6) | ((reg & 7) << 3) | (sib ? 4 : @base & 7));
        if (sib)
            Byte((scale << 6) | ((index >= 0 ? index & 7 : 4) << 3) | (@base & 7));
        if (mode == 1)
            Byte(displacement);
        else if (mode == 2)
            Int32(displacement);
    }

    private void Op(int opcode, int size, int reg, int rm)
    {
        Rex(size, reg, 0, rm);
        Byte(opcode);
        Registers(reg, rm);
    }

    private void OpMemory(int opcode, int size, int reg, int @base, int displacement, int index = -1, int scale = 0)
    {
        Rex(size, reg, Math.Max(index, 0), @base);
        Byte(opcode);
        Memory(reg, @base, index, scale, displacement);
    }

    public void Move(int size, int to, int from) => Op(0x89, size, from, to);

    public void Move16(int to, int from)
    {
        Byte(0x66);
        Op(0x89, 4, from, to);
    }

    public void ZeroExtend16(int to, int from)
    {
        Rex(4, to, 0, from);
        Byte(0x0F);
        Byte(0xB7);
        Registers(to, from);
    }

    public void Load(int size, int to, int @base, int displacement) => OpMemory(0x8B, size, to, @base, displacement);

    public void LoadIndexed(int size, int to, int @base, int index, int scale, int displacement) => OpMemory(0x8B, size, to, @base, displacement, index, scale);

    public void StoreIndexed(int size, int from, int @base, int index, int scale, int displacement) => OpMemory(0x89, size, from, @base, displacement, index, scale);

    public void Store(int size, int from, int @base, int displacement)
    {
        if (size == 2)
            Byte(0x66);
        OpMemory(0x89, size, from, @base, displacement);
    }

    /// <summary>Stores the lowest byte of RAX, RCX or RDX.</summary>
    public void StoreByte(int from, int @base, int displacement) => OpMemory(0x88, 4, from, @base, displacement);

    /// <summary>Stores a sign-extended immediate of 4 or 8 bytes.</summary>
    public void StoreImmediate(int size, int @base, int displacement, int value)
    {
        OpMemory(0xC7, size, 0, @base, displacement);
        Int32(value);
    }

    /// <summary>The shortest move of a constant that leaves flags alone.</summary>
    public void MoveImmediate(int to, ulong value)
    {
        if (value <= uint.MaxValue)
        {
            Rex(4, 0, 0, to);
            Byte(0xB8 | (to & 7));
            Int32((int)value);
        }
        else if ((long)value == (int)value)
        {
            Op(0xC7, 8, 0, to);
            Int32((int)value);
        }
        else
        {
            Rex(8, 0, 0, to);
            Byte(0xB8 | (to & 7));
            *(ulong*)Cursor = value;
            Cursor += 8;
        }
    }

    /// <summary>LEA of a place known by its distance.</summary>
    public void LeaOf(int to, byte* place)
    {
        Rex(8, to, 0, 0);
        Byte(0x8D);
        Byte(((to & 7) << 3) | 5);
        Int32((int)(place - (Cursor + 4)));
    }

    public void Lea(int size, int to, int @base, int displacement) => OpMemory(0x8D, size, to, @base, displacement);

    public void LeaIndexed(int size, int to, int @base, int index, int scale, int displacement) => OpMemory(0x8D, size, to, @base, displacement, index, scale);

    /// <summary>LEA without a base register: index * 2^scale + disp32.</summary>
    public void LeaScaled(int size, int to, int index, int scale, int displacement)
    {
        Rex(size, to, index, 0);
        Byte(0x8D);
        Byte(((to & 7) << 3) | 4);
        Byte((scale << 6) | ((index & 7) << 3) | 5);
        Int32(displacement);
    }

    public void Alu(HostAlu operation, int size, int to, int from) => Op(((int)operation << 3) | 1, size, from, to);

    public void AluLoad(HostAlu operation, int size, int to, int @base, int displacement) => OpMemory(((int)operation << 3) | 3, size, to, @base, displacement);

    public void AluStore(HostAlu operation, int size, int @base, int displacement, int from) => OpMemory(((int)operation << 3) | 1, size, from, @base, displacement);

    public void AluLoadIndexed(HostAlu operation, int size, int to, int @base, int index, int scale, int displacement)
        => OpMemory(((int)operation << 3) | 3, size, to, @base, displacement, index, scale);

    public void AluImmediate(HostAlu operation, int size, int to, int value)
    {
        bool small = value == (sbyte)value;
        Op(small ? 0x83 : 0x81, size, (int)operation, to);
        if (small)
            Byte(value);
        else
            Int32(value);
    }

    public void AluImmediateMemory(HostAlu operation, int size, int @base, int displacement, int value)
    {
        bool small = value == (sbyte)value;
        OpMemory(small ? 0x83 : 0x81, size, (int)operation, @base, displacement);
        if (small)
            Byte(value);
        else
            Int32(value);
    }

    public void ShiftLeft(int size, int to, int count)
    {
        Op(0xC1, size, 4, to);
        Byte(count);
    }

    public void ShiftRight(int size, int to, int count)
    {
        Op(0xC1, size, 5, to);
        Byte(count);
    }

    public void ShiftRightArithmetic(int size, int to, int count)
    {
        Op(0xC1, size, 7, to);
        Byte(count);
    }

    /// <summary>RORX r32, r32, imm8: leaves flags alone.</summary>
    public void RotateRightTo(int to, int from, int count)
    {
        Byte(0xC4);
        Byte(((to >> 3) ^ 1) << 7 | 0x40 | ((from >> 3) ^ 1) << 5 | 3);
        Byte(0x7B);
        Byte(0xF0);
        Registers(to, from);
        Byte(count);
    }

    /// <summary>Group 3: 4 MUL, 5 IMUL, 6 DIV, 7 IDIV.</summary>
    public void Unary(int operation, int size, int rm) => Op(0xF7, size, operation, rm);

    public void Test(int size, int a, int b) => Op(0x85, size, b, a);

    /// <summary>TEST of a register with itself, of 1, 2, 4 or 8 bytes; RAX to RBX only for 1 byte.</summary>
    public void TestSelf(int size, int register)
    {
        if (size == 2)
            Byte(0x66);
        Op(size == 1 ? 0x84 : 0x85, size, register, register);
    }

    /// <summary>TEST r8, imm8 on the low byte of RAX, RCX, RDX or RBX.</summary>
    public void TestImmediateByte(int register, int mask)
    {
        Byte(0xF6);
        Registers(0, register);
        Byte(mask);
    }

    /// <summary>TEST r32, imm32.</summary>
    public void TestImmediate(int register, int mask)
    {
        Op(0xF7, 4, 0, register);
        Int32(mask);
    }

    public void StoreByteImmediate(int @base, int displacement, int value)
    {
        OpMemory(0xC6, 4, 0, @base, displacement);
        Byte(value);
    }

    /// <summary>TEST byte [base + disp], imm8.</summary>
    public void TestByte(int @base, int displacement, int mask)
    {
        OpMemory(0xF6, 4, 0, @base, displacement);
        Byte(mask);
    }

    /// <summary>OR byte [base + disp], imm8.</summary>
    public void OrByte(int @base, int displacement, int mask)
    {
        OpMemory(0x80, 4, (int)HostAlu.Or, @base, displacement);
        Byte(mask);
    }

    public void LoadZeroExtended16(int to, int @base, int displacement)
    {
        Rex(4, to, 0, @base);
        Byte(0x0F);
        Byte(0xB7);
        Memory(to, @base, -1, 0, displacement);
    }

    public void LoadZeroExtended8(int to, int @base, int displacement)
    {
        Rex(4, to, 0, @base);
        Byte(0x0F);
        Byte(0xB6);
        Memory(to, @base, -1, 0, displacement);
    }

    public void MoveSignExtended32(int to, int from) => Op(0x63, 8, to, from);

    /// <summary>LAHF; SETO AL.</summary>
    public void FlagsToAx()
    {
        Byte(0x9F);
        Byte(0x0F);
        Byte(0x90);
        Byte(0xC0);
    }

    /// <summary>ADD AL, 7Fh (sets OF from AL); SAHF.</summary>
    public void FlagsFromAx()
    {
        Byte(0x04);
        Byte(0x7F);
        Byte(0x9E);
    }

    /// <summary>A jump whose target is filled in later; returns where its 32-bit displacement stands.</summary>
    public byte* JumpIf(HostCondition condition)
    {
        Byte(0x0F);
        Byte(0x80 | (int)condition);
        Int32(0);
        return Cursor - 4;
    }

    public byte* Jump()
    {
        Byte(0xE9);
        Int32(0);
        return Cursor - 4;
    }

    /// <summary>A jump to a known place (write view).</summary>
    public void JumpTo(byte* target)
    {
        Byte(0xE9);
        Int32((int)(target - (Cursor + 4)));
    }

    public void CallTo(byte* target)
    {
        Byte(0xE8);
        Int32((int)(target - (Cursor + 4)));
    }

    public void JumpMemory(int @base, int displacement) => OpMemory(0xFF, 4, 4, @base, displacement);

    public void JumpMemoryIndexed(int @base, int index, int scale, int displacement) => OpMemory(0xFF, 4, 4, @base, displacement, index, scale);

    public void CallMemory(int @base, int displacement) => OpMemory(0xFF, 4, 2, @base, displacement);

    /// <summary>A call whose target is filled in later; returns where its 32-bit displacement stands.</summary>
    public byte* Call()
    {
        Byte(0xE8);
        Int32(0);
        return Cursor - 4;
    }

    public void JumpRegister(int register) => Op(0xFF, 4, 4, register);

    /// <summary>Points a displacement that <see cref="Jump"/> returned at a target (both in the write view).</summary>
    public static void Link(byte* displacement, byte* target) => *(int*)displacement = (int)(target - (displacement + 4));

    public void Link(byte* displacement) => Link(displacement, Cursor);

    public void Push(int register)
    {
        Rex(4, 0, 0, register);
        Byte(0x50 | (register & 7));
    }

    public void PushImmediate(int value)
    {
        Byte(0x68);
        Int32(value);
    }

    public void Pop(int register)
    {
        Rex(4, 0, 0, register);
        Byte(0x58 | (register & 7));
    }

    public void Return() => Byte(0xC3);
}
