using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>Which instructions a program may execute on the host with a result that depends on its registers and memory only.</summary>
internal static class Comparable
{
    private static readonly HashSet<CpuidFeature> IntegerFeatures =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL8086_ONLY, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486,
        CpuidFeature.X64, CpuidFeature.CMOV, CpuidFeature.CX8, CpuidFeature.CMPXCHG16B, CpuidFeature.MOVBE, CpuidFeature.POPCNT,
        CpuidFeature.LZCNT, CpuidFeature.BMI1, CpuidFeature.BMI2, CpuidFeature.ADX, CpuidFeature.MULTIBYTENOP, CpuidFeature.PREFETCHW,
    ];

    /// <summary>Integer instructions; system, far and segment-loading ones have guests of their own.</summary>
    public static bool Integer(Instruction instruction)
    {
        if (instruction.Mnemonic == Mnemonic.Crc32)
            return true;
        if (instruction.IsPrivileged || instruction.IsStackInstruction && !IsPlainStack(instruction))
            return false;
        foreach (CpuidFeature feature in instruction.CpuidFeatures)
        {
            if (!IntegerFeatures.Contains(feature))
                return false;
        }
        return instruction.FlowControl switch
        {
            FlowControl.Interrupt or FlowControl.Exception => false,
            FlowControl.UnconditionalBranch => instruction.IsJmpShortOrNear,
            FlowControl.IndirectBranch => instruction.IsJmpNearIndirect,
            FlowControl.Call => instruction.IsCallNear,
            FlowControl.IndirectCall => instruction.IsCallNearIndirect,
            _ => !TouchesSegments(instruction) && !DependsOnProcessor(instruction.Mnemonic),
        };
    }

    /// <summary>x87, MMX, SSE and AVX instructions; XSAVE images depend on what else the host has.</summary>
    public static bool Vector(Instruction instruction)
        => HostFeatures.Executes(instruction.Code)
            || instruction.Mnemonic is Mnemonic.Wait or Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64;

    private static bool IsPlainStack(in Instruction instruction)
        => instruction.Mnemonic is Mnemonic.Push or Mnemonic.Pop or Mnemonic.Call or Mnemonic.Ret or Mnemonic.Enter or Mnemonic.Leave
            or Mnemonic.Pusha or Mnemonic.Pushad or Mnemonic.Popa or Mnemonic.Popad
            || instruction.Code is Code.Pushaw or Code.Popaw;

    private static bool TouchesSegments(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Register && (instruction.GetOpRegister(i).IsSegmentRegister()
                || instruction.GetOpRegister(i) is >= Register.CR0 and <= Register.TR7))
                return true;
        }
        return instruction.Mnemonic is Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss or Mnemonic.Retf;
    }

    /// <summary>Results that differ from one processor to the next, or that the kernel has a hand in.</summary>
    private static bool DependsOnProcessor(Mnemonic mnemonic) => mnemonic is Mnemonic.Cpuid or Mnemonic.Rdtsc or Mnemonic.Rdpmc
        or Mnemonic.Sgdt or Mnemonic.Sidt or Mnemonic.Sldt or Mnemonic.Smsw or Mnemonic.Str or Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr
        or Mnemonic.Verw or Mnemonic.Arpl or Mnemonic.Wait or Mnemonic.Loadall or Mnemonic.Umov or Mnemonic.Xbts or Mnemonic.Ibts;
}
