using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Carries out the loads and stores that exit most, which are those of drivers to registers of devices and of kernels to page tables: MOV and MOVZX, from the bytes
/// that the decode assist gives and where the fault tells that the access leads. The silicon has done all the checks by then. Decoded instructions are kept by RIP,
/// and their bytes compared again.
/// </summary>
internal sealed unsafe class MemoryMoves(Cpu guest, Cpu silicon, Vmcb* vmcb)
{
    private const int Slots = 256;
    private const ulong PageMask = 0xFFF;

    private readonly Cpu _guest = guest, _silicon = silicon;
    private readonly Vmcb* _vmcb = vmcb;
    private readonly DecodedMove[] _decoded = new DecodedMove[Slots];

    /// <summary>Executes the instruction at RIP, but for RIP and what goes with it, if it is one that this can; <paramref name="length"/> is its length.</summary>
    /// <param name="physical">Where its access leads.</param>
    /// <param name="write">Whether it is a store that has faulted.</param>
    /// <param name="length">Of the instruction.</param>
    public bool TryExecute(ulong physical, bool write, out int length)
    {
        ref readonly DecodedMove m = ref Find();
        length = m.Length;
        if (m.Kind == MoveKind.None || (m.Kind != MoveKind.Load) != write || (physical & (m.MemorySize - 1u)) != 0 || (Address(m) & PageMask) != (physical & PageMask))
            return false;
        if (_guest.Memory.Lookup(physical, out _) == RegionKind.Device)
            _guest.Statistics.DeviceAccesses++;
        // The instruction counts for the device's clock.
        _guest.State->Budget--;
        if (m.Kind == MoveKind.Load)
            SetRegister(m, _guest.Memory.Read(physical, m.MemorySize));
        else
            _guest.Memory.Write(physical, m.MemorySize, (m.Kind == MoveKind.StoreImmediate ? m.Immediate : Register(m.Register)) & (ulong.MaxValue >> (64 - m.MemorySize * 8)));
        return true;
    }

    private ref readonly DecodedMove Find()
    {
        Vmcb* v = _vmcb;
        byte bitness = (v->Efer & Efer.Lma) != 0 && v->Cs.Long ? (byte)64 : v->Cs.Big ? (byte)32 : (byte)16;
        ref DecodedMove m = ref _decoded[(int)(v->Rip ^ v->Rip >> 8) & (Slots - 1)];
        // The count and fifteen bytes.
        Vector128<byte> bytes = Vector128.Load(&v->FetchedCount);
        if (m.Rip != v->Rip || m.Bytes != bytes || m.Bitness != bitness)
            m = DecodedMove.Decode(v->Rip, bytes, bitness);
        return ref m;
    }

    /// <summary>The linear address, in its lower 12 bits: an access that crosses pages may have faulted in the second, and is left to the interpreter.</summary>
    private ulong Address(in DecodedMove m)
    {
        ulong address = m.Displacement;
        if (m.Base >= 0)
            address += Register(m.Base);
        if (m.Index >= 0)
            address += Register(m.Index) << m.ScaleShift;
        // #VMEXIT leaves FS and GS in the silicon.
        if (m.Segment >= Segment.Fs)
            address += CpuState.Seg(_silicon.State, m.Segment)->Base;
        else if (m.Bitness != 64)
            address += (&_vmcb->Es)[(int)m.Segment].Base;
        return address;
    }

    /// <summary>A register of the guest's, of which two are in the VMCB.</summary>
    private ref ulong Register(int number)
    {
        if (number == DecodedMove.Rax)
            return ref _vmcb->Rax;
        if (number == DecodedMove.Rsp)
            return ref _vmcb->Rsp;
        return ref Unsafe.AsRef<ulong>(_silicon.State->Gpr + number);
    }

    private void SetRegister(in DecodedMove m, ulong value)
    {
        ref ulong register = ref Register(m.Register);
        // What is read is zero-extended; 32-bit registers are written as 64-bit ones.
        if (m.RegisterSize >= sizeof(uint))
            register = value;
        else if (m.RegisterSize == sizeof(ushort))
            register = (register & ~0xFFFFUL) | value;
        else
            register = (register & ~0xFFUL) | value;
    }
}
