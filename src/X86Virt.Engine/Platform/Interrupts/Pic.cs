namespace X86Virt.Engine.Platform;

/// <summary>One 8259A interrupt controller (Intel 8259A data sheet), in 8086 mode.</summary>
internal sealed class Pic8259(bool isMaster)
{
    private const int CascadeInput = 2;
    private const int Inputs = 8;

    /// <summary>Where the sequence of initialisation words is.</summary>
    private enum Expect : byte
    {
        Operation,
        Icw2,
        Icw3,
        Icw4,
    }

    private byte _lines;
    private int _lowestPlusOne;
    private Expect _expect;
    private bool _needsIcw4, _single, _levelTriggered;
    private bool _autoEoi, _rotateOnAutoEoi, _specialMask, _fullyNestedSpecial;
    private bool _poll, _readInService;

    public byte Request { get; private set; }
    public byte InService { get; private set; }
    public byte Mask { get; private set; }
    public byte VectorBase { get; private set; }
    public byte Icw3 { get; private set; }

    /// <summary>Inputs that are level-triggered (the chipset's ELCR).</summary>
    public byte EdgeLevel { get; set; }

    private byte LevelInputs => _levelTriggered ? (byte)0xFF : EdgeLevel;

    /// <summary>Power-on: all clear. The ELCR is the chipset's and is cleared by it.</summary>
    public void Reset()
    {
        ClearForInitialisation();
        VectorBase = 0;
        Icw3 = 0;
        EdgeLevel = 0;
        _lines = 0;
        _levelTriggered = _single = _needsIcw4 = false;
        _expect = Expect.Operation;
    }

    private void ClearForInitialisation()
    {
        Request = (byte)(_lines & LevelInputs);
        InService = Mask = 0;
        _lowestPlusOne = 0;
        _autoEoi = _rotateOnAutoEoi = _specialMask = _fullyNestedSpecial = _poll = _readInService = false;
    }

    public void SetInput(int input, bool level)
    {
        byte bit = (byte)(1 << input);
        if ((LevelInputs & bit) != 0)
            Request = (byte)(level ? Request | bit : Request & ~bit);
        else if (level && (_lines & bit) == 0)
            Request |= bit;
        _lines = (byte)(level ? _lines | bit : _lines & ~bit);
    }

    /// <summary>The input to serve next, -1 if none goes through the mask and the priorities: INT is asserted while there is one.</summary>
    public int Pending()
    {
        int candidates = Request & ~Mask;
        if (candidates == 0)
            return -1;
        int busy = InService;
        if (_specialMask)
            busy &= ~Mask;
        // The slave may interrupt its own lower levels through a cascade input that is in service already.
        if (_fullyNestedSpecial && isMaster)
            busy &= ~(1 << CascadeInput);
        int priority = HighestPriority(candidates);
        return priority < HighestPriority(busy) ? InputOf(priority) : -1;
    }

    /// <summary>Rank (0 is served first) of the most urgent input in a set; 8 if it is empty.</summary>
    private int HighestPriority(int set)
    {
        for (int priority = 0; priority < Inputs; priority++)
        {
            if ((set & (1 << InputOf(priority))) != 0)
                return priority;
        }
        return Inputs;
    }

    private int InputOf(int priority) => (priority + _lowestPlusOne) & 7;

    /// <summary>The processor took the interrupt of an input.</summary>
    public void Acknowledge(int input)
    {
        byte bit = (byte)(1 << input);
        if ((LevelInputs & bit) == 0)
            Request &= (byte)~bit;
        if (!_autoEoi)
            InService |= bit;
        else if (_rotateOnAutoEoi)
            _lowestPlusOne = (input + 1) & 7;
    }

    public byte ReadCommand()
    {
        if (_poll)
            return Poll();
        return _readInService ? InService : Request;
    }

    public byte ReadData() => _poll ? Poll() : Mask;

    private byte Poll()
    {
        _poll = false;
        int input = Pending();
        if (input < 0)
            return 0;
        Acknowledge(input);
        return (byte)(0x80 | input);
    }

    public void WriteCommand(byte value)
    {
        if ((value & 0x10) != 0)
            BeginInitialisation(value);
        else if ((value & 0x08) != 0)
            WriteOcw3(value);
        else
            WriteOcw2(value);
    }

    private void BeginInitialisation(byte icw1)
    {
        _levelTriggered = (icw1 & 0x08) != 0;
        _single = (icw1 & 0x02) != 0;
        _needsIcw4 = (icw1 & 0x01) != 0;
        ClearForInitialisation();
        _expect = Expect.Icw2;
    }

    private void WriteOcw3(byte value)
    {
        if ((value & 0x04) != 0)
            _poll = true;
        if ((value & 0x02) != 0)
            _readInService = (value & 0x01) != 0;
        if ((value & 0x40) != 0)
            _specialMask = (value & 0x20) != 0;
    }

    private void WriteOcw2(byte value)
    {
        bool rotate = (value & 0x80) != 0, specific = (value & 0x40) != 0, end = (value & 0x20) != 0;
        int level = value & 7;
        if (!end)
        {
            if (!specific)
                _rotateOnAutoEoi = rotate;
            else if (rotate)
                _lowestPlusOne = (level + 1) & 7;
            return;
        }
        if (!specific)
        {
            int priority = HighestPriority(_specialMask ? InService & ~Mask : InService);
            if (priority == Inputs)
                return;
            level = InputOf(priority);
        }
        InService &= (byte)~(1 << level);
        if (rotate)
            _lowestPlusOne = (level + 1) & 7;
    }

