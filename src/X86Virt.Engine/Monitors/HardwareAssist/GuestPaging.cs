using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>What became of a fault that the silicon met in translating one of the guest's addresses.</summary>
internal enum FaultOutcome
{
    /// <summary>The address is mapped now: the guest tries again.</summary>
    Mapped,

    /// <summary>No memory answers, or a store must be seen: the monitor executes the instruction.</summary>
    Emulate,

    /// <summary>The guest's own: it is to be injected.</summary>
    True,
}

/// <summary>How the monitor keeps a guest to its own memory: what it gives the silicon to translate with.</summary>
internal abstract unsafe class GuestPaging : IDisposable
{
    /// <summary>The exit that tells of a fault.</summary>
    public abstract SvmExitCode FaultExit { get; }

    /// <summary>Whether the guest changes its translations without an exit, so that whoever else keeps some must forget them.</summary>
    public abstract bool ChangesUnseen { get; }

    /// <summary>What never changes in the control area.</summary>
    public abstract void SetUp(Vmcb* v, PermissionMaps maps);

    /// <summary>Gives the VMCB the guest's CR0, CR3, CR4 and EFER, as the silicon must have them.</summary>
    public abstract void LoadControls(CpuState* g, Vmcb* v);

    /// <summary>Takes them back as far as the guest can have changed them without an exit.</summary>
    public abstract void SaveControls(Vmcb* v, CpuState* g);

    /// <summary>The last moment before VMRUN.</summary>
    public abstract void Enter(Vmcb* v);

    /// <summary>Sees to a fault: a nested one, or with shadow paging a page fault, of which <paramref name="trueCode"/> is the guest's error code if it is a true one.</summary>
    public abstract FaultOutcome Resolve(Vmcb* v, out PageFaultCode trueCode);

    /// <summary>Guest-physical address of the access that is to be emulated, of which <see cref="Resolve"/> has just told.</summary>
    public abstract ulong FaultPhysical(Vmcb* v);

    /// <summary>The silicon is to run the guest, which another engine ran before: its translations may have changed meanwhile.</summary>
    public abstract void TakeOver();

    /// <summary>Another engine is to run the guest.</summary>
    public abstract void HandOver();

    public abstract void Dispose();
}
