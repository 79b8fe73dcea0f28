namespace X86Virt.Engine.Platform;

/// <summary>What hangs on a port of the 8042: takes command bytes and queues what it has to say.</summary>
internal abstract class Ps2Device
{
    protected const byte Acknowledge = 0xFA, Resend = 0xFE, SelfTestPassed = 0xAA;
    private const int QueueSize = 64;

    private readonly Queue<byte> _output = new(QueueSize);

    public bool HasOutput => _output.Count > 0;

    public byte Take() => _output.Dequeue();

    /// <summary>A byte from the host; <see cref="HasOutput"/> may change.</summary>
    public abstract void Write(byte value);

    /// <summary>Power-on: nothing queued, defaults.</summary>
    public virtual void Reset() => _output.Clear();

    protected void Clear() => _output.Clear();

    /// <summary>Queues bytes that belong together; they are dropped together where there is no room, as the device's own buffer does.</summary>
    protected bool Send(params ReadOnlySpan<byte> bytes)
    {
        if (_output.Count + bytes.Length > QueueSize)
            return false;
        foreach (byte b in bytes)
            _output.Enqueue(b);
        return true;
    }
}

/// <summary>An MF2 keyboard: scan code set 2 on the wire, which the controller translates to set 1.</summary>
internal sealed class Ps2Keyboard : Ps2Device
{
    private byte _command;
    private bool _scanning = true;

    public byte Leds { get; private set; }
    public byte ScanCodeSet { get; private set; } = 2;
    public byte TypematicRate { get; private set; } = 0x2B;

    public override void Reset()
    {
        base.Reset();
        SetDefaults();
        _scanning = true;
    }

    private void SetDefaults() => (_command, Leds, ScanCodeSet, TypematicRate) = (0, 0, 2, 0x2B);

    /// <summary>Key events as set 2 codes; ignored while scanning is off.</summary>
    public void Press(ReadOnlySpan<byte> scanCodes)
    {
        if (_scanning)
            Send(scanCodes);
    }

    public override void Write(byte value)
    {
        byte command = _command;
        _command = 0;
        switch (command)
        {
            case 0xED:
                Leds = (byte)(value & 7);
                Send(Acknowledge);
                return;
            case 0xF0:
                Send(Acknowledge);
                if (value == 0)
                    Send(ScanCodeSet);
                else if (value <= 3)
                    ScanCodeSet = value;
                return;
            case 0xF3:
                TypematicRate = value;
                Send(Acknowledge);
                return;
        }
        switch (value)
        {
            case 0xED or 0xF0 or 0xF3:
                _command = value;
                Send(Acknowledge);
                break;
            case 0xEE:
                Send(0xEE);
                break;
            case 0xF2:
                Send(Acknowledge, 0xAB, 0x83);
                break;
            case 0xF4:
                Clear();
                _scanning = true;
                Send(Acknowledge);
                break;
            case 0xF5 or 0xF6:
                Clear();
                SetDefaults();
                _scanning = value == 0xF6;
                Send(Acknowledge);
                break;
            case >= 0xF7 and <= 0xFA:
                Send(Acknowledge);
                break;
            case 0xFF:
                Reset();
                Send(Acknowledge, SelfTestPassed);
                break;
            default:
                Send(Resend);
                break;
        }
    }
}

/// <summary>A PS/2 mouse with three buttons.</summary>
internal sealed class Ps2Mouse : Ps2Device
{
    private byte _command;
    private bool _reporting, _remote, _wrap, _scaled;
    private byte _resolution = 2, _rate = 100, _buttons;

    public override void Reset()
    {
        base.Reset();
        SetDefaults();
        _buttons = 0;
    }

    private void SetDefaults() => (_command, _reporting, _remote, _wrap, _scaled, _resolution, _rate) = (0, false, false, false, false, 2, 100);

    /// <summary>Movement to the right and up, and the buttons held (1 left, 2 right, 4 middle).</summary>
    public void Move(int x, int y, byte buttons)
    {
        _buttons = (byte)(buttons & 7);
        if (_reporting && !_remote && !_wrap)
            SendPacket(Math.Clamp(x, -255, 255), Math.Clamp(y, -255, 255));
    }

    private void SendPacket(int x, int y)
        => Send((byte)(8 | _buttons | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)), (byte)x, (byte)y);

    public override void Write(byte value)
    {
        if (_wrap && value is not (0xEC or 0xFF))
        {
            Send(value);
            return;
        }
        byte command = _command;
        _command = 0;
        if (command != 0)
        {
            if (command == 0xE8)
                _resolution = (byte)(value & 3);
            else
                _rate = value;
            Send(Acknowledge);
            return;
        }
        if (value == 0xFF)
        {
            Reset();
            Send(Acknowledge, SelfTestPassed, 0);
            return;
        }
        if (!IsCommand(value))
        {
            Send(Resend);
            return;
        }
        Send(Acknowledge);
        switch (value)
        {
            case 0xE6 or 0xE7:
                _scaled = value == 0xE7;
                break;
            case 0xE8 or 0xF3:
                _command = value;
                break;
            case 0xE9:
                Send((byte)((_remote ? 0x40 : 0) | (_reporting ? 0x20 : 0) | (_scaled ? 0x10 : 0) | _buttons), _resolution, _rate);
                break;
            case 0xEA or 0xF0:
                _remote = value == 0xF0;
                break;
            case 0xEB:
                SendPacket(0, 0);
                break;
            case 0xEC or 0xEE:
                _wrap = value == 0xEE;
                break;
            case 0xF2:
                Send(0);
                break;
            case 0xF4 or 0xF5:
                _reporting = value == 0xF4;
                break;
            case 0xF6:
                SetDefaults();
                break;
        }
    }

    private static bool IsCommand(byte value) => value is >= 0xE6 and <= 0xEC or 0xEE or 0xF0 or >= 0xF2 and <= 0xF6;
}
