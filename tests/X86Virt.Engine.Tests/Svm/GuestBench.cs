using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;

namespace X86Virt.Engine.Tests.Svm;

/// <summary>
/// A small hypervisor in 64-bit mode (STI, CLGI, VMLOAD, VMRUN, VMSAVE, STGI) and a guest under it, which shares its first mebibyte unless the test says otherwise.
/// </summary>
internal sealed unsafe class GuestBench
{
    public const ulong VmcbAddress = 0x2_0000, GuestCode = 0x3_0000, GuestStack = 0x3_F000, GuestIdt = 0x5_0000, GuestHandlers = 0x5_8000,
        PortMap = 0x6_0000, MsrMap = 0x6_4000, NestedTables = 0x7_0000;

    public const ulong Valid = 1UL << 31;

    /// <summary>Where the hypervisor is back from VMRUN: behind VMSAVE, with GIF clear.</summary>
    private const long Enough = 400;

    public GuestBench(BareCpu cpu)
    {
        Cpu = cpu;
        cpu.State->Efer |= Efer.Svme;
        SetUp();
    }

    public BareCpu Cpu { get; }
    public CpuState* State => Cpu.State;
    public Vmcb* Vmcb => (Vmcb*)(Cpu.Memory.Block + VmcbAddress);

    public static void OnEveryEngine(Action<GuestBench> test, params string[] features)
        => SystemBench.OnEveryEngine(64, cpu => test(new GuestBench(cpu)), null, ["Svm", .. features]);

    /// <summary>A guest in 64-bit mode, privilege level 0, with the hypervisor's page tables, that leaves by VMMCALL only.</summary>
    public void SetUp()
    {
        CpuState* s = State;
        new Span<byte>(Vmcb, 0x1000).Clear();
        Vmcb->Asid = 1;
        Vmcb->PortMap = PortMap;
        Vmcb->MsrMap = MsrMap;
        Intercepting(SvmExitCode.Vmrun);
        Intercepting(SvmExitCode.Vmmcall);
        Intercepting(SvmExitCode.Shutdown);
        Vmcb->Es = *CpuState.Seg(s, Segment.Es);
        Vmcb->Cs = *CpuState.Seg(s, Segment.Cs);
        Vmcb->Ss = *CpuState.Seg(s, Segment.Ss);
        Vmcb->Ds = *CpuState.Seg(s, Segment.Ds);
        Vmcb->Tr = *CpuState.Seg(s, Segment.Tr);
        Vmcb->Efer = s->Efer;
        Vmcb->Cr0 = s->Cr0;
        Vmcb->Cr3 = s->Cr3;
        Vmcb->Cr4 = s->Cr4;
        Vmcb->Dr6 = 0xFFFF_0FF0;
        Vmcb->Dr7 = 0x400;
        Vmcb->Rflags = 2;
        Vmcb->Rip = GuestCode;
        Vmcb->Rsp = GuestStack;
        Vmcb->GuestPat = 0x0007_0406_0007_0406;
        Vmcb->Idtr = new SegmentRegister { Base = GuestIdt, Limit = 0xFFF };
        Vmcb->Gdtr = new SegmentRegister { Base = GuestIdt + 0x1000, Limit = 0x7F };
        Cpu.Memory.Write(GuestIdt + 0x1008, 0x00AF_9B00_0000_FFFFUL);
        Cpu.Memory.Write(GuestIdt + 0x1010, 0x00CF_9300_0000_FFFFUL);
    }

    public void Intercepting(SvmExitCode code) => Vmcb->Intercepts[(int)code >> 5] |= 1u << (int)code;

    /// <summary>Puts code where the guest begins; it is followed by VMMCALL.</summary>
    public byte[] Guest(Action<Assembler> write)
    {
        byte[] code = BareCpu.Assemble(64, a => { write(a); a.vmmcall(); a.hlt(); }, GuestCode);
        Cpu.Memory.Write(GuestCode, code);
        return code;
    }

    /// <summary>A gate of the guest's IDT to a handler that is VMMCALL.</summary>
    public ulong Gate(int vector)
    {
        ulong handler = GuestHandlers + (ulong)vector * 16;
        Cpu.Memory.Write(GuestIdt + (ulong)vector * 16, (handler & 0xFFFF) | 8UL << 16 | 0x8EUL << 40 | (handler >> 16) << 48);
        Cpu.Memory.Write(GuestIdt + (ulong)vector * 16 + 8, 0UL);
        Cpu.Memory.Write(handler, (ReadOnlySpan<byte>)[0x0F, 0x01, 0xD9]);
        return handler;
    }

    /// <summary>Enters the guest and runs it until it leaves.</summary>
    public SvmExitCode Run()
    {
        Enter(Enough);
        Assert.False(State->GuestMode, "the guest did not leave");
        return Vmcb->ExitCode;
    }

    /// <summary>Enters the guest and runs it for so many instructions, the hypervisor's own included.</summary>
    public void Enter(long instructions)
    {
        State->Rax = VmcbAddress;
        Cpu.Run(BareCpu.Assemble(64, a => { a.clgi(); a.vmload(); a.vmrun(); a.vmsave(); }), instructions);
    }

    /// <summary>
    /// Turns nested paging on: guest-physical memory from 0 to 2 MiB is the host's, in pages of 4 KiB, and what lies behind is not there.
    /// </summary>
    public void NestPages()
    {
        const ulong All = 7;
        Cpu.Memory.Write(NestedTables, NestedTables + 0x1000 | All);
        Cpu.Memory.Write(NestedTables + 0x1000, NestedTables + 0x2000 | All);
        Cpu.Memory.Write(NestedTables + 0x2000, NestedTables + 0x3000 | All);
        for (ulong page = 0; page < 512; page++)
            Cpu.Memory.Write(NestedEntry(page << 12), page << 12 | All);
        Vmcb->NestedControl = 1;
        Vmcb->NestedCr3 = NestedTables;
    }

    /// <summary>Where the nested entry of a page of the first 2 MiB is.</summary>
    public static ulong NestedEntry(ulong page) => NestedTables + 0x3000 + (page >> 12) * 8;
}
