using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>
/// x87, SSE and AVX state as XSAVE's standard format has it (AMD volume 2, 11.5.4): how the oracle takes it and gives it back.
/// </summary>
internal static unsafe class XsaveImage
{
    public const int Size = 832;

    private const int Control = 0, Status = 2, Tags = 4, Opcode = 6, InstructionPointer = 8, DataPointer = 16, Mxcsr = 24;
    private const int St = 32, Xmm = 160, Header = 512, YmmHigh = 576;
    private const ulong AllComponents = 7;
    private const uint Inexact = 0x20, OverflowUnderflow = 0x18;

    public static void Load(CpuState* s, byte* image)
    {
        FxImage.LoadX87(s, image, wide: false);
        s->Mxcsr = *(uint*)(image + Mxcsr);
        for (int i = 0; i < 16; i++)
        {
            UInt128* register = (UInt128*)(s->Vectors + i * CpuState.VectorSize);
            register[0] = ((UInt128*)(image + Xmm))[i];
            register[1] = ((UInt128*)(image + YmmHigh))[i];
        }
    }

    public static void Store(CpuState* s, byte* image)
    {
        FxImage.StoreX87(s, image, wide: false);
        *(uint*)(image + Mxcsr) = s->Mxcsr;
        for (int i = 0; i < 16; i++)
        {
            UInt128* register = (UInt128*)(s->Vectors + i * CpuState.VectorSize);
            ((UInt128*)(image + Xmm))[i] = register[0];
            ((UInt128*)(image + YmmHigh))[i] = register[1];
        }
    }

    /// <summary>Random state: numbers of every class in every register; now and then exceptions unmasked or pending.</summary>
    public static void Randomize(byte* image, RandomSource random)
    {
        new Span<byte>(image, Size).Clear();
        *(ulong*)(image + Header) = AllComponents;
        uint masks = random.Percent(80) ? 0x3Fu : (uint)random.Below(64);
        uint control = 0x40 | masks | ((uint)random.Below(16) << 8);
        uint status = ((uint)random.Below(16) << 8 & 0x4700) | ((uint)random.Below(8) << 11);
        if (random.Percent(20))
            status |= (uint)random.Below(0x80);
        if (!random.Percent(5))
            status &= ~(~masks & 0x3F);
        if ((status & ~control & 0x3F) != 0)
            status |= 0x8080;
        *(ushort*)(image + Control) = (ushort)control;
        *(ushort*)(image + Status) = (ushort)status;
        image[Tags] = (byte)(random.Percent(60) ? 0xFF : random.Next());
        *(uint*)(image + Mxcsr) = (random.Percent(80) ? 0x1F80u : (uint)random.Below(64) << 7)
            | (random.Percent(30) ? (uint)random.Next() & 0xE07F : 0);
        for (int i = 0; i < 8; i++)
        {
            (ulong significand, ushort exponent) = Extended(random);
            *(ulong*)(image + St + i * 16) = significand;
            *(ushort*)(image + St + i * 16 + 8) = exponent;
        }
        for (int i = 0; i < 64; i++)
            *(ulong*)(i < 32 ? image + Xmm + i * 8 : image + YmmHigh + (i - 32) * 8) = Lane(random);
    }

    /// <summary>Makes a vector an index that keeps a gather near its base.</summary>
    public static void SetIndex(byte* image, int register, bool wide, RandomSource random)
    {
        for (int half = 0; half < 2; half++)
        {
            byte* lane = image + (half == 0 ? Xmm : YmmHigh) + register * 16;
            for (int i = 0; i < 16; i += wide ? 8 : 4)
            {
                int offset = random.Below(0x100) - 0x20;
                if (wide)
                    *(long*)(lane + i) = offset;
                else
                    *(int*)(lane + i) = offset;
            }
        }
    }

    private static ulong Lane(RandomSource random) => random.Below(4) switch
    {
        0 => Double(random),
        1 => Single(random) | (ulong)Single(random) << 32,
        2 => random.Interesting(),
        _ => random.Next(),
    };

    private static uint Single(RandomSource random)
    {
        uint sign = (uint)random.Next() & 0x8000_0000, fraction = (uint)random.Interesting() & 0x7F_FFFF;
        uint exponent = random.Below(6) switch { 0 => 0u, 1 => 0xFFu, 2 => (uint)random.Below(256), _ => (uint)(127 + random.Below(40) - 8) };
        return sign | exponent << 23 | (random.Percent(25) ? 0 : fraction);
    }