    public void WriteData(byte value)
    {
        switch (_expect)
        {
            case Expect.Operation:
                Mask = value;
                break;
            case Expect.Icw2:
                VectorBase = (byte)(value & 0xF8);
                _expect = !_single ? Expect.Icw3 : _needsIcw4 ? Expect.Icw4 : Expect.Operation;
                break;
            case Expect.Icw3:
                Icw3 = value;
                _expect = _needsIcw4 ? Expect.Icw4 : Expect.Operation;
                break;
            case Expect.Icw4:
                _autoEoi = (value & 0x02) != 0;
                _fullyNestedSpecial = (value & 0x10) != 0;
                _expect = Expect.Operation;
                break;
        }
    }
}

/// <summary>
/// The PC's two interrupt controllers in cascade (ports 0x20, 0xA0), with the chipset's edge/level control registers
/// (ports 0x4D0, 0x4D1).
/// </summary>
/// <param name="outputChanged">Told the level of INT when it changes.</param>
public sealed class Pic(Action<bool> outputChanged) : Device, IPortDevice
{
    public const int InputCount = 16;

    private const ushort MasterCommand = 0x20, MasterData = 0x21, SlaveCommand = 0xA0, SlaveData = 0xA1, MasterElcr = 0x4D0, SlaveElcr = 0x4D1;
    private const int CascadeInput = 2, SpuriousInput = 7;

    /// <summary>Inputs that are edge-triggered whatever the ELCR says: timer, keyboard, cascade; RTC and coprocessor.</summary>
    private const byte MasterEdgeOnly = 0x07, SlaveEdgeOnly = 0x21;

    private readonly Pic8259 _master = new(true), _slave = new(false);
    private bool _output;

    public override string Name => "PIC";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(MasterCommand, 2), new(SlaveCommand, 2), new(MasterElcr, 2)];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("IRR", (uint)(_master.Request | _slave.Request << 8)),
        new("ISR", (uint)(_master.InService | _slave.InService << 8)),
        new("IMR", (uint)(_master.Mask | _slave.Mask << 8)),
        new("ELCR", EdgeLevel),
        new("MasterBase", _master.VectorBase),
        new("SlaveBase", _slave.VectorBase),
    ];

    /// <summary>INT: an interrupt waits for the processor's acknowledge cycle.</summary>
    public bool Output => _output;

    /// <summary>Both edge/level control registers: a bit for each input that is level-triggered.</summary>
    public ushort EdgeLevel
    {
        get => (ushort)(_master.EdgeLevel | _slave.EdgeLevel << 8);
        set
        {
            _master.EdgeLevel = (byte)(value & ~MasterEdgeOnly);
            _slave.EdgeLevel = (byte)(value >> 8 & ~SlaveEdgeOnly);
            Update();
        }
    }

    /// <summary>Interrupts that were acknowledged when their request had gone.</summary>
    public long Spurious { get; private set; }

    public override void Reset()
    {
        _master.Reset();
        _slave.Reset();
        Update();
    }

    public void SetInput(int irq, bool level)
    {
        if (irq < 8)
            _master.SetInput(irq, level);
        else
            _slave.SetInput(irq - 8, level);
        Update();
    }

    /// <summary>The two INTA cycles: returns the vector, that of input 7 if the request has gone meanwhile.</summary>
    public byte Acknowledge()
    {
        int input = _master.Pending();
        int vector;
        if (input < 0)
        {
            vector = _master.VectorBase + SpuriousInput;
            Spurious++;
        }
        else if (input == CascadeInput)
        {
            int slaveInput = _slave.Pending();
            if (slaveInput >= 0)
            {
                _slave.Acknowledge(slaveInput);
                DropCascade();
            }
            else
            {
                slaveInput = SpuriousInput;
                Spurious++;
            }
            vector = _slave.VectorBase + slaveInput;
            _master.Acknowledge(input);
        }
        else
        {
            vector = _master.VectorBase + input;
            _master.Acknowledge(input);
        }
        Update();
        return (byte)vector;
    }

    public uint ReadPort(ushort port, int size)
    {
        byte value = port switch
        {
            MasterCommand => _master.ReadCommand(),
            MasterData => _master.ReadData(),
            SlaveCommand => _slave.ReadCommand(),
            SlaveData => _slave.ReadData(),
            MasterElcr => _master.EdgeLevel,
            _ => _slave.EdgeLevel,
        };
        // A poll acknowledges.
        if (port is SlaveCommand or SlaveData)
            DropCascade();
        Update();
        return value;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        switch (port)
        {
            case MasterCommand:
                _master.WriteCommand((byte)value);
                break;
            case MasterData:
                _master.WriteData((byte)value);
                break;
            case SlaveCommand:
                _slave.WriteCommand((byte)value);
                break;
            case SlaveData:
                _slave.WriteData((byte)value);
                break;
            case MasterElcr:
                EdgeLevel = (ushort)(EdgeLevel & 0xFF00 | (byte)value);
                break;
            default:
                EdgeLevel = (ushort)(EdgeLevel & 0xFF | (byte)value << 8);
                break;
        }
        Update();
    }

    /// <summary>The slave takes its INT back as it is acknowledged, so that its next request is an edge again.</summary>
    private void DropCascade() => _master.SetInput(CascadeInput, false);

    private void Update()
    {
        _master.SetInput(CascadeInput, _slave.Pending() >= 0);
        bool output = _master.Pending() >= 0;
        if (output == _output)
            return;
        _output = output;
        outputChanged(output);
    }
}
