using System.Numerics;
using System.Runtime.Intrinsics;
using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

internal enum MoveKind : byte
{
    /// <summary>Another instruction.</summary>
    None,
    Load,
    Store,
    StoreImmediate,
}

/// <summary>A MOV or MOVZX between memory and a general register, or of an immediate value to memory, as <see cref="MemoryMoves"/> executes it.</summary>
internal struct DecodedMove
{
    public const int Rax = 0, Rsp = 4;
    private const sbyte NoRegister = -1;

    /// <summary>What it was decoded from: the count of bytes known and fifteen bytes, at RIP, in code of 16, 32 or 64 bits.</summary>
    public Vector128<byte> Bytes;
    public ulong Rip;
    public byte Bitness;

    public MoveKind Kind;
    public byte Length;

    /// <summary>Sizes in bytes.</summary>
    public byte MemorySize, RegisterSize;

    /// <summary>General registers by number; negative for none.</summary>
    public sbyte Register, Base, Index;
    public byte ScaleShift;
    public Segment Segment;
    public ulong Displacement;
    public ulong Immediate;

    public static DecodedMove Decode(ulong rip, Vector128<byte> bytes, byte bitness)
    {
        var m = new DecodedMove { Rip = rip, Bytes = bytes, Bitness = bitness, Base = NoRegister, Index = NoRegister, Register = NoRegister };
        var known = new byte[bytes[0]];
        for (int i = 0; i < known.Length; i++)
            known[i] = bytes[i + 1];
        Instruction instruction = Decoder.Create(bitness, known, rip).Decode();
        MoveKind kind = KindOf(instruction);
        if (kind == MoveKind.None || !m.SetAddress(instruction))
            return m;
        m.Length = (byte)instruction.Length;
        m.MemorySize = (byte)instruction.MemorySize.GetSize();
        m.Kind = kind;
        if (kind == MoveKind.StoreImmediate)
        {
            m.Immediate = instruction.GetImmediate(1);
            return m;
        }
        Register register = kind == MoveKind.Load ? instruction.Op0Register : instruction.Op1Register;
        m.Register = NumberOf(register);
        m.RegisterSize = (byte)register.GetSize();
        // The second byte of a register is rare.
        if (m.Register < 0 || register is Iced.Intel.Register.AH or Iced.Intel.Register.BH or Iced.Intel.Register.CH or Iced.Intel.Register.DH)
            m.Kind = MoveKind.None;
        return m;
    }

    private static MoveKind KindOf(in Instruction i) => i.Mnemonic switch
    {
        Mnemonic.Movzx when i.Op1Kind == OpKind.Memory => MoveKind.Load,
        Mnemonic.Mov when i.Op1Kind == OpKind.Memory => MoveKind.Load,
        Mnemonic.Mov when i.Op0Kind == OpKind.Memory => i.Op1Kind == OpKind.Register ? MoveKind.Store : MoveKind.StoreImmediate,
        _ => MoveKind.None,
    };

    private bool SetAddress(in Instruction i)
    {
        Displacement = i.MemoryDisplacement64;
        ScaleShift = (byte)BitOperations.Log2((uint)i.MemoryIndexScale);
        Segment = i.MemorySegment switch
        {
            Iced.Intel.Register.ES => Segment.Es,
            Iced.Intel.Register.CS => Segment.Cs,
            Iced.Intel.Register.SS => Segment.Ss,
            Iced.Intel.Register.FS => Segment.Fs,
            Iced.Intel.Register.GS => Segment.Gs,
            _ => Segment.Ds,
        };
        // The displacement of an address relative to RIP is the address.
        if (i.IsIPRelativeMemoryOperand)
            return true;
        Base = NumberOf(i.MemoryBase);
        Index = NumberOf(i.MemoryIndex);
        return (i.MemoryBase == Iced.Intel.Register.None || Base >= 0) && (i.MemoryIndex == Iced.Intel.Register.None || Index >= 0);
    }

    private static sbyte NumberOf(Register register) => register.IsGPR() ? (sbyte)register.GetFullRegister().GetNumber() : NoRegister;
}
