using System.Globalization;
using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.Differential;

namespace X86Virt.Engine.Tests.Vectors;

/// <summary>
/// Where a vector's symbols lie: <c>data</c>, 8 KiB of zeros but for what the vector says; <c>stack</c> in it; <c>code</c>, the instruction.
/// </summary>
internal readonly record struct CasePlace(int Mode, ulong Code)
{
    /// <summary>The oracle's; its 16-bit segments start there.</summary>
    public const ulong Window = OracleLayout.Window;
    public const int DataSize = OracleLayout.WritableSize, StackOffset = 0x1800;

    public ulong Data => OracleLayout.Writable - (Mode == 16 ? Window : 0);
}

/// <summary>Registers, data and fault before or behind one instruction, as vectors write them.</summary>
internal sealed unsafe class CaseState
{
    private const string FlagLetters = "C.P.A.ZS..DO";
    private static readonly string[] GprNames = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    private static readonly (string Name, int Offset, int Size)[] Controls = [("fcw", 0, 2), ("fsw", 2, 2), ("ftw", 4, 1), ("mxcsr", 24, 4)];
    private static readonly string[] FaultNames =
        ["#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "?", "#TS", "#NP", "#SS", "#GP", "#PF", "?", "#MF", "#AC", "#MC", "#XM"];

    private const int FxTags = 4, FxSt = 32, Xmm = 160, Header = 512, YmmHigh = 576;

    /// <summary>Named with a symbol, so that they are written with one again.</summary>
    private readonly HashSet<int> _pointers = [4, 5];

    public CaseState(CasePlace place)
    {
        Place = place;
        Gpr[4] = place.Data + CasePlace.StackOffset;
        SetBytes(0, 0x37F, 2);
        SetBytes(24, 0x1F80, 4);
        SetBytes(Header, 7, 8);
    }

    public CasePlace Place { get; }
    public ulong[] Gpr { get; private init; } = new ulong[16];
    public uint Flags { get; set; }

    /// <summary>Flags that are not compared.</summary>
    public uint Ignored { get; set; }

    /// <summary>From the instruction's first byte.</summary>
    public long Rip { get; set; }

    /// <summary>x87 and vector state as XSAVE has it.</summary>
    public byte[] Image { get; private init; } = new byte[XsaveImage.Size];
    public byte[] Memory { get; private init; } = new byte[CasePlace.DataSize];

    /// <summary>Mnemonic and error code of the exception; null if the instruction completed.</summary>
    public string? Fault { get; set; }

    public CaseState Copy()
    {
        var copy = new CaseState(Place)
        {
            Gpr = [.. Gpr], Flags = Flags, Rip = Rip, Image = [.. Image], Memory = [.. Memory],
        };
        copy._pointers.UnionWith(_pointers);
        return copy;
    }

    public static string NameFault(Vector vector, uint? errorCode)
        => FaultNames[(int)vector] + (errorCode is { } code ? $"({code:X})" : "");

    public void SetRip(ulong rip)
    {
        ulong distance = rip - Place.Code;
        Rip = Place.Mode switch { 16 => (short)distance, 32 => (int)distance, _ => (long)distance };
    }

    private void SetBytes(int offset, ulong value, int size) => BitConverter.GetBytes(value).AsSpan(0, size).CopyTo(Image.AsSpan(offset));

    private int Top => (Image[3] >> 3) & 7;

    private bool IsEmpty(int st) => (Image[FxTags] >> ((Top + st) & 7) & 1) == 0;

    /// <summary>Applies assignments: <c>rax=1 flags=CZ xmm0=... st0=... [data+8]=0102 fault=#DE</c>. Numbers are hexadecimal.</summary>
    public void Assign(string text)
    {
        string[] tokens = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        int stacked = tokens.Count(t => t.StartsWith("st", StringComparison.Ordinal) && t.Length > 3 && t[3] == '=');
        if (stacked > 0 && !tokens.Any(t => t.StartsWith("fsw=", StringComparison.Ordinal)) && Image[FxTags] == 0)
        {
            Image[3] = (byte)((8 - stacked & 7) << 3);
            Image[FxTags] = (byte)(0xFF << (8 - stacked));
        }
        foreach (string token in tokens)
        {
            int equals = token.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0)
                throw new FormatException($"'{token}' is not name=value.");
            Assign(token[..equals], token[(equals + 1)..]);
        }
    }

