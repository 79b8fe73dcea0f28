namespace X86Virt.Engine.Platform;

/// <summary>
/// The 8042 keyboard controller (ports 0x60, 0x64) with a keyboard on IRQ 1 and a mouse on IRQ 12; its output port holds the A20
/// gate and the processor's reset line.
/// </summary>
public sealed class KeyboardController(IrqLine keyboardIrq, IrqLine mouseIrq, SystemControl control) : Device, IPortDevice
{
    private const ushort DataPort = 0x60, CommandPort = 0x64;

    private const byte OutputFull = 0x01, SystemFlag = 0x04, LastWasCommand = 0x08, NotLocked = 0x10, MouseData = 0x20;
    private const byte KeyboardInterrupt = 0x01, MouseInterrupt = 0x02, SystemFlagCopy = 0x04, KeyboardDisabled = 0x10, MouseDisabled = 0x20, Translate = 0x40;
    private const byte OutputReset = 0x01, OutputA20 = 0x02, OutputFixed = 0xCC;

    /// <summary>Scan code set 2 to set 1, as the controller's ROM has it for codes below 0x80.</summary>
    private static ReadOnlySpan<byte> SetTwoToOne =>
    [
        0xFF, 0x43, 0x41, 0x3F, 0x3D, 0x3B, 0x3C, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3E, 0x0F, 0x29, 0x59,
        0x65, 0x38, 0x2A, 0x70, 0x1D, 0x10, 0x02, 0x5A, 0x66, 0x71, 0x2C, 0x1F, 0x1E, 0x11, 0x03, 0x5B,
        0x67, 0x2E, 0x2D, 0x20, 0x12, 0x05, 0x04, 0x5C, 0x68, 0x39, 0x2F, 0x21, 0x14, 0x13, 0x06, 0x5D,
        0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5E, 0x6A, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5F,
        0x6B, 0x33, 0x25, 0x17, 0x18, 0x0B, 0x0A, 0x60, 0x6C, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0C, 0x61,
        0x6D, 0x73, 0x28, 0x74, 0x1A, 0x0D, 0x62, 0x6E, 0x3A, 0x36, 0x1C, 0x1B, 0x75, 0x2B, 0x63, 0x76,
        0x55, 0x56, 0x77, 0x78, 0x79, 0x7A, 0x0E, 0x7B, 0x7C, 0x4F, 0x7D, 0x4B, 0x47, 0x7E, 0x7F, 0x6F,
        0x52, 0x53, 0x50, 0x4C, 0x4D, 0x48, 0x01, 0x45, 0x57, 0x4E, 0x51, 0x4A, 0x37, 0x49, 0x46, 0x54,
    ];

    private readonly Ps2Keyboard _keyboard = new();
    private readonly Ps2Mouse _mouse = new();
    private readonly byte[] _ram = new byte[32];
    private byte _command, _lastData;
    private bool _outputFull, _fromMouse, _breakPrefix, _lastWasCommand, _selfTested;

    // What the controller itself has to say goes before the devices' bytes.
    private readonly Queue<(byte Value, bool FromMouse)> _own = new();

