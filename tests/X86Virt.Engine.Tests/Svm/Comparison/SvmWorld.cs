using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Iced.Intel;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>
/// Memory of a guest and its VMCB as an experiment begins: the page tables, descriptor tables and handlers of a guest in 64-bit mode at privilege level 0.
/// Every handler of the guest is a VMMCALL of its own, so that RIP tells the vector. Experiments change what they like.
/// </summary>
internal sealed class SvmWorld
{
    public const uint Start = 0x1_0000, End = 0x2_C000;

    public const uint VmcbPage = 0x1_0000, MsrMap = 0x1_2000, PortMap = 0x1_4000, OtherVmcb = 0x1_8000, GuestRoot = 0x1_C000, GuestTable = 0x1_F000,
        NestedRoot = 0x2_0000, NestedTable = 0x2_3000, Idt = 0x2_4000, Gdt = 0x2_5000, Tss = 0x2_5400, Handlers = 0x2_6000, GuestCode = 0x2_7000,
        GuestData = 0x2_8000, StackPage = 0x2_9000, StackTop = 0x2_A000, OtherPage = 0x2_A000, ShortIdt = 0x2_B000, RealIdt = 0x2_B800;

    public const ushort Code64 = 0x08, Data = 0x10, Code32 = 0x18, UserData = 0x23, UserCode = 0x2B, Task = 0x30, Code16 = 0x40;
    public const int HandlerSize = 8;
    public const ulong Valid = 1UL << 31;

    private const ulong Rw = 3, All = 7;

    private readonly byte[] _memory = new byte[End - Start];

    public SvmWorld()
    {
        WriteTables();
        WriteDescriptors();
        // A VMMCALL, for those that run it.
        Write(GuestData, 0x1122_3344_55D9_010F);
        ref Vmcb v = ref Vmcb;
        v.Asid = 1;
        v.TlbControl = TlbControl.FlushAll;
        v.PortMap = PortMap;
        v.MsrMap = MsrMap;
        Intercept(SvmExitCode.Vmrun, SvmExitCode.Vmmcall, SvmExitCode.Shutdown, SvmExitCode.Hlt);
        v.Efer = Efer.Svme | Efer.Lme | Efer.Lma | Efer.Nxe | Efer.Sce;
        v.Cr0 = Cr0.Pg | Cr0.Wp | Cr0.Ne | Cr0.Et | Cr0.Mp | Cr0.Pe;
        v.Cr3 = GuestRoot;
        v.Cr4 = Cr4.Pae | Cr4.Osfxsr;
        v.Dr6 = 0xFFFF_0FF0;
        v.Dr7 = 0x400;
        v.Rflags = 2;
        v.Rip = GuestCode;
        v.Rsp = StackTop;
        v.Rax = 0;
        v.GuestPat = 0x0007_0406_0007_0406;
        v.Cs = Segment(Code64, 0xA9B);
        v.Ds = v.Es = v.Ss = v.Fs = v.Gs = Segment(Data, 0xC93);
        v.Tr = new SegmentRegister { Selector = Task, Attributes = (SegmentAttributes)0x8B, Limit = 0x67, Base = Tss };
        v.Ldtr = new SegmentRegister { Attributes = (SegmentAttributes)0x82 };
        v.Gdtr = new SegmentRegister { Base = Gdt, Limit = 0x4F };
        v.Idtr = new SegmentRegister { Base = Idt, Limit = 0xFFF };
    }

    public int Bitness { get; private set; } = 64;

    public ref Vmcb Vmcb => ref Unsafe.As<byte, Vmcb>(ref _memory[VmcbPage - Start]);

    public ReadOnlySpan<byte> Memory => _memory;

    public void Write(uint address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_memory.AsSpan((int)(address - Start)), value);

    public void Write(uint address, ReadOnlySpan<byte> bytes) => bytes.CopyTo(_memory.AsSpan((int)(address - Start)));

    public void Intercept(params ReadOnlySpan<SvmExitCode> codes)
    {
        foreach (SvmExitCode code in codes)
            _memory[VmcbPage - Start + (int)code / 8] |= (byte)(1 << ((int)code & 7));
    }

    public void DoNotIntercept(SvmExitCode code) => _memory[VmcbPage - Start + (int)code / 8] &= (byte)~(1 << ((int)code & 7));

