using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Platform;

/// <summary>
/// The processor's local APIC (AMD volume 2, chapter 16): priorities, local vector table, interprocessor interrupts to itself (there
/// is no other), timer. Registers are in <c>LocalApic.Registers.cs</c>.
/// </summary>
public sealed unsafe partial class LocalApic : Device, IMmioDevice
{
    public const ulong DefaultAddress = 0xFEE0_0000;

    /// <summary>The APIC ID of the only processor.</summary>
    public const uint Id = 0;

    private const uint Masked = 1 << 16;
    private const uint SoftwareEnabled = 1 << 8;
    private const uint FlatModel = 0xF;

    private readonly Cpu _cpu;
    private readonly PhysicalMemory _memory;
    private readonly ApicTimer _timer;
    private readonly ApicVectors _request = new(), _inService = new(), _levels = new();
    private byte _taskPriority;
    private uint _spuriousVector, _logicalDestination, _destinationFormat, _commandLow, _commandHigh;
    private uint _lvtTimer, _lvtThermal, _lvtPerformance, _lvtLint0, _lvtLint1, _lvtError;
    private ApicErrors _errors, _errorsShown;

    public LocalApic(Cpu cpu, GuestClock clock, EventQueue events)
    {
        _cpu = cpu;
        _memory = cpu.Memory;
        _timer = new ApicTimer(cpu, clock, events, () => RaiseLocal(_lvtTimer));
    }

