using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>A general register under its names for words of 32 and of 64 bits.</summary>
internal readonly record struct WordRegister(AssemblerRegister32 Half, AssemblerRegister64 Whole);

/// <summary>
/// An assembler for code that is written once for words of 32 and of 64 bits. All of such code and its data lie below 4 GiB, and a write to the
/// lower half of a register clears the upper: so most of it is assembled by <see cref="Code"/>, with 32-bit registers. The rest is here.
/// </summary>
internal sealed class WordAssembler(int bits)
{
    public static readonly WordRegister
        Ax = new(eax, rax), Cx = new(ecx, rcx), Dx = new(edx, rdx), Bx = new(ebx, rbx), Sp = new(esp, rsp), Bp = new(ebp, rbp), Si = new(esi, rsi), Di = new(edi, rdi);

    private readonly List<(int Instruction, Label Label)> _addresses = [];
    private readonly Dictionary<ulong, Label> _placed = [];
    private AssemblerResult _result;

    public Assembler Code { get; } = new(bits);

    private bool IsWide => Code.Bitness == 64;

    /// <summary>Bytes of a word.</summary>
    public int Size => Code.Bitness / 8;

    /// <summary>Puts a label here, of which <see cref="LoadAddress"/> and <see cref="AddressOf"/> take the address.</summary>
    public void Place(ref Label label)
    {
        Code.Label(ref label);
        _placed.Add(label.Id, label);
    }

    /// <summary>The address of a label that is placed before or behind.</summary>
    public void LoadAddress(AssemblerRegister32 to, Label label)
    {
        _addresses.Add((Code.Instructions.Count, label));
        Code.mov(to, 0);
    }

    public AssemblerMemoryOperand At(WordRegister register, int displacement = 0) => IsWide ? __[register.Whole + displacement] : __[register.Half + displacement];

    public AssemblerMemoryOperand At(WordRegister register, WordRegister index, int scale, int displacement)
        => IsWide ? __[register.Whole + index.Whole * scale + displacement] : __[register.Half + index.Half * scale + displacement];

    public AssemblerMemoryOperand At(WordRegister index, int scale, uint displacement)
        => IsWide ? __[index.Whole * scale + displacement] : __[index.Half * scale + displacement];

    public void Load(WordRegister to, AssemblerMemoryOperand from)
    {
        if (IsWide)
            Code.mov(to.Whole, from);
        else
            Code.mov(to.Half, from);
    }

    public void Store(AssemblerMemoryOperand to, WordRegister from)
    {
        if (IsWide)
            Code.mov(to, from.Whole);
        else
            Code.mov(to, from.Half);
    }

    public void Store(AssemblerMemoryOperand to, int value) => Code.mov(IsWide ? __qword_ptr[to] : __dword_ptr[to], value);

    public void Add(AssemblerMemoryOperand to, int value) => Code.add(IsWide ? __qword_ptr[to] : __dword_ptr[to], value);

    public void Add(WordRegister to, int value)
    {
        if (IsWide)
            Code.add(to.Whole, value);
        else
            Code.add(to.Half, value);
    }

    public void Add(WordRegister to, WordRegister from)
    {
        if (IsWide)
            Code.add(to.Whole, from.Whole);
        else
            Code.add(to.Half, from.Half);
    }

    public void Increment(WordRegister register)
    {
        if (IsWide)
            Code.inc(register.Whole);
        else
            Code.inc(register.Half);
    }

    public void Decrement(WordRegister register)
    {
        if (IsWide)
            Code.dec(register.Whole);
        else
            Code.dec(register.Half);
    }

    /// <summary>Multiplies <see cref="Ax"/>; CF says whether the product has more bits than a word.</summary>
    public void Multiply(WordRegister by)
    {
        if (IsWide)
            Code.mul(by.Whole);
        else
            Code.mul(by.Half);
    }

    /// <summary>All ones.</summary>
    public void Fill(WordRegister register)
    {
        if (IsWide)
            Code.or(register.Whole, -1);
        else
            Code.or(register.Half, -1);
    }

    public void Compare(WordRegister one, WordRegister other)
    {
        if (IsWide)
            Code.cmp(one.Whole, other.Whole);
        else
            Code.cmp(one.Half, other.Half);
    }

    public void Test(WordRegister register)
    {
        if (IsWide)
            Code.test(register.Whole, register.Whole);
        else
            Code.test(register.Half, register.Half);
    }

    public void Push(WordRegister register)
    {
        if (IsWide)
            Code.push(register.Whole);
        else
            Code.push(register.Half);
    }

    public void Pop(WordRegister register)
    {
        if (IsWide)
            Code.pop(register.Whole);
        else
            Code.pop(register.Half);
    }

    public void Call(WordRegister target)
    {
        if (IsWide)
            Code.call(target.Whole);
        else
            Code.call(target.Half);
    }

    public void Move(WordRegister to, AssemblerRegisterCR from)
    {
        if (IsWide)
            Code.mov(to.Whole, from);
        else
            Code.mov(to.Half, from);
    }

    public void Move(AssemblerRegisterCR to, WordRegister from)
    {
        if (IsWide)
            Code.mov(to, from.Whole);
        else
            Code.mov(to, from.Half);
    }

    public void InterruptReturn()
    {
        if (IsWide)
            Code.iretq();
        else
            Code.iretd();
    }

    public byte[] Assemble(uint address)
    {
        using var image = new MemoryStream();
        _result = Code.Assemble(new StreamCodeWriter(image), address, BlockEncoderOptions.ReturnNewInstructionOffsets);
        byte[] bytes = image.ToArray();
        foreach ((int instruction, Label label) in _addresses)
        {
            const int Opcode = 1;
            int at = (int)_result.Result[0].NewInstructionOffsets[instruction] + Opcode;
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), AddressOf(label));
        }
        return bytes;
    }

    /// <summary>Where a label came to be.</summary>
    public uint AddressOf(Label label) => (uint)_result.GetLabelRIP(_placed[label.Id]);
}
