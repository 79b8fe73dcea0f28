using Iced.Intel;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// The instructions that can be compared with the host: for each encoding form, byte sequences up to and with the ModRM byte. Found by
/// decoding every prefix, map, opcode and group once.
/// </summary>
internal sealed class InstructionSpace
{
    private readonly List<byte[]>[] _encodings;

    public InstructionSpace(int bitness, Func<Instruction, bool> allowed)
    {
        var found = new Dictionary<Code, List<byte[]>>();
        var seen = new HashSet<(Code, bool)>();
        var reader = new ArrayReader();
        Decoder decoder = Decoder.Create(bitness, reader, DecoderOptions.AMD);
        foreach (byte[] encoding in Encodings(bitness))
        {
            reader.Set(encoding);
            decoder.IP = OracleLayout.Code;
            decoder.Decode(out Instruction instruction);
            if (instruction.Code == Code.INVALID || !seen.Add((instruction.Code, HasMemory(instruction))) || !allowed(instruction))
                continue;
            if (!found.TryGetValue(instruction.Code, out List<byte[]>? list))
                found.Add(instruction.Code, list = []);
            list.Add(encoding);
        }
        Codes = [.. found.Keys];
        _encodings = [.. found.Values];
    }

    public IReadOnlyList<Code> Codes { get; }

    public byte[] Pick(RandomSource random)
    {
        List<byte[]> encodings = _encodings[random.Below(_encodings.Length)];
        return encodings[random.Below(encodings.Count)];
    }

    private static bool HasMemory(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
                return true;
        }
        return false;
    }

    private static IEnumerable<byte[]> Encodings(int bitness)
    {
        byte[][] maps = [[], [0x0F], [0x0F, 0x38], [0x0F, 0x3A]];
        byte[][] prefixes = [[], [0x66], [0xF3], [0xF2], [0x66, 0xF2]];
        byte[][] rexes = bitness == 64 ? [[], [0x48]] : [[]];
        foreach (byte[] map in maps)
        {
            foreach (byte[] prefix in prefixes)
            {
                foreach (byte[] rex in rexes)
                {
                    for (int opcode = 0; opcode < 256; opcode++)
                    {
                        foreach (byte modRm in ModRmBytes(map.Length == 0 && opcode is >= 0xD8 and <= 0xDF || map.Length == 1))
                            yield return [.. prefix, .. rex, .. map, (byte)opcode, modRm];
                    }
                }
            }
        }
        for (int map = 1; map <= 3; map++)
        {
            for (int last = 0; last < 16; last++)
            {
                // W, L and pp; vvvv both unused and used.
                foreach (int vvvv in (int[])[0x78, 0x68])
                {
                    byte third = (byte)(((last & 8) << 4) | vvvv | (last & 7));
                    for (int opcode = 0; opcode < 256; opcode++)
                    {
                        foreach (byte modRm in ModRmBytes(all: false))
                            yield return [0xC4, (byte)(0xE0 | map), third, (byte)opcode, modRm];
                    }
                }
            }
        }
    }

    private static IEnumerable<byte> ModRmBytes(bool all)
    {
        for (int i = 0; i < 8; i++)
        {
            yield return (byte)(i << 3);
            yield return (byte)(0xC0 | (i << 3));
        }
        if (!all)
            yield break;
        for (int i = 0xC1; i < 0x100; i++)
            yield return (byte)i;
    }

    private sealed class ArrayReader : CodeReader
    {
        private byte[] _bytes = [];
        private int _next;

        public void Set(byte[] bytes)
        {
            _bytes = bytes;
            _next = 0;
        }

        /// <summary>Zeros stand for what follows: displacement, immediate.</summary>
        public override int ReadByte() => _next < _bytes.Length ? _bytes[_next++] : _next++ < 15 ? 0 : -1;
    }
}
