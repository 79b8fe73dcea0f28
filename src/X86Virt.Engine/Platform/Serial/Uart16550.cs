namespace X86Virt.Engine.Platform;

/// <summary>Takes bytes that a guest sent.</summary>
public delegate void ByteSink(ReadOnlySpan<byte> bytes);

/// <summary>
/// A 16550A serial port (National PC16550D data sheet). Transmission takes no time; what the host sends waits until the guest has
/// room for it, so that nothing is ever overrun.
/// </summary>
public sealed class Uart16550 : Device, IPortDevice
{
    private const int FifoSize = 16;
    private const int CrystalDivided = 115_200;

    private const int Data = 0, InterruptEnable = 1, InterruptIdentification = 2, LineControl = 3, ModemControl = 4, LineStatus = 5, ModemStatus = 6, Scratch = 7;

    private const byte EnableReceive = 1, EnableTransmit = 2, EnableLineStatus = 4, EnableModemStatus = 8;
    private const byte NoInterrupt = 1, ModemInterrupt = 0, TransmitInterrupt = 2, ReceiveInterrupt = 4, LineInterrupt = 6, TimeoutInterrupt = 12, FifosEnabled = 0xC0;
    private const byte DivisorAccess = 0x80;
    private const byte Dtr = 1, Rts = 2, Out1 = 4, Out2 = 8, Loopback = 16;
    private const byte DataReady = 1, OverrunError = 2, BreakInterrupt = 16, TransmitEmpty = 0x60;
    private const byte Cts = 0x10, Dsr = 0x20, Ri = 0x40, Dcd = 0x80, RingTrailingEdge = 4;

    private static ReadOnlySpan<byte> TriggerLevels => [1, 4, 8, 14];

    private readonly GuestClock _clock;
    private readonly IrqLine _irq;
    private readonly GuestTimer _timeout, _arrival;
    private readonly ushort _base;
    private readonly byte[] _fifo = new byte[FifoSize];
    private readonly Queue<byte> _waiting = new();

    private int _first, _count;
    private bool _fifoEnabled, _timedOut, _transmitPending;
    private byte _trigger = 1;
    private byte _enabled, _lineControl, _modemControl, _errors, _modemDeltas, _modemLines, _scratch;
    private ushort _divisor;

    public Uart16550(string name, ushort port, GuestClock clock, EventQueue events, IrqLine irq)
    {
        Name = name;
        _base = port;
        _clock = clock;
        _irq = irq;
        Ports = [new PortRange(port, 8)];
        _timeout = events.CreateTimer(name + " timeout", OnTimeout);
        _arrival = events.CreateTimer(name + " arrival", Accept);
    }