    /// <summary>The guest's program; VMMCALL and HLT follow it.</summary>
    public void Code(Action<Assembler> write)
        => Write(GuestCode, BareCpu.Assemble(Bitness, a => { write(a); a.vmmcall(); a.hlt(); }, Bitness == 16 ? 0 : GuestCode));

    public void Code(params byte[] code) => Code(a => a.db(code));

    /// <summary>The guest begins at privilege level 3.</summary>
    public SvmWorld User()
    {
        Vmcb.Cpl = 3;
        Vmcb.Cs = Segment(UserCode, 0xAFB);
        Vmcb.Ds = Vmcb.Es = Vmcb.Ss = Segment(UserData, 0xCF3);
        Vmcb.Rsp = StackTop - 0x800;
        return this;
    }

    /// <summary>The guest begins in 32-bit protected mode without paging.</summary>
    public SvmWorld Legacy()
    {
        Bitness = 32;
        Vmcb.Efer = Efer.Svme;
        Vmcb.Cr0 = Cr0.Ne | Cr0.Et | Cr0.Pe;
        Vmcb.Cs = Segment(Code32, 0xC9B);
        Vmcb.Idtr = new SegmentRegister { Base = ShortIdt, Limit = 0x7FF };
        return this;
    }

    /// <summary>The guest begins in real mode, its segments where the pages are.</summary>
    public SvmWorld Real()
    {
        Bitness = 16;
        Vmcb.Efer = Efer.Svme;
        Vmcb.Cr0 = Cr0.Et;
        Vmcb.Cs = RealSegment(GuestCode, 0x9B);
        Vmcb.Ds = Vmcb.Es = RealSegment(GuestData, 0x93);
        Vmcb.Ss = RealSegment(StackPage, 0x93);
        Vmcb.Rip = 0;
        Vmcb.Rsp = 0x1000;
        Vmcb.Idtr = new SegmentRegister { Base = RealIdt, Limit = 0x3FF };
        return this;
    }

    /// <summary>Turns nested paging on: guest-physical memory from 0 to 2 MiB is the host's.</summary>
    public SvmWorld Nested()
    {
        Vmcb.NestedControl = 1;
        Vmcb.NestedCr3 = NestedRoot;
        return this;
    }

    public static uint EntryOf(uint table, uint page) => table + page / 0x1000 * 8;

    public static SegmentRegister Segment(ushort selector, int attributes)
        => new() { Selector = selector, Attributes = (SegmentAttributes)attributes, Limit = uint.MaxValue };

    private static SegmentRegister RealSegment(uint at, int attributes)
        => new() { Selector = (ushort)(at >> 4), Attributes = (SegmentAttributes)attributes, Limit = 0xFFFF, Base = at };

    private void WriteTables()
    {
        foreach (uint root in (uint[])[GuestRoot, NestedRoot])
        {
            for (uint level = 0; level < 3; level++)
                Write(root + level * 0x1000, root + (level + 1) * 0x1000 | All);
            for (uint page = 0; page < 512; page++)
                Write(root + 0x3000 + page * 8, page << 12 | All);
        }
    }

    private void WriteDescriptors()
    {
        ulong[] gdt =
        [
            0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_9B00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF,
            0x0000_8900_0000_0067 | (ulong)(Tss & 0xFF_FFFF) << 16, 0, 0x0000_9B02_7000_FFFF, 0x00CF_1300_0000_FFFF,
        ];
        for (uint i = 0; i < gdt.Length; i++)
            Write(Gdt + i * 8, gdt[i]);
        Write(Tss + 4, StackTop);
        Write(Tss + 0x64, 0x68UL << 16);
        for (uint vector = 0; vector < 256; vector++)
        {
            uint handler = Handlers + vector * HandlerSize;
            Write(handler, [0x0F, 0x01, 0xD9]);
            Write(Idt + vector * 16, (handler & 0xFFFF) | (ulong)Code64 << 16 | 0xEEUL << 40 | (ulong)(handler >> 16) << 48);
            Write(ShortIdt + vector * 8, (handler & 0xFFFF) | (ulong)Code32 << 16 | 0xEEUL << 40 | (ulong)(handler >> 16) << 48);
            Write(RealIdt + vector * 4, vector * HandlerSize | (ulong)(Handlers >> 4) << 16);
        }
    }
}
