namespace X86Virt.Engine.Platform;

/// <summary>The registers: as a page of memory (xAPIC), as MSRs (x2APIC), and the MSR that chooses between them.</summary>
public sealed partial class LocalApic
{
    private const uint BaseMsr = 0x1B, TscDeadlineMsr = 0x6E0, FirstRegisterMsr = 0x800, LastRegisterMsr = 0x8FF;
    private const ulong BootstrapProcessor = 1 << 8, ExtendedMode = 1 << 10, GlobalEnable = 1 << 11;

    /// <summary>Version 0x14, six entries in the local vector table.</summary>
    private const uint Version = 0x14 | 5 << 16;

    private const uint LvtTimerWritable = 0x0007_00FF, LvtWritable = 0x0001_07FF, LintWritable = 0x0001_A7FF, LvtErrorWritable = 0x0001_00FF;
    private const uint SpuriousWritable = 0x3FF, CommandWritable = 0x000C_CFFF;
    private const int TimerModeShift = 17;

    private ulong _baseMsr;

    private ulong Base => _baseMsr & ~0xFFFUL;
    private bool GloballyEnabled => (_baseMsr & GlobalEnable) != 0;
    private bool X2Apic => (_baseMsr & ExtendedMode) != 0;
    private bool MemoryMapped => GloballyEnabled && !X2Apic;

    private uint LogicalDestination => X2Apic ? (Id >> 4) << 16 | 1u << (int)(Id & 15) : _logicalDestination;

    /// <summary>Moves the registers' page, or takes it away where they are not in memory.</summary>
    private void SetBase(ulong value)
    {
        if (MemoryMapped)
            _memory.Unmap(Base, 0x1000);
        _baseMsr = value;
        if (MemoryMapped)
            _memory.MapDevice(Base, 0x1000, this);
    }

    /// <summary>WRMSR IA32_APIC_BASE; false for reserved bits and for changes of mode that there are not.</summary>
    private bool TrySetBase(ulong value)
    {
        ulong reserved = ~((1UL << _cpu.PhysicalAddressBits) - 1) | 0xFF | 1 << 9;
        bool enable = (value & GlobalEnable) != 0, extended = (value & ExtendedMode) != 0;
        if ((value & reserved) != 0 || (extended && !enable) || (X2Apic && enable && !extended) || (!GloballyEnabled && extended))
            return false;
        bool wasEnabled = GloballyEnabled;
        SetBase(value & ~BootstrapProcessor | BootstrapProcessor);
        if (wasEnabled != enable)
            ClearState();
        return true;
    }

    /// <summary>False if the register is not the APIC's.</summary>
    public bool TryReadMsr(uint index, out ulong value, out bool fault)
    {
        (value, fault) = (0, false);
        switch (index)
        {
            case BaseMsr:
                value = _baseMsr;
                return true;
            case TscDeadlineMsr:
                value = _timer.TscDeadline;
                return true;
            case >= FirstRegisterMsr and <= LastRegisterMsr:
                var register = (ApicRegister)(index - FirstRegisterMsr);
                fault = !X2Apic || !IsReadable(register);
                if (!fault)
                    value = register == ApicRegister.InterruptCommandLow ? (ulong)_commandHigh << 32 | _commandLow : Read(register);
                return true;
            default:
                return false;
        }
    }

    public bool TryWriteMsr(uint index, ulong value, out bool fault)
    {
        fault = false;
        switch (index)
        {
            case BaseMsr:
                fault = !TrySetBase(value);
                return true;
            case TscDeadlineMsr:
                _timer.SetTscDeadline(value);
                return true;
            case >= FirstRegisterMsr and <= LastRegisterMsr:
                fault = !X2Apic || !TryWriteX2Apic((ApicRegister)(index - FirstRegisterMsr), value);
                return true;
            default:
                return false;
        }
    }

    private static bool IsReadable(ApicRegister register) => register switch
    {
        ApicRegister.EndOfInterrupt or ApicRegister.SelfIpi => false,
        ApicRegister.ArbitrationPriority or ApicRegister.RemoteRead or ApicRegister.DestinationFormat or ApicRegister.InterruptCommandHigh => false,
        _ => Exists(register),
    };

    private static bool Exists(ApicRegister register)
        => Enum.IsDefined(register) || register is >= ApicRegister.InService and < ApicRegister.ErrorStatus;

    private bool TryWriteX2Apic(ApicRegister register, ulong value)
    {
        ulong allowed = register switch
        {
            ApicRegister.TaskPriority => 0xFF,
            ApicRegister.EndOfInterrupt or ApicRegister.ErrorStatus => 0,
            ApicRegister.SpuriousVector => SpuriousWritable,
            ApicRegister.InterruptCommandLow => 0xFFFF_FFFF_0000_0000 | CommandWritable,
            ApicRegister.LvtTimer => LvtTimerWritable | 1 << 12,
            ApicRegister.LvtThermal or ApicRegister.LvtPerformance => LvtWritable | 1 << 12,
            ApicRegister.LvtLint0 or ApicRegister.LvtLint1 => LintWritable | 5 << 12,
            ApicRegister.LvtError => LvtErrorWritable | 1 << 12,
            ApicRegister.InitialCount => uint.MaxValue,
            ApicRegister.DivideConfiguration => 0xB,
            ApicRegister.SelfIpi => 0xFF,
            _ => ulong.MaxValue,
        };
        if (allowed == ulong.MaxValue || (value & ~allowed) != 0)
            return false;
        if (register == ApicRegister.SelfIpi)
        {
            Send((uint)value | 1 << 18, 0);
            return true;
        }
        if (register == ApicRegister.InterruptCommandLow)
            _commandHigh = (uint)(value >> 32);
        Write(register, (uint)value);
        return true;
    }

