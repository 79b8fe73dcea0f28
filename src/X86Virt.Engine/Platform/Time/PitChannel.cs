namespace X86Virt.Engine.Platform;

/// <summary>
/// One counter of the 8254 (Intel 8254 data sheet). Nothing ticks: the count and OUT follow from the tick at which counting began.
/// </summary>
internal sealed class PitChannel
{
    private enum ByteOrder : byte
    {
        Latch,
        Low,
        High,
        LowThenHigh,
    }

    private ByteOrder _access = ByteOrder.LowThenHigh;
    private bool _bcd;
    private bool _highNext, _readHighNext;
    private byte _lowByte;
    private int _countLatched = -1, _statusLatched = -1;

    // Counting began with _initial at tick _start; _start is long.MaxValue before that (no count yet, or no trigger).
    private long _start = long.MaxValue;
    private int _initial;

    // A count for modes 2 and 3 to take up at the end of the period, 0 if there is none.
    private int _pending;

    // Ticks counted when the gate went low (modes 0, 2, 3, 4), -1 while it counts.
    private long _held = -1;
    private bool _gate = true;

    public int Mode { get; private set; }

    public bool Gate => _gate;

    /// <summary>The count in force; 0 if none was written.</summary>
    public int InitialCount => _initial;

    private int Modulus => _bcd ? 10000 : 0x10000;

    public void Reset()
    {
        (_access, _bcd, _highNext, _readHighNext, _countLatched, _statusLatched) = (ByteOrder.LowThenHigh, false, false, false, -1, -1);
        (_start, _initial, _pending, _held, _gate, Mode) = (long.MaxValue, 0, 0, -1, true, 3);
    }

    private bool Counting => _initial != 0 && _start != long.MaxValue;

    private bool Periodic => Mode is 2 or 3;

    /// <summary>Ticks since counting began.</summary>
    private long Elapsed(long now) => _held >= 0 ? _held : now - _start;

    /// <summary>Takes up a waiting count if its period has begun.</summary>
    private void Settle(long now)
    {
        if (_pending == 0 || !Periodic || _held >= 0 || now - _start < _initial)
            return;
        _start += _initial;
        (_initial, _pending) = (_pending, 0);
    }

    public bool Output(long now)
    {
        Settle(now);
        if (!Counting)
            return Mode != 0;
        long elapsed = Elapsed(now);
        switch (Mode)
        {
            case 0:
            case 1:
                return elapsed >= _initial;
            case 2:
                return _held >= 0 || elapsed % _initial != _initial - 1;
            case 3:
                return _held >= 0 || elapsed % _initial < (_initial + 1) / 2;
            default:
                return elapsed != _initial;
        }
    }

    /// <summary>The next tick at which OUT changes by itself; <see cref="long.MaxValue"/> if it will not.</summary>
    public long NextChange(long now)
    {
        Settle(now);
        if (!Counting || _held >= 0)
            return long.MaxValue;
        long elapsed = Elapsed(now);
        switch (Mode)
        {
            case 0:
            case 1:
                return elapsed < _initial ? _start + _initial : long.MaxValue;
            case 2:
            case 3:
                // A count of 1 is not allowed; OUT stays as it is.
                if (_initial == 1)
                    return long.MaxValue;
                long period = _start + elapsed / _initial * _initial;
                int low = Mode == 2 ? _initial - 1 : (_initial + 1) / 2;
                return elapsed % _initial < low ? period + low : period + _initial;
            default:
                return elapsed < _initial ? _start + _initial : elapsed == _initial ? _start + _initial + 1 : long.MaxValue;
        }
    }

    private int Count(long now)
    {
        Settle(now);
        if (!Counting)
            return _initial % Modulus;
        long elapsed = Elapsed(now);
        long left = Mode switch
        {
            2 => _initial - elapsed % _initial,
            // Counts down by two in each half of the period.
            3 => _initial - elapsed % _initial * 2 % _initial,
            _ => _initial - elapsed,
        };
        if (Mode == 3)
            left &= ~1L;
        left %= Modulus;
        return (int)(left < 0 ? left + Modulus : left);
    }