    private static ulong Double(RandomSource random)
    {
        ulong sign = random.Next() & 1UL << 63, fraction = random.Interesting() & 0xF_FFFF_FFFF_FFFF;
        ulong exponent = random.Below(6) switch { 0 => 0u, 1 => 0x7FFu, 2 => (ulong)random.Below(2048), _ => (ulong)(1023 + random.Below(72) - 8) };
        return sign | exponent << 52 | (random.Percent(25) ? 0 : fraction);
    }

    /// <summary>Normal for the most part; zeros, infinities, NaNs, denormals and encodings that the 80387 dropped among them.</summary>
    private static (ulong Significand, ushort Exponent) Extended(RandomSource random)
    {
        uint sign = (uint)random.Next() & 0x8000;
        ulong fraction = random.Percent(30) ? 0 : random.Interesting() & long.MaxValue;
        uint exponent = random.Below(8) switch
        {
            0 => 0u,
            1 => 0x7FFFu,
            2 => (uint)random.Below(0x8000),
            _ => (uint)(0x3FFF + random.Below(80) - 8),
        };
        bool integer = random.Percent(3) ? random.Percent(50) : exponent != 0;
        return (fraction | (integer ? 1UL << 63 : 0), (ushort)(sign | exponent));
    }

    /// <summary>What is different between two images, null if nothing is. Pointers count while an exception is pending: hardware drops them otherwise.</summary>
    public static string? FirstDifference(byte* ours, byte* host)
    {
        if (*(ushort*)(ours + Control) != *(ushort*)(host + Control))
            return "FCW";
        if (*(ushort*)(ours + Status) != *(ushort*)(host + Status))
            return "FSW";
        if (ours[Tags] != host[Tags])
            return "FTW";
        uint mxcsr = *(uint*)(host + Mxcsr), wrong = *(uint*)(ours + Mxcsr) ^ mxcsr;
        if (wrong != 0)
            return wrong == Inexact && (mxcsr & ~(mxcsr >> 7) & OverflowUnderflow) != 0 ? "PE beside unmasked OE or UE" : "MXCSR";
        for (int i = 0; i < 8; i++)
        {
            if (!new Span<byte>(ours + St + i * 16, 10).SequenceEqual(new Span<byte>(host + St + i * 16, 10)))
                return "ST";
        }
        if (!new Span<byte>(ours + Xmm, 256).SequenceEqual(new Span<byte>(host + Xmm, 256)))
            return "XMM";
        if (!new Span<byte>(ours + YmmHigh, 256).SequenceEqual(new Span<byte>(host + YmmHigh, 256)))
            return "YMM";
        if ((*(ushort*)(host + Status) & 0x80) == 0)
            return null;
        if (*(ushort*)(ours + Opcode) != *(ushort*)(host + Opcode))
            return "FOP";
        if (*(uint*)(ours + InstructionPointer) != *(uint*)(host + InstructionPointer))
            return "FIP";
        return *(uint*)(ours + DataPointer) != *(uint*)(host + DataPointer) ? "FDP" : null;
    }

    /// <summary>Lines that show an image's fields before and behind an instruction.</summary>
    public static IEnumerable<string> Describe(ReadOnlyMemory<byte> before, ReadOnlyMemory<byte> ours, ReadOnlyMemory<byte> host)
    {
        (string Name, int Offset, int Length)[] fields =
        [
            ("FCW", Control, 2), ("FSW", Status, 2), ("FTW", Tags, 1), ("FOP", Opcode, 2), ("FIP", InstructionPointer, 4), ("FDP", DataPointer, 4), ("MXCSR", Mxcsr, 4),
            .. Enumerable.Range(0, 8).Select(i => ($"ST{i}", St + i * 16, 10)),
            .. Enumerable.Range(0, 16).Select(i => ($"XMM{i}", Xmm + i * 16, 16)),
            .. Enumerable.Range(0, 16).Select(i => ($"YMM{i} high", YmmHigh + i * 16, 16)),
        ];
        foreach ((string name, int offset, int length) in fields)
        {
            string then = Hex(before, offset, length), us = Hex(ours, offset, length), them = Hex(host, offset, length);
            yield return $"{name,-10} {then}" + (us == then && them == then ? "" : $" -> ours {us} host {them}");
        }
    }

    private static string Hex(ReadOnlyMemory<byte> image, int offset, int length)
    {
        byte[] bytes = image.Slice(offset, length).ToArray();
        Array.Reverse(bytes);
        return Convert.ToHexString(bytes);
    }
}