    public override string Name => "Keyboard controller";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(DataPort, 1), new(CommandPort, 1)];
    public override IReadOnlyList<int> Irqs => [keyboardIrq.Irq, mouseIrq.Irq];

    public override IReadOnlyList<DeviceRegister> Registers =>
    [
        new("Status", Status),
        new("Command", Configuration),
        new("OutputPort", OutputPort),
        new("Leds", _keyboard.Leds),
    ];

    public override void Reset()
    {
        _keyboard.Reset();
        _mouse.Reset();
        _own.Clear();
        Array.Clear(_ram);
        Configuration = KeyboardInterrupt | MouseInterrupt | SystemFlagCopy | Translate;
        (_command, _lastData, _outputFull, _fromMouse, _breakPrefix, _lastWasCommand, _selfTested) = (0, 0, false, false, false, false, true);
        Update();
    }

    /// <summary>Presses and releases keys: scan codes of set 2. Call while the guest holds still.</summary>
    public void PressKeys(ReadOnlySpan<byte> scanCodes)
    {
        _keyboard.Press(scanCodes);
        Update();
    }

    /// <summary>Moves the mouse. Call while the guest holds still.</summary>
    public void MoveMouse(int right, int up, byte buttons)
    {
        _mouse.Move(right, up, buttons);
        Update();
    }

    /// <summary>The controller's command byte, in its RAM.</summary>
    private byte Configuration
    {
        get => _ram[0];
        set => _ram[0] = value;
    }

    private byte Status => (byte)((_outputFull ? OutputFull : 0) | (_selfTested ? SystemFlag : 0) | (_lastWasCommand ? LastWasCommand : 0)
        | NotLocked | (_outputFull && _fromMouse ? MouseData : 0));

    private byte OutputPort => (byte)(OutputFixed | OutputReset | (control.A20 ? OutputA20 : 0)
        | (_outputFull && !_fromMouse ? 0x10 : 0) | (_outputFull && _fromMouse ? 0x20 : 0));

    /// <summary>Fills the output buffer from whoever has a byte, and drives both interrupts.</summary>
    private void Update()
    {
        if (!_outputFull)
            FillOutput();
        bool keyboard = _outputFull && !_fromMouse, mouse = _outputFull && _fromMouse;
        keyboardIrq.Level = keyboard && (Configuration & KeyboardInterrupt) != 0;
        mouseIrq.Level = mouse && (Configuration & MouseInterrupt) != 0;
    }

    private void FillOutput()
    {
        if (_own.TryDequeue(out (byte Value, bool FromMouse) own))
        {
            (_lastData, _fromMouse, _outputFull) = (own.Value, own.FromMouse, true);
            return;
        }
        while ((Configuration & KeyboardDisabled) == 0 && _keyboard.HasOutput)
        {
            byte value = _keyboard.Take();
            if ((Configuration & Translate) != 0 && !TranslateScanCode(ref value))
                continue;
            (_lastData, _fromMouse, _outputFull) = (value, false, true);
            return;
        }
        if ((Configuration & MouseDisabled) == 0 && _mouse.HasOutput)
            (_lastData, _fromMouse, _outputFull) = (_mouse.Take(), true, true);
    }

    /// <summary>Set 2 to set 1; false for the release prefix, which becomes bit 7 of the code behind it.</summary>
    private bool TranslateScanCode(ref byte value)
    {
        if (value == 0xF0)
        {
            _breakPrefix = true;
            return false;
        }
        if (value < 0x80)
            value = SetTwoToOne[value];
        else if (value is 0x83 or 0x84)
            value = (byte)(value == 0x83 ? 0x41 : 0x54);
        else
            return true;
        if (_breakPrefix)
            value |= 0x80;
        _breakPrefix = false;
        return true;
    }

    public uint ReadPort(ushort port, int size)
    {
        if (port == CommandPort)
            return Status;
        _outputFull = false;
        byte value = _lastData;
        // The line falls before the next byte raises it, so that each byte is an edge.
        keyboardIrq.Level = mouseIrq.Level = false;
        Update();
        return value;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (port == CommandPort)
        {
            _lastWasCommand = true;
            RunCommand((byte)value);
        }
        else
        {
            _lastWasCommand = false;
            WriteData((byte)value);
        }
        Update();
    }

    private void Say(byte value, bool fromMouse = false)
    {
        // An answer takes the buffer's place in line, but never a byte that the guest may be reading.
        if (_own.Count < 16)
            _own.Enqueue((value, fromMouse));
    }

    private void RunCommand(byte command)
    {
        _command = 0;
        switch (command)
        {
            case >= 0x20 and < 0x40:
                Say(_ram[command & 0x1F]);
                break;
            case >= 0x60 and < 0x80:
            case 0xD1 or 0xD2 or 0xD3 or 0xD4:
                _command = command;
                break;
            case 0xA7:
                Configuration |= MouseDisabled;
                break;
            case 0xA8:
                Configuration &= unchecked((byte)~MouseDisabled);
                break;
            case 0xA9 or 0xAB:
                Say(0);
                break;
            case 0xAA:
                _selfTested = true;
                Configuration |= SystemFlagCopy;
                Say(0x55);
                break;
            case 0xAD:
                Configuration |= KeyboardDisabled;
                break;
            case 0xAE:
                Configuration &= unchecked((byte)~KeyboardDisabled);
                break;
            case 0xC0:
                Say(0x80);
                break;
            case 0xD0:
                Say(OutputPort);
                break;
            case 0xDD or 0xDF:
                control.A20 = command == 0xDF;
                break;
            case >= 0xF0:
                // Pulses the output bits that are 0 in the low nibble; bit 0 is the reset line.
                if ((command & OutputReset) == 0)
                    control.RequestReset();
                break;
        }
    }

    private void WriteData(byte value)
    {
        byte command = _command;
        _command = 0;
        switch (command)
        {
            case >= 0x60 and < 0x80:
                _ram[command & 0x1F] = value;
                break;
            case 0xD1:
                control.A20 = (value & OutputA20) != 0;
                if ((value & OutputReset) == 0)
                    control.RequestReset();
                break;
            case 0xD2:
                Say(value);
                break;
            case 0xD3:
                Say(value, fromMouse: true);
                break;
            case 0xD4:
                Configuration &= unchecked((byte)~MouseDisabled);
                _mouse.Write(value);
                break;
            default:
                Configuration &= unchecked((byte)~KeyboardDisabled);
                _keyboard.Write(value);
                break;
        }
    }
}
