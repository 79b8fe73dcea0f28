using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Which instructions are the last of their block: control transfers, and whatever may change the mode, mappings, interrupt state or
/// a device, or looks at the time. Their handlers return null (<see cref="Control.Complete"/>).
/// </summary>
internal static class BlockEnd
{
    public static bool Is(in Instruction instruction)
    {
        if (instruction.FlowControl != FlowControl.Next)
            return true;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.INVALID:
            case Mnemonic.In or Mnemonic.Out or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd:
            case Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd:
            case Mnemonic.Clac or Mnemonic.Stac or Mnemonic.Hlt or Mnemonic.Clts or Mnemonic.Lmsw:
            case Mnemonic.Lgdt or Mnemonic.Lidt or Mnemonic.Lldt or Mnemonic.Ltr:
            case Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss:
            case Mnemonic.Rdmsr or Mnemonic.Wrmsr or Mnemonic.Rdtsc or Mnemonic.Rdtscp or Mnemonic.Rdpmc:
            case Mnemonic.Invlpg or Mnemonic.Invpcid or Mnemonic.Invlpga or Mnemonic.Wbinvd or Mnemonic.Invd:
            case Mnemonic.Swapgs or Mnemonic.Wrfsbase or Mnemonic.Wrgsbase or Mnemonic.Xsetbv:
            case Mnemonic.Monitor or Mnemonic.Mwait or Mnemonic.Stgi or Mnemonic.Clgi:
            case Mnemonic.Vmrun or Mnemonic.Vmload or Mnemonic.Vmsave or Mnemonic.Vmmcall or Mnemonic.Vmgexit:
                return true;
            case Mnemonic.Mov:
                Register register = instruction.Op0Register;
                return register.IsSegmentRegister() || register.IsCR() || register.IsDR()
                    || instruction.Op1Register.IsCR() || instruction.Op1Register.IsDR();
            case Mnemonic.Pop:
                return instruction.Op0Register.IsSegmentRegister();
            default:
                return false;
        }
    }
}
