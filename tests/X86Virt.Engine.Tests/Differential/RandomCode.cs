using Iced.Intel;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>Random instructions from a list of opcodes, random in everything else: prefixes, registers, address forms, immediates.</summary>
/// <param name="seed">Of the random numbers.</param>
/// <param name="bitness">16, 32 or 64.</param>
/// <param name="units">Half of them x87, MMX, SSE and AVX instructions.</param>
internal sealed class RandomCode(int seed, int bitness, bool units = false)
{
    private static readonly byte[] MandatoryPrefixes = [0x66, 0xF2, 0xF3];

    private static readonly byte[] OneByte =
    [
        0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0A, 0x0B, 0x10, 0x11, 0x12, 0x13, 0x18, 0x19, 0x1A, 0x1B, 0x20, 0x21, 0x22, 0x23,
        0x28, 0x29, 0x2A, 0x2B, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3A, 0x3B, 0x69, 0x6B, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86,
        0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8D, 0xC0, 0xC1, 0xC6, 0xC7, 0xD0, 0xD1, 0xD2, 0xD3, 0xF6, 0xF7, 0xFE, 0xFF,
        0x89, 0x8B, 0x89, 0x8B, 0x01, 0x03, 0x39, 0x3B, 0x85, 0x83, 0xC1, 0xD3, 0xF7,
    ];

    private static readonly byte[] NoModRm =
        [0x04, 0x05, 0x0C, 0x0D, 0x14, 0x15, 0x24, 0x25, 0x2C, 0x2D, 0x34, 0x35, 0x3C, 0x3D, 0x50, 0x53, 0x56, 0x58, 0x5B, 0x5F,
         0x68, 0x6A, 0x90, 0x91, 0x96, 0x98, 0x99, 0xA8, 0xA9, 0xB0, 0xB7, 0xB8, 0xBF, 0xF5, 0xF8, 0xF9, 0xA4, 0xAB, 0xAC];

    private static readonly byte[] TwoByte =
    [
        0x40, 0x42, 0x44, 0x46, 0x48, 0x4A, 0x4C, 0x4F, 0x90, 0x92, 0x94, 0x97, 0x98, 0x9A, 0x9C, 0x9F, 0xA3, 0xA4, 0xA5, 0xAB, 0xAC,
        0xAD, 0xAF, 0xB0, 0xB1, 0xB3, 0xB6, 0xB7, 0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF, 0xC0, 0xC1, 0xC8, 0xCF,
    ];

    private readonly Random _random = new(seed);

    /// <summary>A block of instructions that all decode and do not transfer control.</summary>
    public byte[] Block(int instructions)
    {
        var code = new List<byte>();
        for (int i = 0; i < instructions;)
        {
            byte[] one = Candidate();
            var decoder = Decoder.Create(bitness, new ByteArrayCodeReader(one), DecoderOptions.AMD);
            Instruction instruction = decoder.Decode();
            if (instruction.IsInvalid || instruction.FlowControl != FlowControl.Next || instruction.Length > one.Length
                || instruction.Mnemonic is Mnemonic.Nop && instruction.Length > 3)
                continue;
            code.AddRange(one.AsSpan(0, instruction.Length));
            i++;
        }
        return [.. code];
    }

    public ulong Register()
        => _random.Next(8) switch
        {
            0 => (ulong)_random.NextInt64(),
            1 => (ulong)_random.Next(256),
            2 => 0x8000 + (ulong)_random.Next(-16, 16),
            3 => ulong.MaxValue - (ulong)_random.Next(64),
            4 => (ulong)_random.Next() << 20,
            _ => 0x20000 + (ulong)_random.Next(0x60000),
        };

    private byte[] Candidate()
    {
        var bytes = new List<byte>();
        if (_random.Next(6) == 0)
            bytes.Add(0x66);
        if (_random.Next(16) == 0)
            bytes.Add(0x67);
        if (_random.Next(24) == 0)
            bytes.Add((byte)(_random.Next(2) == 0 ? 0x64 : 0xF3));
        if (bitness == 64 && _random.Next(3) != 0)
            bytes.Add((byte)(0x40 | _random.Next(16)));
        int kind = _random.Next(10);
        if (units && _random.Next(2) == 0)
        {
            AddUnitOpcode(bytes);
        }
        else if (kind < 2)
        {
            bytes.Add(NoModRm[_random.Next(NoModRm.Length)]);
        }
        else
        {
            if (kind < 5)
            {
                bytes.Add(0x0F);
                bytes.Add(TwoByte[_random.Next(TwoByte.Length)]);
            }
            else
            {
                bytes.Add(OneByte[_random.Next(OneByte.Length)]);
            }
            // Half of them between registers.
            bytes.Add((byte)(_random.Next(2) == 0 ? 0xC0 | _random.Next(64) : _random.Next(256)));
        }
        AddTail(bytes);
        return [.. bytes];
    }

    private void AddTail(List<byte> bytes)
    {
        for (int i = 0; i < 9; i++)
            bytes.Add((byte)(_random.Next(3) == 0 ? _random.Next(4) * 0xFF / 3 : _random.Next(256)));
    }

    private void AddUnitOpcode(List<byte> bytes)
    {
        byte modRm = (byte)(_random.Next(2) == 0 ? 0xC0 | _random.Next(64) : _random.Next(256));
        switch (_random.Next(8))
        {
            case 0 or 1:
                bytes.Clear();
                bytes.Add((byte)(0xD8 | _random.Next(8)));
                bytes.Add(modRm);
                return;
            case 2 when bitness == 64:
                bytes.Clear();
                bytes.Add(0xC5);
                bytes.Add((byte)_random.Next(256));
                break;
            case 3 when _random.Next(4) == 0:
                // LDMXCSR, STMXCSR of memory; EMMS.
                bytes.Clear();
                bytes.AddRange(_random.Next(3) == 0 ? [0x0F, 0x77] : [0x0F, 0xAE, (byte)((_random.Next(2) == 0 ? 0x10 : 0x18) | _random.Next(4))]);
                return;
            default:
                if (_random.Next(4) != 0)
                    bytes.Insert(0, MandatoryPrefixes[_random.Next(3)]);
                bytes.Add(0x0F);
                break;
        }
        bytes.Add((byte)(_random.Next(8) switch
        {
            0 or 1 => 0x10 + _random.Next(8),
            2 => 0x28 + _random.Next(8),
            3 => 0xC2 + _random.Next(5),
            4 or 5 => 0x50 + _random.Next(48),
            _ => 0xD0 + _random.Next(47),
        }));
        bytes.Add(modRm);
    }
}