    public override string Name => "Local APIC";
    public override IReadOnlyList<AddressRange> Addresses => MemoryMapped ? [new AddressRange(Base, 0x1000)] : [];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("APIC_BASE", _baseMsr),
        new("TPR", _taskPriority),
        new("PPR", ProcessorPriority),
        new("SVR", _spuriousVector),
        new("LDR", LogicalDestination),
        new("DFR", _destinationFormat),
        new("HighestIRR", unchecked((ulong)_request.Highest)),
        new("HighestISR", unchecked((ulong)_inService.Highest)),
        new("LVT_TIMER", _lvtTimer),
        new("LVT_LINT0", _lvtLint0),
        new("LVT_LINT1", _lvtLint1),
        new("LVT_ERROR", _lvtError),
        new("ESR", (ulong)_errors),
        new("ICR", (ulong)_commandHigh << 32 | _commandLow),
        new("TimerInitialCount", _timer.InitialCount),
        new("TimerCurrentCount", _timer.CurrentCount),
        new("TscDeadline", _timer.TscDeadline),
    ];

    /// <summary>A level-triggered interrupt ended: its vector, for the I/O APIC.</summary>
    public event Action<byte>? EndOfInterrupt;

    /// <summary>An INIT or SMI message arrived.</summary>
    public event Action? InitReceived, SmiReceived;

    public override void Reset()
    {
        ClearState();
        SetBase(DefaultAddress | BootstrapProcessor | GlobalEnable);
    }

    /// <summary>State after reset. LINT0 is the PIC's and LINT1 is NMI, as the PC's firmware leaves them.</summary>
    private void ClearState()
    {
        _request.Clear();
        _inService.Clear();
        _levels.Clear();
        (_taskPriority, _spuriousVector, _logicalDestination, _destinationFormat) = (0, 0xFF, 0, uint.MaxValue);
        (_commandLow, _commandHigh, _errors, _errorsShown) = (0, 0, ApicErrors.None, ApicErrors.None);
        _lvtTimer = _lvtThermal = _lvtPerformance = _lvtError = Masked;
        _lvtLint0 = (uint)ApicDelivery.ExtInt << 8;
        _lvtLint1 = (uint)ApicDelivery.Nmi << 8;
        _timer.Reset();
    }

    private bool IsSoftwareEnabled => (_spuriousVector & SoftwareEnabled) != 0;

    /// <summary>The PIC's INT goes to the processor: LINT0 takes it as ExtINT, or the APIC is switched off.</summary>
    public bool AcceptsExtInt => !GloballyEnabled || ((_lvtLint0 & Masked) == 0 && Delivery(_lvtLint0) == ApicDelivery.ExtInt);

    /// <summary>Bits 7-0 of the TPR.</summary>
    public byte TaskPriority
    {
        get => _taskPriority;
        set
        {
            _taskPriority = value;
            Signal();
        }
    }

    /// <summary>The higher of the task priority and that of the interrupt in service.</summary>
    private byte ProcessorPriority
    {
        get
        {
            int serving = Math.Max(_inService.Highest, 0) & 0xF0;
            return (_taskPriority & 0xF0) >= serving ? _taskPriority : (byte)serving;
        }
    }

    /// <summary>An interrupt of higher priority than what the processor does.</summary>
    public bool Pending => _request.Highest >> 4 > ProcessorPriority >> 4 && GloballyEnabled && IsSoftwareEnabled;

    private void Signal()
    {
        if (Pending)
            _cpu.RequestAttention(Attention.Interrupt);
    }

    /// <summary>The processor takes the interrupt: its vector, now in service; -1 if none is pending.</summary>
    public int Acknowledge()
    {
        if (!Pending)
            return -1;
        int vector = _request.Highest;
        _request.Remove(vector);
        _inService.Add(vector);
        return vector;
    }

    private void End()
    {
        int vector = _inService.Highest;
        if (vector < 0)
            return;
        _inService.Remove(vector);
        if (_levels[vector])
            EndOfInterrupt?.Invoke((byte)vector);
        Signal();
    }

    /// <summary>A message from the I/O APIC or another source; false if it is not for this APIC or not accepted.</summary>
    public bool Receive(in ApicMessage message)
    {
        if (!GloballyEnabled || !IsDestination(message.Destination, message.Logical))
            return false;
        switch (message.Delivery)
        {
            case ApicDelivery.Fixed:
            case ApicDelivery.LowestPriority:
                return Accept(message.Vector, message.Level);
            case ApicDelivery.Nmi:
                RaiseNmi();
                return true;
            case ApicDelivery.Init:
                InitReceived?.Invoke();
                return true;
            case ApicDelivery.Smi:
                SmiReceived?.Invoke();
                return true;
            default:
                // Start-up messages mean nothing to a processor that runs.
                return false;
        }
    }

    private bool IsDestination(uint destination, bool logical)
    {
        if (destination == (X2Apic ? uint.MaxValue : 0xFF))
            return true;
        if (!logical)
            return destination == Id;
        if (X2Apic)
            return destination >> 16 == LogicalDestination >> 16 && (destination & LogicalDestination & 0xFFFF) != 0;
        uint mine = _logicalDestination >> 24;
        if (_destinationFormat >> 28 == FlatModel)
            return (destination & mine) != 0;
        return (destination >> 4 == mine >> 4 || destination >> 4 == 0xF) && (destination & mine & 0xF) != 0;
    }

    private bool Accept(byte vector, bool level)
    {
        if (vector < 16)
        {
            Raise(ApicErrors.ReceiveIllegalVector);
            return false;
        }
        if (!IsSoftwareEnabled)
            return false;
        _request.Add(vector);
        if (level)
            _levels.Add(vector);
        else
            _levels.Remove(vector);
        Signal();
        return true;
    }

    private void RaiseNmi()
    {
        _cpu.State->NmiPending = true;
        _cpu.RequestAttention(Attention.Interrupt);
    }

    private void Raise(ApicErrors error)
    {
        bool fresh = (_errors & error) == 0;
        _errors |= error;
        // An illegal vector in LVT error itself must not raise another error without end.
        if (fresh && (byte)_lvtError >= 16)
            RaiseLocal(_lvtError);
    }

    private static ApicDelivery Delivery(uint entry) => (ApicDelivery)((entry >> 8) & 7);

    /// <summary>Delivers what an entry of the local vector table says.</summary>
    private void RaiseLocal(uint entry)
    {
        if ((entry & Masked) != 0 || !GloballyEnabled)
            return;
        if (Delivery(entry) == ApicDelivery.Nmi)
            RaiseNmi();
        else if (Delivery(entry) == ApicDelivery.Smi)
            SmiReceived?.Invoke();
        else if (Delivery(entry) == ApicDelivery.Fixed)
            Accept((byte)entry, level: false);
    }

    /// <summary>LINT0, where the PIC's INT output arrives: its rising edge.</summary>
    public void RaiseLint0() => RaiseLocal(_lvtLint0);

    /// <summary>LINT1, the board's NMI line (system errors, a person's NMI button).</summary>
    public void RaiseLint1()
    {
        if (GloballyEnabled)
            RaiseLocal(_lvtLint1);
        else
            RaiseNmi();
    }

    /// <summary>Performs the command of an interrupt command register.</summary>
    private void Send(uint low, uint destination)
    {
        var message = new ApicMessage
        {
            Vector = (byte)low,
            Delivery = Delivery(low),
            Logical = (low & (1 << 11)) != 0,
            Destination = destination,
        };
        if (message.Delivery is ApicDelivery.Fixed or ApicDelivery.LowestPriority && message.Vector < 16)
        {
            Raise(ApicErrors.SendIllegalVector);
            return;
        }
        // The de-assertion of an INIT level only synchronises arbitration IDs of old processors.
        if (message.Delivery == ApicDelivery.Init && (low & (1 << 14)) == 0)
            return;
        const uint Self = 1, AllWithSelf = 2, AllButSelf = 3;
        uint shorthand = (low >> 18) & 3;
        if (shorthand == AllButSelf)
            return;
        if (shorthand is Self or AllWithSelf)
            message = message with { Destination = X2Apic ? uint.MaxValue : 0xFF };
        Receive(message);
    }
}
