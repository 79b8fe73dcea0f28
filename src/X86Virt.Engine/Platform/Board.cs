using X86Virt.Engine.Boot;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Platform;

/// <summary>
/// A PC as QEMU's <c>pc</c> machine has it: composes the devices, and is the bus that the processor sits on. Make it, make the
/// processor on it, then <see cref="Attach"/> that. Everything here runs on the machine's thread, or on another while the guest
/// holds still; only <see cref="Wake"/> may be called at any time.
/// </summary>
public sealed unsafe class Board : IProcessorBus, IDisposable
{
    private readonly BoardOptions _options;
    private readonly List<Device> _devices = [];
    private readonly AutoResetEvent _activity = new(false);
    private Cpu _cpu = null!;
    private HostBridge _hostBridge = null!;
    private IsaBridge _isaBridge = null!;
    private PowerManagement _power = null!;
    private AcpiImage _acpi = null!;
    private int? _exitCode;
    private bool _powerOff, _reset;

    public Board(PhysicalMemory memory, BoardOptions options)
    {
        Memory = memory;
        _options = options;
        Map = new BoardMemory(memory);
        if (!options.Firmware.IsEmpty)
            Firmware = new FirmwareRom(memory, options.Firmware.Span);
    }

    public PhysicalMemory Memory { get; }
    public BoardMemory Map { get; }
    public PortBus Ports { get; } = new();

    /// <summary>The firmware in ROM; null where kernels are started directly, in the state in which firmware would leave the board.</summary>
    public FirmwareRom? Firmware { get; }
    public FirmwareConfiguration FirmwareConfiguration { get; private set; } = null!;
    public PciBus Pci { get; private set; } = null!;
    public GuestClock Clock { get; private set; } = null!;
    public EventQueue Events { get; private set; } = null!;
    public InterruptRouter Interrupts { get; private set; } = null!;
    public LocalApic Apic { get; private set; } = null!;
    public IoApic IoApic { get; private set; } = null!;
    public Pic Pic { get; private set; } = null!;
    public Pit Pit { get; private set; } = null!;
    public Rtc Rtc { get; private set; } = null!;
    public KeyboardController Keyboard { get; private set; } = null!;
    public DebugConsole DebugConsole { get; private set; } = null!;

    /// <summary>COM1 to COM4.</summary>
    public IReadOnlyList<Uart16550> Serial { get; private set; } = [];

    /// <summary>Every device, for inspection.</summary>
    public IReadOnlyList<Device> Devices => _devices;

    /// <summary>What firmware reports as memory.</summary>
    public IReadOnlyList<E820Entry> MemoryMap => Map.E820Map;

    /// <summary>What the guest writes to COM1.</summary>
    public event ByteSink? ConsoleOutput;

    /// <summary>Puts the processor on the board and the devices around it, all in their power-on state.</summary>
    public void Attach(Cpu cpu)
    {
        if (_cpu != null)
            throw new InvalidOperationException("The board has a processor already; make another board for another processor.");
        _cpu = cpu;
        Clock = new GuestClock(cpu, _options.RealTime ? ClockMode.RealTime : ClockMode.Virtual, _options.ClockRate);
        Events = new EventQueue(cpu, Clock);

        Apic = Add(new LocalApic(cpu, Clock, Events));
        IoApic = Add(new IoApic(Apic));
        Pic = Add(new Pic(OnPicOutput));
        Interrupts = new InterruptRouter(Pic, IoApic);
        Apic.LintUnmasked += SignalInterrupt;
        Apic.InitReceived += OnInit;
        Apic.SmiReceived += OnSmi;

        IrqLine timerLine = Interrupts.CreateLine(InterruptRouter.TimerIrq), rtcLine = Interrupts.CreateLine(Rtc.Irq);
        Pit = Add(new Pit(Clock, Events, timerLine));
        Rtc = Add(new Rtc(Clock, Events, rtcLine, _options.StartTime));
        Add(new Hpet(Clock, Events, Interrupts, timerLine, rtcLine));
        SystemControl control = Add(new SystemControl(Memory, RequestReset));
        Pci = Add(new PciBus(Ports, Memory, control));
        _hostBridge = Add(new HostBridge(Memory, Firmware));
        _isaBridge = Add(new IsaBridge(Pci, Interrupts));
        _power = Add(new PowerManagement(Clock, Events, Interrupts.CreateLine(PowerManagement.Sci), RequestPowerOff));
        Keyboard = Add(new KeyboardController(Interrupts.CreateLine(1), Interrupts.CreateLine(12), control));
        Serial = [AddSerial("COM1", 0x3F8, 4), AddSerial("COM2", 0x2F8, 3), AddSerial("COM3", 0x3E8, 4), AddSerial("COM4", 0x2E8, 3)];
        Serial[0].Output += bytes => ConsoleOutput?.Invoke(bytes);
        Add(new PostPort());
        DebugConsole = Add(new DebugConsole());
        Add(new DebugExit(Exit));
        FirmwareConfiguration = Add(new FirmwareConfiguration(Memory));
        _acpi = AcpiTables.Build(Map, _devices);
        FirmwareItems.Fill(FirmwareConfiguration, Map, _acpi, _options.FirmwareItems);
        Reset();
    }

    private Uart16550 AddSerial(string name, ushort port, int irq) => Add(new Uart16550(name, port, Clock, Events, Interrupts.CreateLine(irq)));

