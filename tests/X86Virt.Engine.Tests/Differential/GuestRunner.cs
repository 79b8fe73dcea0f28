using Iced.Intel;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>Executes one <see cref="OracleCase"/> at a time on a processor that is set up as a Linux process is: ring 3 in long mode.</summary>
internal sealed unsafe class GuestRunner : IDisposable
{
    private const ulong PageTables = 0x1000;
    private const ulong WritablePhysical = 0x10000;
    private const ulong CodePhysical = 0x20000;

    private readonly BareCpu _cpu;

    /// <summary>Called for each instruction without the loop around it; null for another engine.</summary>
    private readonly Interpreter? _interpreter;
    private readonly byte[] _pristine = new byte[OracleLayout.WritableSize];
    private int _mode;
    private int _lastCode;
    private int _tailLength;

    /// <param name="engine">One of <see cref="BareCpu.Engines"/>.</param>
    public GuestRunner(string engine)
    {
        _cpu = new BareCpu(64, BareCpu.Engines[engine]);
        if (engine == "Interpreter")
            _interpreter = new Interpreter(_cpu.Cpu);
        new Span<byte>(_cpu.Memory.Block + CodePhysical, 0x1000).Fill(0xCC);
        MapPages();
    }

    private void MapPages()
    {
        PhysicalMemory memory = _cpu.Memory;
        new Span<byte>(memory.Block + PageTables, 0x4000).Clear();
        ulong table = PageTables;
        for (int shift = 39; shift > 12; shift -= 9)
        {
            memory.Write(table + ((OracleLayout.Window >> shift) & 511) * 8, (table + 0x1000) | 7);
            table += 0x1000;
        }
        // A and D bits set from the start, so that no walk is needed for them.
        for (uint i = 0; i < OracleLayout.MemorySize; i += 0x1000)
            memory.Write(table + (((OracleLayout.Writable + i) >> 12) & 511) * 8, (WritablePhysical + i) | (i < OracleLayout.WritableSize ? 0x67UL : 0x65) | 1UL << 63);
        memory.Write(table + ((OracleLayout.Code >> 12) & 511) * 8, CodePhysical | 0x25);
        _cpu.State->Cr3 = PageTables;
        _cpu.Cpu.FlushTlb(keepGlobal: false);
    }

    public CpuState* State => _cpu.State;

    private byte* Writable => _cpu.Memory.Block + WritablePhysical;

    /// <summary>What every instruction finds in memory from <see cref="OracleLayout.Writable"/> on.</summary>
    public void SetMemory(ReadOnlySpan<byte> content)
    {
        content.CopyTo(new Span<byte>(Writable, OracleLayout.MemorySize));
        content[..OracleLayout.WritableSize].CopyTo(_pristine);
    }

    private void SetMode(int mode)
    {
        CpuState* s = State;
        _mode = mode;
        const SegmentAttributes code = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Code
            | SegmentAttributes.Writable | SegmentAttributes.Accessed | SegmentAttributes.DplMask;
        const SegmentAttributes data = code & ~SegmentAttributes.Code;
        s->Cpl = 3;
        s->Cr0 = (s->Cr0 & ~(Cr0.Em | Cr0.Ts)) | Cr0.Wp | Cr0.Am | Cr0.Ne | Cr0.Mp;
        s->Cr4 |= Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Osxsave;
        s->Xcr0 = HostFeatures.StateComponents;
        SegmentRegister* cs = CpuState.Seg(s, Segment.Cs);
        *cs = mode switch
        {
            16 => new SegmentRegister { Selector = 7, Base = OracleLayout.Code, Limit = 0xFFFF, Attributes = code },
            32 => new SegmentRegister { Selector = 0x23, Limit = uint.MaxValue, Attributes = code | SegmentAttributes.Big | SegmentAttributes.Granular },
            _ => new SegmentRegister { Selector = 0x33, Limit = uint.MaxValue, Attributes = code | SegmentAttributes.Long | SegmentAttributes.Granular },
        };
        foreach (Segment segment in (Segment[])[Segment.Es, Segment.Ss, Segment.Ds])
        {
            *CpuState.Seg(s, segment) = mode == 16
                ? new SegmentRegister { Selector = 15, Base = OracleLayout.Window, Limit = 0xFFFF, Attributes = data }
                : new SegmentRegister { Selector = 0x2B, Limit = uint.MaxValue, Attributes = data | SegmentAttributes.Big | SegmentAttributes.Granular };
        }
        *CpuState.Seg(s, Segment.Fs) = default;
        *CpuState.Seg(s, Segment.Gs) = new SegmentRegister { Base = OracleLayout.Window };
        ModeChange.Update(_cpu.Cpu);
    }