    public override string Name { get; }
    public override IReadOnlyList<PortRange> Ports { get; }
    public override IReadOnlyList<int> Irqs => [_irq.Irq];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("IER", _enabled),
        new("IIR", Identification),
        new("LCR", _lineControl),
        new("MCR", _modemControl),
        new("LSR", LineStatusNow),
        new("MSR", (uint)(_modemLines | _modemDeltas)),
        new("Divisor", _divisor),
        new("Received", (uint)_count),
        new("Waiting", (uint)_waiting.Count),
    ];

    /// <summary>What the guest sends, byte by byte as it is written. Runs on the machine's thread.</summary>
    public event ByteSink? Output;

    /// <summary>Bytes that the guest sent since power-on.</summary>
    public long BytesSent { get; private set; }

    /// <summary>Bytes from the host that the guest has had no room for yet.</summary>
    public int WaitingInput => _waiting.Count;

    public override void Reset()
    {
        (_enabled, _lineControl, _modemControl, _errors, _scratch, _divisor) = (0, 0, 0, 0, 0, 12);
        (_fifoEnabled, _timedOut, _transmitPending, _trigger) = (false, false, false, 1);
        _modemDeltas = 0;
        _modemLines = ModemLines;
        _waiting.Clear();
        ClearReceiver();
        _arrival.Cancel();
        UpdateInterrupt();
    }

    /// <summary>Bytes for the guest. Call while the guest holds still.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
            _waiting.Enqueue(b);
        if (!_arrival.IsSet)
            Accept();
    }

    /// <summary>A break condition from the far end.</summary>
    public void SendBreak()
    {
        Receive(0);
        _errors |= BreakInterrupt;
        UpdateInterrupt();
    }

    private int Capacity => _fifoEnabled ? FifoSize : 1;

    /// <summary>Nanoseconds that a character of the programmed format takes at the programmed rate.</summary>
    private long CharacterTime
    {
        get
        {
            int bits = 1 + 5 + (_lineControl & 3) + ((_lineControl & 8) != 0 ? 1 : 0) + ((_lineControl & 4) != 0 ? 2 : 1);
            return 1_000_000_000L * bits * Math.Max((int)_divisor, 1) / CrystalDivided;
        }
    }

    private bool InLoopback => (_modemControl & Loopback) != 0;

    /// <summary>Moves waiting bytes into the receiver as far as there is room.</summary>
    private void Accept()
    {
        if (InLoopback)
            return;
        while (_count < Capacity && _waiting.TryDequeue(out byte b))
            Receive(b);
        UpdateInterrupt();
    }

    private void Receive(byte value)
    {
        if (_count == Capacity)
        {
            // Only looped-back bytes and breaks come unasked. Without FIFOs the newer byte replaces the older.
            _errors |= OverrunError;
            if (!_fifoEnabled)
                _fifo[_first] = value;
            return;
        }
        _fifo[(_first + _count++) % FifoSize] = value;
        RestartTimeout();
    }

    /// <summary>Four character times without a byte in or out raise the time-out interrupt, if bytes are left below the trigger level.</summary>
    private void RestartTimeout()
    {
        _timedOut = false;
        if (_fifoEnabled && _count > 0)
            _timeout.Set(_clock.Now + 4 * CharacterTime);
        else
            _timeout.Cancel();
    }

    private void OnTimeout()
    {
        _timedOut = _count > 0;
        UpdateInterrupt();
    }

    private void ClearReceiver()
    {
        _first = _count = 0;
        _timedOut = false;
        _timeout.Cancel();
    }

    public uint ReadPort(ushort port, int size)
    {
        switch (port - _base)
        {
            case Data when (_lineControl & DivisorAccess) != 0:
                return (byte)_divisor;
            case Data:
                return ReadData();
            case InterruptEnable:
                return (_lineControl & DivisorAccess) != 0 ? (byte)(_divisor >> 8) : _enabled;
            case InterruptIdentification:
                byte identification = Identification;
                if ((identification & 0x0F) == TransmitInterrupt)
                {
                    _transmitPending = false;
                    UpdateInterrupt();
                }
                return identification;
            case LineControl:
                return _lineControl;
            case ModemControl:
                return _modemControl;
            case LineStatus:
                byte status = LineStatusNow;
                _errors = 0;
                UpdateInterrupt();
                return status;
            case ModemStatus:
                byte modem = (byte)(_modemLines | _modemDeltas);
                _modemDeltas = 0;
                UpdateInterrupt();
                return modem;
            default:
                return _scratch;
        }
    }

    private byte ReadData()
    {
        byte value = _fifo[_first];
        if (_count == 0)
            return value;
        _first = (_first + 1) % FifoSize;
        _count--;
        RestartTimeout();
        if (_count == 0 && _waiting.Count > 0 && !InLoopback)
            _arrival.Set(_clock.Now + CharacterTime);
        UpdateInterrupt();
        return value;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        byte b = (byte)value;
        switch (port - _base)
        {
            case Data when (_lineControl & DivisorAccess) != 0:
                _divisor = (ushort)(_divisor & 0xFF00 | b);
                break;
            case Data:
                Transmit(b);
                break;
            case InterruptEnable when (_lineControl & DivisorAccess) != 0:
                _divisor = (ushort)(_divisor & 0xFF | b << 8);
                break;
            case InterruptEnable:
                // The transmitter is always empty: enabling its interrupt raises it.
                if ((b & ~_enabled & EnableTransmit) != 0)
                    _transmitPending = true;
                _enabled = (byte)(b & 0x0F);
                UpdateInterrupt();
                break;
            case InterruptIdentification:
                WriteFifoControl(b);
                break;
            case LineControl:
                _lineControl = b;
                break;
            case ModemControl:
                WriteModemControl(b);
                break;
            case Scratch:
                _scratch = b;
                break;
        }
    }

    private void Transmit(byte value)
    {
        // The byte is gone at once, but its interrupt is a new one: the line falls and rises again.
        _transmitPending = false;
        UpdateInterrupt();
        if (InLoopback)
        {
            Receive(value);
        }
        else
        {
            BytesSent++;
            Output?.Invoke(new ReadOnlySpan<byte>(in value));
        }
        _transmitPending = true;
        UpdateInterrupt();
    }

    private void WriteFifoControl(byte value)
    {
        bool enable = (value & 1) != 0;
        if (enable != _fifoEnabled || (enable && (value & 2) != 0))
            ClearReceiver();
        if (enable != _fifoEnabled || (enable && (value & 4) != 0))
            _transmitPending = true;
        _fifoEnabled = enable;
        _trigger = enable ? TriggerLevels[value >> 6] : (byte)1;
        UpdateInterrupt();
        if (_waiting.Count > 0 && _count == 0)
            _arrival.Set(_clock.Now + CharacterTime);
    }

    /// <summary>What the modem status inputs show: a ready peer, or in loopback the modem control outputs.</summary>
    private byte ModemLines
    {
        get
        {
            if (!InLoopback)
                return Cts | Dsr | Dcd;
            byte c = _modemControl;
            return (byte)(((c & Rts) != 0 ? Cts : 0) | ((c & Dtr) != 0 ? Dsr : 0) | ((c & Out1) != 0 ? Ri : 0) | ((c & Out2) != 0 ? Dcd : 0));
        }
    }

    private void WriteModemControl(byte value)
    {
        _modemControl = (byte)(value & 0x1F);
        byte lines = ModemLines;
        int changed = lines ^ _modemLines;
        _modemDeltas |= (byte)((changed & (Cts | Dsr | Dcd)) >> 4);
        if ((changed & ~lines & Ri) != 0)
            _modemDeltas |= RingTrailingEdge;
        _modemLines = lines;
        UpdateInterrupt();
        if (!InLoopback && _waiting.Count > 0 && !_arrival.IsSet)
            _arrival.Set(_clock.Now + CharacterTime);
    }

    private byte LineStatusNow => (byte)(TransmitEmpty | _errors | (_count > 0 ? DataReady : 0));

    /// <summary>The interrupt of highest priority, as register IIR shows it.</summary>
    private byte Identification
    {
        get
        {
            byte id = NoInterrupt;
            if ((_enabled & EnableLineStatus) != 0 && _errors != 0)
                id = LineInterrupt;
            else if ((_enabled & EnableReceive) != 0 && _count >= _trigger)
                id = ReceiveInterrupt;
            else if ((_enabled & EnableReceive) != 0 && _timedOut)
                id = TimeoutInterrupt;
            else if ((_enabled & EnableTransmit) != 0 && _transmitPending)
                id = TransmitInterrupt;
            else if ((_enabled & EnableModemStatus) != 0 && _modemDeltas != 0)
                id = ModemInterrupt;
            return (byte)(id | (_fifoEnabled ? FifosEnabled : 0));
        }
    }

    /// <summary>OUT2 does not gate the line, as it does on the PC's adapters: QEMU's guests need not set it.</summary>
    private void UpdateInterrupt() => _irq.Level = (Identification & NoInterrupt) == 0;
}
