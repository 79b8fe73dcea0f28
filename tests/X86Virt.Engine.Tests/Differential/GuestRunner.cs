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
    private readonly Interpreter _interpreter;
    private readonly byte[] _pristine = new byte[OracleLayout.WritableSize];
    private int _mode;
    private int _lastCode;

    public GuestRunner()
    {
        _cpu = new BareCpu(64);
        _interpreter = new Interpreter(_cpu.Cpu);
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
        new Span<byte>(memory.Block + CodePhysical, 0x1000).Fill(0xCC);
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
        for (int i = 0; i < 16; i++)
            s->Gpr[i] = c->Gpr[i];
        s->StatusFlags = Flags.FromRflags(c->Flags);
        s->SystemFlags = (uint)c->Flags & ~Flags.RflagsStatus;
        ulong start = (c->Mode == 16 ? 0 : OracleLayout.Code) + c->CodeOffset;
        s->Rip = start;
        s->Attention = Attention.None;
        s->Budget = 1 << 20;
        PutCode(c);

        do
        {
            _interpreter.Execute();
        }
        while (s->Rip == start && (s->Attention & Attention.Exception) == 0 && instruction.IsStringInstruction);

        for (int i = 0; i < 16; i++)
            outcome->Gpr[i] = s->Gpr[i];
        outcome->Flags = Flags.Rflags(s);
        outcome->Rip = s->Rip;
        outcome->Fault = OracleLayout.NoFault;
        outcome->Address = 0;
        outcome->ErrorCode = 0;
        if ((s->Attention & Attention.Exception) != 0)
        {
            outcome->Fault = (uint)s->Exception.Vector;
            outcome->ErrorCode = s->Exception.ErrorCode;
            outcome->Address = s->Exception.Address;
        }
        if (c->VectorState != 0)
            XsaveImage.Store(s, after);
        CollectChanges(outcome);
    }

    /// <summary>The instruction and the jump that the oracle puts behind it, which an operand may read.</summary>
    private void PutCode(OracleCase* c)
    {
        var page = new Span<byte>(_cpu.Memory.Block + CodePhysical, 0x1000);
        page[_lastCode..].Slice(0, Math.Min(32, 0x1000 - _lastCode)).Fill(0xCC);
        _lastCode = (int)c->CodeOffset;
        Span<byte> code = stackalloc byte[32];
        new ReadOnlySpan<byte>(c->Bytes, c->Length).CopyTo(code);
        int n = c->Length;
        if (c->Mode == 64)
        {
            code[n] = 0xE9;
            BitConverter.TryWriteBytes(code[(n + 1)..], OracleLayout.Trampoline - (OracleLayout.Code + c->CodeOffset + (uint)n + 5));
            n += 5;
        }
        else
        {
            if (c->Mode == 16)
                code[n++] = 0x66;
            code[n] = 0xEA;
            BitConverter.TryWriteBytes(code[(n + 1)..], OracleLayout.Trampoline);
            code[n + 5] = 0x33;
            n += 7;
        }
        code[..Math.Min(n, 0x1000 - _lastCode)].CopyTo(page[_lastCode..]);
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
        _interpreter.Dispose();
        _cpu.Dispose();
    }
}