    public void SetGate(bool level, long now)
    {
        if (level == _gate)
            return;
        Settle(now);
        _gate = level;
        if (Mode is 1 or 5)
        {
            if (level && _initial != 0)
            {
                if (_pending != 0)
                    (_initial, _pending) = (_pending, 0);
                _start = now;
            }
        }
        else if (!level)
        {
            if (Counting)
                _held = now - _start;
        }
        else if (_held >= 0)
        {
            if (Periodic && _pending != 0)
                (_initial, _pending) = (_pending, 0);
            _start = Periodic ? now : now - _held;
            _held = -1;
        }
    }

    /// <summary>A control word for this counter; bits 5-4 of 0 latch the count.</summary>
    public void WriteControl(byte value, long now)
    {
        var access = (ByteOrder)((value >> 4) & 3);
        if (access == ByteOrder.Latch)
        {
            LatchCount(now);
            return;
        }
        _access = access;
        Mode = (value >> 1) & 7;
        if (Mode > 5)
            Mode -= 4;
        _bcd = (value & 1) != 0;
        (_highNext, _readHighNext, _countLatched, _statusLatched) = (false, false, -1, -1);
        (_start, _initial, _pending, _held) = (long.MaxValue, 0, 0, -1);
    }

    public void LatchCount(long now)
    {
        if (_countLatched < 0)
            _countLatched = ToRegister(Count(now));
    }

    public void LatchStatus(long now)
    {
        if (_statusLatched >= 0)
            return;
        bool output = Output(now);
        bool nullCount = _initial == 0 || _pending != 0;
        _statusLatched = (output ? 0x80 : 0) | (nullCount ? 0x40 : 0) | ((int)_access << 4) | (Mode << 1) | (_bcd ? 1 : 0);
    }

    public byte Read(long now)
    {
        if (_statusLatched >= 0)
        {
            byte status = (byte)_statusLatched;
            _statusLatched = -1;
            return status;
        }
        int count = _countLatched >= 0 ? _countLatched : ToRegister(Count(now));
        bool high = _access == ByteOrder.High || (_access == ByteOrder.LowThenHigh && _readHighNext);
        if (_access == ByteOrder.LowThenHigh)
            _readHighNext = !_readHighNext;
        if (_access != ByteOrder.LowThenHigh || high)
            _countLatched = -1;
        return (byte)(high ? count >> 8 : count);
    }

    public void Write(byte value, long now)
    {
        switch (_access)
        {
            case ByteOrder.Low:
                Load(value, now);
                break;
            case ByteOrder.High:
                Load(value << 8, now);
                break;
            default:
                if (_highNext)
                    Load(_lowByte | value << 8, now);
                else
                    BeginLoad(value);
                _highNext = !_highNext;
                break;
        }
    }

    /// <summary>The first of two bytes: mode 0 stops counting until the second.</summary>
    private void BeginLoad(byte low)
    {
        _lowByte = low;
        if (Mode == 0)
            (_start, _held) = (long.MaxValue, -1);
    }

    private void Load(int register, long now)
    {
        Settle(now);
        int count = FromRegister(register);
        if (count == 0)
            count = Modulus;
        if (Counting && Mode is (1 or 5))
        {
            _pending = count;
            return;
        }
        if (Counting && Periodic && _held < 0 && _initial > 1)
        {
            _start += (now - _start) / _initial * _initial;
            _pending = count;
            return;
        }
        (_initial, _pending) = (count, 0);
        if (Mode is 1 or 5)
            return;
        _start = now;
        _held = _gate ? -1 : 0;
    }

    private int FromRegister(int value) => !_bcd ? value : (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);

    private int ToRegister(int value) => !_bcd ? value : value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}
