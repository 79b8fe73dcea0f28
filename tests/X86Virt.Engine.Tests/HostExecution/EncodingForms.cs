using Iced.Intel;

namespace X86Virt.Engine.Tests.HostExecution;

/// <summary>Makes an instruction of every form that the host executes, from Iced's description of its operands.</summary>
internal static class EncodingForms
{
    /// <summary>64-bit code bytes of every form whose instruction sets <paramref name="wanted"/> accepts, register and memory variants apart.</summary>
    public static IEnumerable<(Code Code, bool Memory, byte[] Bytes)> All(Func<Code, bool> wanted)
    {
        foreach (Code code in Enum.GetValues<Code>())
        {
            OpCodeInfo info = code.ToOpCode();
            if (!info.IsInstruction || !info.Mode64 || info.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX) || !wanted(code) || info.Fwait)
                continue;
            foreach (bool memory in new[] { false, true })
            {
                if (Encode(info, memory) is { } bytes)
                    yield return (code, memory, bytes);
            }
        }
    }

    private static byte[]? Encode(OpCodeInfo info, bool memory)
    {
        var instruction = new Instruction { Code = info.Code };
        bool hasMemory = false;
        for (int i = 0; i < info.OpCount; i++)
        {
            string kind = info.GetOpKind(i).ToString();
            if (kind.StartsWith("mem", StringComparison.Ordinal) || memory && kind.Contains("_or_mem", StringComparison.Ordinal))
            {
                if (!memory)
                    return null;
                hasMemory = true;
                instruction.SetOpKind(i, OpKind.Memory);
                instruction.MemoryBase = Register.RSI;
                instruction.MemoryDisplSize = 1;
                instruction.MemoryDisplacement64 = 0x40;
                if (kind.Contains("vsib", StringComparison.Ordinal))
                    instruction.MemoryIndex = kind[^1] == 'y' ? Register.YMM7 : Register.XMM7;
            }
            else if (kind == "seg_rDI")
            {
                if (!memory)
                    return null;
                hasMemory = true;
                instruction.SetOpKind(i, OpKind.MemorySegRDI);
            }
            else if (kind.StartsWith("imm", StringComparison.Ordinal))
            {
                instruction.SetOpKind(i, i > 0 && instruction.GetOpKind(i - 1) == OpKind.Immediate8 ? OpKind.Immediate8_2nd : OpKind.Immediate8);
                instruction.SetImmediate(i, kind.StartsWith("imm4", StringComparison.Ordinal) ? 1 : 5);
            }
            else
            {
                instruction.SetOpKind(i, OpKind.Register);
                instruction.SetOpRegister(i, Named(kind, i));
            }
        }
        if (memory != hasMemory)
            return null;
        var stream = new MemoryStream();
        Encoder.Create(64, new StreamCodeWriter(stream)).Encode(instruction, 0);
        return stream.ToArray();
    }

    private static Register Named(string kind, int operand) => kind.Split('_')[0] switch
    {
        "xmm" => Register.XMM2 + operand,
        "ymm" => Register.YMM2 + operand,
        "mm" => Register.MM2 + operand,
        "r16" => Register.CX + operand,
        "r32" => Register.ECX + operand,
        "r64" => Register.RCX + operand,
        "r8" => Register.CL + operand,
        "st0" => Register.ST0,
        "sti" => Register.ST1,
        "ax" => Register.AX,
        _ => throw new NotSupportedException($"Operand kind {kind}: add it here."),
    };
}