    /// <summary>
    /// Executes the case and describes the state behind it as the oracle does. The XSAVE images are used if the case has vector state.
    /// </summary>
    public void Execute(OracleCase* c, in Instruction instruction, byte* before, Outcome* outcome, byte* after)
    {
        CpuState* s = State;
        if (c->VectorState != 0)
            XsaveImage.Load(s, before);
        if (_mode != c->Mode)
            SetMode(c->Mode);
        // Exception masks are part of the mode.
        ModeChange.Update(_cpu.Cpu);
        for (int i = 0; i < 16; i++)
            s->Gpr[i] = c->Gpr[i];
        s->StatusFlags = Flags.FromRflags(c->Flags);
        s->SystemFlags = (uint)c->Flags & ~Flags.RflagsStatus;
        ulong start = (c->Mode == 16 ? 0 : OracleLayout.Code) + c->CodeOffset;
        s->Rip = start;
        PutCode(c);
        outcome->Fault = OracleLayout.NoFault;
        outcome->Address = 0;
        outcome->ErrorCode = 0;
        if (_interpreter != null)
            Interpret(_interpreter, start, instruction, outcome);
        else
            RunEngine(start, instruction, outcome);

        for (int i = 0; i < 16; i++)
            outcome->Gpr[i] = s->Gpr[i];
        outcome->Flags = Flags.Rflags(s);
        outcome->Rip = s->Rip;
        if (c->VectorState != 0)
            XsaveImage.Store(s, after);
        CollectChanges(outcome);
        if (_cpu.Shutdown)
            Revive();
    }

    private void Interpret(Interpreter interpreter, ulong start, in Instruction instruction, Outcome* outcome)
    {
        CpuState* s = State;
        s->Attention = Attention.None;
        s->Budget = 1 << 20;
        do
        {
            interpreter.Execute();
        }
        while (s->Rip == start && (s->Attention & Attention.Exception) == 0 && instruction.IsStringInstruction);

        if ((s->Attention & Attention.Exception) != 0)
        {
            outcome->Fault = (uint)s->Exception.Vector;
            outcome->ErrorCode = s->Exception.ErrorCode;
            outcome->Address = s->Exception.Address;
        }
    }

    /// <summary>
    /// The instruction and a jump behind it, so that there is a block to decode or translate. A fault cannot be delivered here and ends in
    /// shutdown, with the state as the fault left it.
    /// </summary>
    private void RunEngine(ulong start, in Instruction instruction, Outcome* outcome)
    {
        CpuState* s = State;
        bool alone = _tailLength == 0 || instruction.IsStringInstruction || instruction.FlowControl != FlowControl.Next;
        do
        {
            _cpu.Cpu.SetDeadline(s->Retired + (alone ? 1 : 2));
            _cpu.Continue();
        }
        while (s->Rip == start && !_cpu.Shutdown && instruction.IsStringInstruction);

        if (_cpu.Shutdown)
        {
            ExceptionRecord first = _cpu.Cpu.ExceptionHistory.ToList()[0];
            outcome->Fault = (uint)first.Vector;
            outcome->ErrorCode = first.ErrorCode ?? 0;
            outcome->Address = first.Address ?? 0;
        }
        else if (!alone && s->Rip == start + (uint)(instruction.Length + _tailLength))
        {
            s->Rip -= (uint)_tailLength;
        }
    }

    private void Revive()
    {
        _cpu.Restart();
        MapPages();
        _mode = 0;
    }

    /// <summary>The instruction and a jump; for the interpreter the one that the oracle puts behind it, which an operand may read.</summary>
    private void PutCode(OracleCase* c)
    {
        Span<byte> code = stackalloc byte[32];
        code.Fill(0xCC);
        _cpu.Memory.Write(CodePhysical + (ulong)_lastCode, code[..Math.Min(32, 0x1000 - _lastCode)]);
        _lastCode = (int)c->CodeOffset;
        new ReadOnlySpan<byte>(c->Bytes, c->Length).CopyTo(code);
        int n = c->Length + (_interpreter != null ? OracleTail(c, code[c->Length..]) : JumpToNext(c, code[c->Length..]));
        _tailLength = c->CodeOffset + n <= 0x1000 ? n - c->Length : 0;
        _cpu.Memory.Write(CodePhysical + c->CodeOffset, code[..Math.Min(n, 0x1000 - _lastCode)]);
    }

    private static int OracleTail(OracleCase* c, Span<byte> code)
    {
        if (c->Mode == 64)
        {
            code[0] = 0xE9;
            BitConverter.TryWriteBytes(code[1..], OracleLayout.Trampoline - (OracleLayout.Code + c->CodeOffset + c->Length + 5));
            return 5;
        }
        int n = 0;
        if (c->Mode == 16)
            code[n++] = 0x66;
        code[n] = 0xEA;
        BitConverter.TryWriteBytes(code[(n + 1)..], OracleLayout.Trampoline);
        code[n + 5] = 0x33;
        code[n + 6] = 0;
        return n + 7;
    }

    private static int JumpToNext(OracleCase* c, Span<byte> code)
    {
        int length = c->Mode == 16 ? 3 : 5;
        code[..length].Clear();
        code[0] = 0xE9;
        return length;
    }

    private void CollectChanges(Outcome* outcome)
    {
        outcome->ChangeCount = 0;
        var memory = new Span<byte>(Writable, OracleLayout.WritableSize);
        if (memory.SequenceEqual(_pristine))
            return;
        for (int i = 0; i < OracleLayout.WritableSize; i += 8)
        {
            ulong value = *(ulong*)(Writable + i);
            if (value == BitConverter.ToUInt64(_pristine, i))
                continue;
            if (outcome->ChangeCount < OracleCase.MaxChanges)
            {
                outcome->Changes[outcome->ChangeCount * 2] = (ulong)i;
                outcome->Changes[outcome->ChangeCount * 2 + 1] = value;
            }
            outcome->ChangeCount++;
        }
        _pristine.CopyTo(memory);
    }

    public void Dispose()
    {
        _interpreter?.Dispose();
        _cpu.Dispose();
    }
}
