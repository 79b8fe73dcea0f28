using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>Units of the host whose registers hold the guest's while translated code uses them.</summary>
[Flags]
internal enum DataUnits : byte
{
    None = 0,

    /// <summary>XMM or YMM registers and MXCSR.</summary>
    Vector = 1,

    /// <summary>x87 and MMX registers, control and status word.</summary>
    X87 = 2,
}

/// <summary>Which data instructions translated code executes itself, and on which units.</summary>
internal static unsafe class DataUnitsOf
{
    /// <summary>The units that an instruction works on.</summary>
    public static DataUnits Find(in Instruction instruction)
    {
        if (X87Stub.IsX87(instruction.Code) || instruction.Mnemonic == Mnemonic.Emms)
            return DataUnits.X87;
        var units = DataUnits.None;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register)
                continue;
            Register register = instruction.GetOpRegister(i);
            if (register.IsMM())
                units |= DataUnits.X87;
            else if (register.IsVectorRegister())
                units |= DataUnits.Vector;
        }
        // Some change all vector registers without naming them, some obey MXCSR.
        return instruction.Mnemonic is Mnemonic.Vzeroupper or Mnemonic.Vzeroall
            or Mnemonic.Cvtpd2pi or Mnemonic.Cvttpd2pi or Mnemonic.Cvtps2pi or Mnemonic.Cvttps2pi ? units | DataUnits.Vector : units;
    }

    /// <summary>Whether the instruction can be executed in line in a mode: its unit is enabled and masked, and all its operands are explicit.</summary>
    public static bool InLine(in Instruction instruction, CodeMode mode, Op* op)
    {
        if (!HostFeatures.Executes(instruction.Code) || OperatingSystem.IsWindows())
            return false;
        DataUnits units = Find(instruction);
        if (units == DataUnits.None || !Enabled(instruction, units, mode) || !Explicit(instruction))
            return false;
        // Outside 64-bit mode they leave the upper eight registers alone.
        if (instruction.Mnemonic is Mnemonic.Vzeroupper or Mnemonic.Vzeroall && (mode & CodeMode.SizeMask) != CodeMode.Code64)
            return false;
        // x87 data pointers hold the offset, which is the linear address in flat segments alone.
        return (units & DataUnits.X87) == 0 || !TranslationKinds.HasMemory(instruction)
            || ((mode & CodeMode.Flat) != 0 && op->Segment is not (Segment.Fs or Segment.Gs));
    }

    private static bool Enabled(in Instruction instruction, DataUnits units, CodeMode mode)
    {
        if ((units & DataUnits.X87) != 0 && (mode & CodeMode.X87) == 0)
            return false;
        return (units & DataUnits.Vector) == 0 || (mode & (instruction.Encoding == EncodingKind.VEX ? CodeMode.Avx : CodeMode.Sse)) != 0;
    }

    private static bool Explicit(in Instruction instruction) => instruction.Mnemonic switch
    {
        // Implicit general registers, memory at rDI, masks that hold off faults, vector indices, the unit's own state.
        Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm => false,
        Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64 or Mnemonic.Vpcmpestri64 or Mnemonic.Vpcmpestrm64 => false,
        Mnemonic.Vpcmpestri or Mnemonic.Vpcmpestrm or Mnemonic.Vpcmpistri or Mnemonic.Vpcmpistrm => false,
        Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu => false,
        Mnemonic.Vmaskmovps or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq => false,
        Mnemonic.Ldmxcsr or Mnemonic.Stmxcsr or Mnemonic.Vldmxcsr or Mnemonic.Vstmxcsr => false,
        Mnemonic.Fnstenv or Mnemonic.Fldenv or Mnemonic.Fnsave or Mnemonic.Frstor or Mnemonic.Fninit => false,
        Mnemonic.Fneni or Mnemonic.Fndisi or Mnemonic.Fnsetpm => false,
        _ => !instruction.IsVsib,
    };

    /// <summary>Control instructions leave the instruction and data pointers alone.</summary>
    public static bool MovesPointers(in Instruction instruction) => instruction.Mnemonic
        is not (Mnemonic.Fnstcw or Mnemonic.Fldcw or Mnemonic.Fnstsw or Mnemonic.Fnclex or Mnemonic.Fnop or Mnemonic.Emms) && X87Stub.IsX87(instruction.Code);
}
