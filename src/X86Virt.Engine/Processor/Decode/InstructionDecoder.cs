using Iced.Intel;
using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Processor;

/// <summary>What came of decoding one instruction.</summary>
internal enum DecodeResult
{
    Decoded,

    /// <summary>The bytes given end before the instruction does.</summary>
    NeedsMore,

    /// <summary>The encoding is longer than 15 bytes: #GP.</summary>
    TooLong,
}

/// <summary>Fetches code bytes through the fetch permissions of the TLB and decodes them.</summary>
internal sealed unsafe class InstructionDecoder
{
    private const int MaximumLength = 15;

    private readonly Cpu _cpu;
    private readonly HostCodeReader _reader = new();
    private readonly Decoder[] _decoders;
    private readonly byte[] _buffer = GC.AllocateArray<byte>(2 * MaximumLength + 2, pinned: true);

    public InstructionDecoder(Cpu cpu)
    {
        _cpu = cpu;
        DecoderOptions options = Options(cpu.Model);
        _decoders = [Decoder.Create(16, _reader, options), Decoder.Create(32, _reader, options), Decoder.Create(64, _reader, options)];
    }

    /// <summary>
    /// Where vendors decode differently, and encodings that are something else where their extension is missing: WBINVD with a prefix
    /// that means nothing, BSF and BSR likewise, reserved no-operations (control-flow enforcement, cache hints).
    /// </summary>
    private static DecoderOptions Options(ProcessorModel model)
    {
        DecoderOptions options = DecoderOptions.ForceReservedNop | DecoderOptions.NoWbnoinvd;
        if (!model.IsIntel)
            options |= DecoderOptions.AMD;
        if (!model.Has(ProcessorFeature.LahfSahf64))
            options |= DecoderOptions.NoLahfSahf64;
        if (!model.Has(ProcessorFeature.Bmi1))
            options |= DecoderOptions.NoMPFX_0FBC;
        if (!model.Has(ProcessorFeature.Lzcnt))
            options |= DecoderOptions.NoMPFX_0FBD;
        return options;
    }

    /// <summary>
    /// Host address of the code byte at a linear address; null with a fault raised, or null with <paramref name="physical"/> set where
    /// a device answers. At least one byte can be read, up to the end of the page.
    /// </summary>
    public bool Fetch(ulong linear, out byte* host, out ulong physical)
    {
        CpuState* s = _cpu.State;
        TlbEntry* e = s->Tlb + ((linear >> 12) & Tlb.IndexMask);
        if (e->FetchTag == (linear & ~0xFFFUL))
        {
            host = (byte*)(e->Addend + (nint)linear);
            physical = 0;
            return true;
        }
        host = null;
        physical = 0;
        if (s->LongMode && !Canonical.Is(s, linear))
        {
            Fault.GeneralProtection(s, null);
            return false;
        }
        if (!SlowMemory.Translate(_cpu, null, s->AccessMode, linear, PagePermissions.Fetch, out physical))
            return false;
        _cpu.Memory.Lookup(physical, out host);
        return true;
    }

    /// <summary>Decodes from host memory. An invalid encoding is <see cref="DecodeResult.Decoded"/> with Code.INVALID.</summary>
    public DecodeResult Decode(byte* code, int available, CodeMode mode, ulong rip, out Instruction instruction)
    {
        Decoder decoder = _decoders[(int)(mode & CodeMode.SizeMask)];
        _reader.Set(code, Math.Min(available, MaximumLength));
        decoder.IP = rip;
        decoder.Decode(out instruction);
        if (instruction.Code != Code.INVALID)
            return DecodeResult.Decoded;
        if (decoder.LastError == DecoderError.NoMoreBytes && available < MaximumLength)
            return DecodeResult.NeedsMore;
        return _reader.Exhausted && available >= MaximumLength ? DecodeResult.TooLong : DecodeResult.Decoded;
    }

    /// <summary>
    /// Fetches and decodes the instruction at the current RIP, across a page boundary if need be. False after a fault (#PF, #GP).
    /// </summary>
    public bool Decode(ulong linear, CodeMode mode, ulong rip, out Instruction instruction)
    {
        instruction = default;
        if (!Fetch(linear, out byte* host, out ulong physical))
            return false;
        int available = 0x1000 - (int)(linear & 0xFFF);
        if (host == null)
            host = ReadDevice(physical, Math.Min(available, MaximumLength), 0);
        DecodeResult result = Decode(host, available, mode, rip, out instruction);
        if (result == DecodeResult.NeedsMore)
        {
            ulong next = linear + (ulong)available;
            if (!_cpu.State->LongMode)
                next = (uint)next;
            if (!Fetch(next, out byte* second, out ulong secondPhysical))
                return false;
            byte* buffer = Buffer;
            if (host != buffer)
                new Span<byte>(host, available).CopyTo(_buffer);
            if (second == null)
                ReadDevice(secondPhysical, MaximumLength, available);
            else
                new Span<byte>(second, MaximumLength).CopyTo(_buffer.AsSpan(available));
            result = Decode(buffer, available + MaximumLength, mode, rip, out instruction);
        }
        if (result == DecodeResult.TooLong)
        {
            Fault.GeneralProtection(_cpu.State, null);
            return false;
        }
        return true;
    }

    private byte* Buffer => (byte*)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(_buffer, 0);

    private byte* ReadDevice(ulong physical, int count, int at)
    {
        for (int i = 0; i < count; i++)
            _buffer[at + i] = (byte)_cpu.Memory.Read(physical + (ulong)i, 1);
        return Buffer;
    }

    /// <summary>Feeds Iced from a pointer.</summary>
    private sealed class HostCodeReader : CodeReader
    {
        private byte* _next;
        private byte* _end;

        public bool Exhausted => _next == _end;

        public void Set(byte* code, int length)
        {
            _next = code;
            _end = code + length;
        }

        public override int ReadByte() => _next < _end ? *_next++ : -1;
    }
}