    private void Assign(string name, string value)
    {
        int gpr = Array.IndexOf(GprNames, name);
        if (gpr >= 0)
        {
            Gpr[gpr] = Number(value);
            if (char.IsLower(value[0]))
                _pointers.Add(gpr);
        }
        else if (Array.Find(Controls, c => c.Name == name) is { Name: not null } control)
        {
            SetBytes(control.Offset, Number(value), control.Size);
        }
        else if (name == "rip")
        {
            SetRip(Number(value));
        }
        else if (name == "fault")
        {
            Fault = value;
        }
        else if (name is "flags" or "ignored")
        {
            uint flags = value.Aggregate(0u, (mask, letter) => mask | 1u << FlagLetters.IndexOf(letter, StringComparison.Ordinal));
            if (name == "flags")
                Flags = flags;
            else
                Ignored = flags;
        }
        else if (name[0] == '[')
        {
            byte[] bytes = char.IsLower(value[0]) ? BitConverter.GetBytes(Number(value))[..(Place.Mode / 8)] : Convert.FromHexString(value);
            bytes.CopyTo(Memory, (int)(Number(name[1..^1]) - Place.Data));
        }
        else
        {
            AssignVector(name, Convert.FromHexString(value));
        }
    }

    private void AssignVector(string name, byte[] value)
    {
        Array.Reverse(value);
        int number = int.Parse(name.AsSpan(name.IndexOfAnyInRange('0', '9')), CultureInfo.InvariantCulture);
        switch (name.TrimEnd('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'))
        {
            case "xmm":
                value.CopyTo(Image, Xmm + number * 16);
                break;
            case "ymm":
                value.AsSpan(0, 16).CopyTo(Image.AsSpan(Xmm + number * 16));
                value.AsSpan(16).CopyTo(Image.AsSpan(YmmHigh + number * 16));
                break;
            case "st":
                value.CopyTo(Image, FxSt + number * 16);
                break;
            case "mm":
                if (Image[FxTags] == 0)
                {
                    for (int i = 0; i < 8; i++)
                        SetBytes(FxSt + i * 16 + 8, 0xFFFF, 2);
                }
                Image[FxTags] = 0xFF;
                value.CopyTo(Image, FxSt + number * 16);
                break;
            default:
                throw new FormatException($"'{name}' is no register.");
        }
    }

