namespace X86Virt.Engine.Platform;

/// <summary>
/// Local APIC registers by number: times 16 the offset in the xAPIC's page, plus 0x800 the MSR of the x2APIC
/// (AMD volume 2, tables 16-2 and 16-6).
/// </summary>
internal enum ApicRegister : uint
{
    Id = 0x02,
    Version = 0x03,
    TaskPriority = 0x08,
    ArbitrationPriority = 0x09,
    ProcessorPriority = 0x0A,
    EndOfInterrupt = 0x0B,
    RemoteRead = 0x0C,
    LogicalDestination = 0x0D,
    DestinationFormat = 0x0E,
    SpuriousVector = 0x0F,
    InService = 0x10,
    TriggerMode = 0x18,
    InterruptRequest = 0x20,
    ErrorStatus = 0x28,
    InterruptCommandLow = 0x30,
    InterruptCommandHigh = 0x31,
    LvtTimer = 0x32,
    LvtThermal = 0x33,
    LvtPerformance = 0x34,
    LvtLint0 = 0x35,
    LvtLint1 = 0x36,
    LvtError = 0x37,
    InitialCount = 0x38,
    CurrentCount = 0x39,
    DivideConfiguration = 0x3E,
    SelfIpi = 0x3F,
}

/// <summary>Bits of the error status register.</summary>
[Flags]
internal enum ApicErrors : byte
{
    None = 0,
    SendIllegalVector = 1 << 5,
    ReceiveIllegalVector = 1 << 6,
    IllegalRegister = 1 << 7,
}