    /// <summary>Puts a device on the board: it answers at its ports and addresses, or at its place on the PCI bus, from now on.</summary>
    public T Add<T>(T device) where T : Device
    {
        if (device is PciFunction function)
            Pci.Attach(function);
        if (device is IPortDevice ports)
        {
            foreach (PortRange range in device.Ports)
                Ports.Claim(range, ports);
        }
        if (device is IMmioDevice mmio)
        {
            foreach (AddressRange range in device.Addresses)
                Memory.MapDevice(range.Start, range.Length, mmio);
        }
        _devices.Add(device);
        return device;
    }

    /// <summary>Every device to its power-on state, and no requests pending. The processor is reset by its owner.</summary>
    public void Reset()
    {
        (_exitCode, _powerOff, _reset) = (null, false, false);
        foreach (Device device in _devices)
            device.Reset();
        if (Firmware == null)
            DoAsFirmware();
    }

    /// <summary>What firmware does before it starts an operating system.</summary>
    private void DoAsFirmware()
    {
        _hostBridge.EnableShadow();
        PciSetup.Configure(Pci, _isaBridge, Pic);
        _power.EnableBlock();
        _acpi.Place(Memory, BoardMemory.AcpiTables);
        MpTable.Write(Memory, BoardMemory.MpTables, (_cpu.Model.Signature, _cpu.Model.Features.Word(FeatureRegister.Function1Edx)), Pci.Functions);
    }

    // Time

    /// <summary>The retired-instruction count at which <see cref="RunDueEvents"/> is to be called.</summary>
    public long NextEventAt => Events.NextRetired;

    public void RunDueEvents() => Events.RunDue();

    /// <summary>
    /// The processor is halted: under the virtual clock lets time pass to the next timer. False if there is none, or if time cannot be skipped:
    /// then <see cref="WaitForActivity"/>.
    /// </summary>
    public bool SkipIdle()
    {
        if (Clock.Mode == ClockMode.Virtual)
            return Events.SkipToNext();
        Events.RunDue();
        return InterruptPending || _cpu.State->NmiPending;
    }

    /// <summary>Sleeps on the host until there is input or <see cref="Wake"/>, and no longer than to the next timer of a real-time guest.</summary>
    public void WaitForActivity()
    {
        long limit = int.MaxValue;
        if (Clock.Mode == ClockMode.RealTime && Events.NextDeadline != long.MaxValue)
            limit = Math.Clamp((Events.NextDeadline - Clock.Now + 999_999) / 1_000_000, 0, int.MaxValue);
        _activity.WaitOne((int)limit);
    }

    /// <summary>Ends a <see cref="WaitForActivity"/>; callable from any thread.</summary>
    public void Wake() => _activity.Set();

    /// <summary>Types at COM1.</summary>
    public void SendConsoleInput(ReadOnlySpan<byte> bytes)
    {
        Serial[0].Send(bytes);
        Wake();
    }

    // What the guest asks of the machine

    private void Exit(int code)
    {
        _exitCode = code;
        Stop();
    }

    private void RequestReset()
    {
        _reset = true;
        Stop();
    }

    // Only SVM can have a processor hold INIT or SMI off, or leave a guest for it.
    private bool HoldsSignals => _cpu.Svm != null;

    private void OnInit()
    {
        if (HoldsSignals)
            _cpu.RaiseSignal(init: true);
        else
            RequestReset();
    }

    private void OnSmi()
    {
        if (HoldsSignals)
            _cpu.RaiseSignal(init: false);
    }

    private void RequestPowerOff()
    {
        _powerOff = true;
        Stop();
    }

    private void Stop() => _cpu.RequestAttention(Attention.Stop);

    /// <summary>The guest ended the machine through isa-debug-exit. True once a request.</summary>
    public bool TakeExit(out int code)
    {
        bool taken = _exitCode.HasValue;
        code = _exitCode ?? 0;
        _exitCode = null;
        return taken;
    }

    /// <summary>The guest switched the power off. True once a request.</summary>
    public bool TakePowerOff() => Take(ref _powerOff);

    /// <summary>The guest asked for a reset. True once a request.</summary>
    public bool TakeReset() => Take(ref _reset);

    private static bool Take(ref bool request)
    {
        bool taken = request;
        request = false;
        return taken;
    }

    // The processor's bus

    public uint ReadPort(ushort port, int size) => Ports.Read(port, size);

    public void WritePort(ushort port, int size, uint value) => Ports.Write(port, size, value);

    public bool InterruptPending => Apic.Pending || (Pic.Output && Apic.AcceptsExtInt);

    public byte AcknowledgeInterrupt()
    {
        int vector = Apic.Acknowledge();
        if (vector < 0)
            vector = Pic.Acknowledge();
        SignalInterrupt();
        return (byte)vector;
    }

    private void OnPicOutput(bool level)
    {
        if (!level)
            return;
        if (Apic.AcceptsExtInt)
            SignalInterrupt();
        else
            Apic.RaiseLint0();
    }

    private void SignalInterrupt()
    {
        if (InterruptPending)
            _cpu.RequestAttention(Attention.Interrupt);
    }

    public ulong TaskPriority
    {
        get => (ulong)Apic.TaskPriority >> 4;
        set => Apic.TaskPriority = (byte)(value << 4);
    }

    public bool TryReadMsr(uint index, out ulong value, out bool fault) => Apic.TryReadMsr(index, out value, out fault);

    public bool TryWriteMsr(uint index, ulong value, out bool fault) => Apic.TryWriteMsr(index, value, out fault);

    public ulong TimeStamp => (ulong)Clock.Ticks;

    public bool TimeStampCountsInstructions => Clock.Mode == ClockMode.Virtual;

    /// <summary>A triple fault resets the PC, and so does an INIT; what the machine makes of it is its owner's business.</summary>
    public void ProcessorShutdown() => RequestReset();

    public void Dispose() => _activity.Dispose();
}
