using Iced.Intel;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>An experiment.</summary>
/// <param name="Name">Different from all others; reviewed.txt names experiments by patterns.</param>
/// <param name="World">Guest and VMCB.</param>
/// <param name="Host">What the hypervisor executes, with the VMCB's address in RAX.</param>
internal sealed record SvmCase(string Name, SvmWorld World, Action<Assembler> Host)
{
    public SvmCase(string name, SvmWorld world)
        : this(name, world, Enter)
    {
    }

    /// <summary>QEMU fails altogether: the engines are compared with each other only.</summary>
    public bool EndsQemu { get; init; }

    /// <summary>The ordinary way into a guest and back.</summary>
    public static void Enter(Assembler a)
    {
        a.vmload();
        a.vmrun();
        a.vmsave();
    }
}