    /// <summary>Registers stand 16 bytes apart, 32 bits each; what is beside them reads as 0.</summary>
    public ulong ReadMemory(ulong offset, int size)
    {
        int shift = (int)(offset & 15) * 8;
        return shift >= 32 ? 0 : Read((ApicRegister)(offset >> 4)) >> shift;
    }

    public void WriteMemory(ulong offset, int size, ulong value)
    {
        if ((offset & 15) == 0 && size >= 4)
            Write((ApicRegister)(offset >> 4), (uint)value);
    }

    private uint Read(ApicRegister register)
    {
        switch (register)
        {
            case ApicRegister.Id:
                return X2Apic ? Id : Id << 24;
            case ApicRegister.Version:
                return Version;
            case ApicRegister.TaskPriority:
                return _taskPriority;
            case ApicRegister.ArbitrationPriority:
            case ApicRegister.ProcessorPriority:
                return ProcessorPriority;
            case ApicRegister.LogicalDestination:
                return LogicalDestination;
            case ApicRegister.DestinationFormat:
                return _destinationFormat;
            case ApicRegister.SpuriousVector:
                return _spuriousVector;
            case >= ApicRegister.InService and < ApicRegister.TriggerMode:
                return _inService.Word(register - ApicRegister.InService);
            case >= ApicRegister.TriggerMode and < ApicRegister.InterruptRequest:
                return _levels.Word(register - ApicRegister.TriggerMode);
            case >= ApicRegister.InterruptRequest and < ApicRegister.ErrorStatus:
                return _request.Word(register - ApicRegister.InterruptRequest);
            case ApicRegister.ErrorStatus:
                return (uint)_errorsShown;
            case ApicRegister.InterruptCommandLow:
                return _commandLow;
            case ApicRegister.InterruptCommandHigh:
                return _commandHigh;
            case ApicRegister.InitialCount:
                return _timer.InitialCount;
            case ApicRegister.CurrentCount:
                return _timer.CurrentCount;
            case ApicRegister.DivideConfiguration:
                return _timer.DivideConfiguration;
            case ApicRegister.EndOfInterrupt:
            case ApicRegister.RemoteRead:
                return 0;
            default:
                ref uint entry = ref LocalVector(register, out _);
                if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry))
                    return entry;
                Raise(ApicErrors.IllegalRegister);
                return 0;
        }
    }

    private void Write(ApicRegister register, uint value)
    {
        switch (register)
        {
            case ApicRegister.TaskPriority:
                TaskPriority = (byte)value;
                break;
            case ApicRegister.EndOfInterrupt:
                End();
                break;
            case ApicRegister.LogicalDestination:
                _logicalDestination = value & 0xFF00_0000;
                break;
            case ApicRegister.DestinationFormat:
                _destinationFormat = value | 0x0FFF_FFFF;
                break;
            case ApicRegister.SpuriousVector:
                WriteSpuriousVector(value);
                break;
            case ApicRegister.ErrorStatus:
                _errorsShown = _errors;
                _errors = ApicErrors.None;
                break;
            case ApicRegister.InterruptCommandLow:
                _commandLow = value & CommandWritable;
                Send(_commandLow, X2Apic ? _commandHigh : _commandHigh >> 24);
                break;
            case ApicRegister.InterruptCommandHigh:
                _commandHigh = value & 0xFF00_0000;
                break;
            case ApicRegister.InitialCount:
                _timer.SetInitialCount(value);
                break;
            case ApicRegister.DivideConfiguration:
                _timer.SetDivide(value);
                break;
            default:
                WriteLocalVector(register, value);
                break;
        }
    }

    /// <summary>Switching the APIC off by software masks every entry of the local vector table.</summary>
    private void WriteSpuriousVector(uint value)
    {
        bool wasEnabled = IsSoftwareEnabled;
        _spuriousVector = value & SpuriousWritable;
        if (wasEnabled && !IsSoftwareEnabled)
        {
            _lvtTimer |= Masked;
            _lvtThermal |= Masked;
            _lvtPerformance |= Masked;
            _lvtLint0 |= Masked;
            _lvtLint1 |= Masked;
            _lvtError |= Masked;
        }
        Signal();
    }

    private ref uint LocalVector(ApicRegister register, out uint writable)
    {
        switch (register)
        {
            case ApicRegister.LvtTimer:
                writable = LvtTimerWritable;
                return ref _lvtTimer;
            case ApicRegister.LvtThermal:
                writable = LvtWritable;
                return ref _lvtThermal;
            case ApicRegister.LvtPerformance:
                writable = LvtWritable;
                return ref _lvtPerformance;
            case ApicRegister.LvtLint0:
                writable = LintWritable;
                return ref _lvtLint0;
            case ApicRegister.LvtLint1:
                writable = LintWritable;
                return ref _lvtLint1;
            case ApicRegister.LvtError:
                writable = LvtErrorWritable;
                return ref _lvtError;
            default:
                writable = 0;
                return ref System.Runtime.CompilerServices.Unsafe.NullRef<uint>();
        }
    }

    private void WriteLocalVector(ApicRegister register, uint value)
    {
        ref uint entry = ref LocalVector(register, out uint writable);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry))
        {
            if (!Exists(register))
                Raise(ApicErrors.IllegalRegister);
            return;
        }
        entry = value & writable | (IsSoftwareEnabled ? 0 : Masked);
        if (register == ApicRegister.LvtTimer)
            _timer.SetMode((ApicTimerMode)Math.Min(value >> TimerModeShift & 3, 2));
        else if (register == ApicRegister.LvtLint0 && AcceptsExtInt)
            LintUnmasked?.Invoke();
    }

    /// <summary>LINT0 may let the PIC's interrupt through now.</summary>
    internal event Action? LintUnmasked;
}
