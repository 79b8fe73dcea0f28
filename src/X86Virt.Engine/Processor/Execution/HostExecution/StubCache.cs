using Iced.Intel;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Native stubs that execute one data instruction each on the host, made when a form is first decoded. A stub serves every use of
/// its form whatever the registers (it takes their numbers from the <see cref="Op"/>), so their number is bounded by the
/// instruction set: forms times immediates.
/// </summary>
internal sealed unsafe class StubCache : IDisposable
{
    private const long ChunkSize = 1 << 20;
    private const int Alignment = 16;

    private readonly Dictionary<ulong, nint> _stubs = [];
    private readonly List<ExecutableMemory> _chunks = [];
    private long _used = ChunkSize;

    /// <summary>Stubs made so far.</summary>
    public int Count => _stubs.Count;

    /// <summary>The stub of an instruction that <see cref="HostExecutedFamily"/> has bound.</summary>
    public nint Find(in Instruction instruction)
    {
        ulong key = Key(instruction);
        if (!_stubs.TryGetValue(key, out nint stub))
            _stubs.Add(key, stub = Add(instruction));
        return stub;
    }

    /// <summary>All that is baked into a stub: the form, immediates, x87 register numbers, the register in an immediate (VBLENDV).</summary>
    private static ulong Key(in Instruction instruction)
    {
        ulong key = (ulong)instruction.Code;
        int registers = 0;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Register:
                    Register register = instruction.GetOpRegister(i);
                    if (register.IsST() || i == 3)
                        key |= (ulong)OperandRegisters.Name(register) << (33 + 4 * Math.Min(registers, 1));
                    registers++;
                    break;
                case OpKind.Memory:
                    key |= 1 << 16;
                    break;
                case OpKind.Immediate8:
                    key |= (ulong)instruction.Immediate8 << 17;
                    break;
                case OpKind.Immediate8_2nd:
                    key |= (ulong)instruction.Immediate8_2nd << 25;
                    break;
            }
        }
        return key;
    }

    private nint Add(in Instruction instruction)
    {
        Assembler code = new(64);
        if (X87Stub.Handles(instruction))
            X87Stub.Write(code, instruction);
        else
            VectorStub.Write(code, instruction);
        return Place(code);
    }

    private nint Place(Assembler code)
    {
        var bytes = new MemoryStream();
        code.Assemble(new StreamCodeWriter(bytes), 0);
        ReadOnlySpan<byte> stub = bytes.GetBuffer().AsSpan(0, (int)bytes.Length);
        if (_used + stub.Length > ChunkSize)
        {
            _chunks.Add(new ExecutableMemory(ChunkSize));
            _used = 0;
        }
        ExecutableMemory chunk = _chunks[^1];
        stub.CopyTo(new Span<byte>(chunk.WriteView + _used, stub.Length));
        nint address = (nint)(chunk.ExecuteView + _used);
        _used = (_used + stub.Length + Alignment - 1) & -Alignment;
        return address;
    }

    public void Dispose()
    {
        foreach (ExecutableMemory chunk in _chunks)
            chunk.Dispose();
        _chunks.Clear();
        _stubs.Clear();
        _used = ChunkSize;
    }
}