    private ulong Number(string text)
    {
        int sign = text.IndexOfAny(['+', '-']);
        string symbol = sign < 0 ? text : text[..sign];
        ulong start = symbol switch
        {
            "data" => Place.Data,
            "stack" => Place.Data + CasePlace.StackOffset,
            "code" => Place.Code,
            _ => ulong.Parse(symbol, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        };
        ulong offset = sign < 0 ? 0 : ulong.Parse(text.AsSpan(sign + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return text.Contains('-', StringComparison.Ordinal) ? start - offset : start + offset;
    }

    private string Symbol(ulong value)
    {
        long fromStack = (long)(value - Place.Data - CasePlace.StackOffset), fromData = (long)(value - Place.Data);
        if (fromStack is > -0x100 and < 0x100)
            return Relative("stack", fromStack);
        return fromData is > -0x100 and < CasePlace.DataSize + 0x100 ? Relative("data", fromData) : value.ToString("X");
    }

    private static string Relative(string symbol, long offset) => offset == 0 ? symbol : offset < 0 ? $"{symbol}-{-offset:X}" : $"{symbol}+{offset:X}";

    private static string Letters(uint flags)
        => string.Concat("ODSZAPC".Where(c => (flags >> FlagLetters.IndexOf(c, StringComparison.Ordinal) & 1) != 0));

    private static string Hex(ReadOnlySpan<byte> littleEndian)
    {
        byte[] bytes = littleEndian.ToArray();
        Array.Reverse(bytes);
        return Convert.ToHexString(bytes);
    }

    /// <summary>
    /// What the instruction made of <paramref name="before"/>, as assignments.
    /// </summary>
    public string Describe(CaseState before, in Instruction instruction)
    {
        if (Fault != null)
            return $"fault={Fault}";
        List<string> changes = [.. Changes(before, instruction)];
        if (Rip != instruction.Length)
            changes.Insert(0, $"rip={Relative("code", Rip)}");
        if (Ignored != 0)
            changes.Add($"ignored={Letters(Ignored)}");
        return string.Join(' ', changes);
    }

    private static bool IsMmx(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Register && instruction.GetOpRegister(i).IsMM())
                return true;
        }
        return instruction.Mnemonic == Mnemonic.Emms;
    }

    private IEnumerable<string> Changes(CaseState before, Instruction instruction)
    {
        bool mmx = IsMmx(instruction), call = instruction.FlowControl is FlowControl.Call or FlowControl.IndirectCall;
        ulong mask = Place.Mode == 64 ? ulong.MaxValue : uint.MaxValue;
        for (int i = 0; i < (Place.Mode == 64 ? 16 : 8); i++)
        {
            if (((Gpr[i] ^ before.Gpr[i]) & mask) != 0)
                yield return $"{GprNames[i]}={(before._pointers.Contains(i) ? Symbol(Gpr[i] & mask) : (Gpr[i] & mask).ToString("X"))}";
        }
        if (((Flags ^ before.Flags) & ~Ignored) != 0)
            yield return $"flags={Letters(Flags & ~Ignored)}";
        foreach ((string name, int offset, int size) in Controls)
        {
            if (!Image.AsSpan(offset, size).SequenceEqual(before.Image.AsSpan(offset, size)))
                yield return $"{name}={Hex(Image.AsSpan(offset, size)).TrimStart('0').PadLeft(1, '0')}";
        }
        for (int i = 0; i < 8; i++)
        {
            ReadOnlySpan<byte> now = Image.AsSpan(FxSt + i * 16, mmx ? 8 : 10);
            if (!IsEmpty(i) && !now.SequenceEqual(before.Image.AsSpan(FxSt + i * 16, mmx ? 8 : 10)))
                yield return $"{(mmx ? "mm" : "st")}{i}={Hex(now)}";
        }
        for (int i = 0; i < 16; i++)
        {
            string low = Hex(Image.AsSpan(Xmm + i * 16, 16)), high = Hex(Image.AsSpan(YmmHigh + i * 16, 16));
            string oldLow = Hex(before.Image.AsSpan(Xmm + i * 16, 16)), oldHigh = Hex(before.Image.AsSpan(YmmHigh + i * 16, 16));
            if (high != oldHigh)
                yield return $"ymm{i}={high}{low}";
            else if (low != oldLow)
                yield return $"xmm{i}={low}";
        }
        foreach (string change in MemoryChanges(before, call))
            yield return change;
    }

    private IEnumerable<string> MemoryChanges(CaseState before, bool call)
    {
        int width = Place.Mode / 8;
        for (int i = 0; i < CasePlace.DataSize; i++)
        {
            if (Memory[i] == before.Memory[i])
                continue;
            int end = i;
            for (int j = i; j < CasePlace.DataSize && j < end + 8; j++)
            {
                if (Memory[j] != before.Memory[j])
                    end = j + 1;
            }
            string place = $"[{Symbol(Place.Data + (ulong)i)}]";
            if (call)
            {
                int slot = i & -width;
                yield return $"[{Symbol(Place.Data + (ulong)slot)}]={Relative("code", (long)(Read(slot, width) - Place.Code))}";
                i = slot + width - 1;
            }
            else
            {
                yield return $"{place}={Convert.ToHexString(Memory, i, end - i)}";
                i = end - 1;
            }
        }
    }

    private ulong Read(int offset, int size)
    {
        Span<byte> value = stackalloc byte[8];
        Memory.AsSpan(offset, size).CopyTo(value);
        return BitConverter.ToUInt64(value);
    }

    /// <summary>What a run made otherwise than this state; null if nothing. Of a fault only which one it is.</summary>
    public string? Difference(CaseState actual, in Instruction instruction)
    {
        if (Fault != null || actual.Fault != null)
            return Fault == actual.Fault ? null : $"fault={actual.Fault ?? "none"}";
        actual.Ignored = Ignored;
        List<string> wrong = [.. actual.Changes(this, instruction)];
        if (Rip != actual.Rip)
            wrong.Insert(0, $"rip={Relative("code", actual.Rip)}");
        return wrong.Count == 0 ? null : string.Join(' ', wrong);
    }
}
