using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Where guest general registers live while translated code runs. Eleven have a host register each; RSP is the host's own stack, RBX the state,
/// RAX, RCX and RDX are scratch (flags, shift counts, products and host addresses want them). The five that are left stay in the state.
/// </summary>
internal static class RegisterMap
{
    public const Register State = Register.RBX;

    /// <summary>Marks a guest register that stays in memory.</summary>
    public const int InMemory = -1;

    private static readonly sbyte[] Hosts = [8, 9, 10, 11, 12, 5, 6, 7, 13, 14, InMemory, InMemory, 15, InMemory, InMemory, InMemory];

    /// <summary>Number of the host register that holds guest register 0 to 15, or <see cref="InMemory"/>.</summary>
    public static int HostOf(int guest) => Hosts[guest];

    /// <summary>Number of the guest register that a general-register operand names: 0 for AL, AX, EAX and RAX; -1 if it is no such register.</summary>
    public static int GuestOf(Register register)
    {
        if (register >= Register.RAX && register <= Register.R15)
            return register - Register.RAX;
        if (register >= Register.EAX && register <= Register.R15D)
            return register - Register.EAX;
        if (register >= Register.AX && register <= Register.R15W)
            return register - Register.AX;
        if (register >= Register.SPL && register <= Register.R15L)
            return register - Register.SPL + 4;
        if (register >= Register.AL && register <= Register.BL)
            return register - Register.AL;
        return register >= Register.AH && register <= Register.BH ? register - Register.AH : -1;
    }

    public static bool IsHighByte(Register register) => register >= Register.AH && register <= Register.BH;

    /// <summary>The host register of a number at the width of a guest register.</summary>
    public static Register AtWidth(int host, Register like)
    {
        if (like.IsGPR64())
            return Register.RAX + host;
        if (like.IsGPR32())
            return Register.EAX + host;
        if (like.IsGPR16())
            return Register.AX + host;
        if (IsHighByte(like))
            return Register.AH + host;
        return host < 4 ? Register.AL + host : Register.SPL + (host - 4);
    }
}
