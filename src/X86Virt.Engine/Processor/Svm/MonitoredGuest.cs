namespace X86Virt.Engine.Processor;

/// <summary>What a monitor must know of the guest of a hypervisor that it runs itself: this processor is its record, and other silicon executes the guest.</summary>
internal sealed unsafe partial class SvmUnit
{
    /// <summary>What the guest's time-stamp counter is ahead of the hypervisor's.</summary>
    public ulong GuestTimeStampOffset => _tscOffset;

    /// <summary>The guest's time-stamp counter is no faster or slower.</summary>
    public bool GuestHasOwnRate => _tscRatio == SvmRegisters.TscRatioOne;
}
