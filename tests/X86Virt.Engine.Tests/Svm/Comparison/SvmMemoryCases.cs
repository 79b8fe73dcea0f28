using System.Runtime.CompilerServices;
using Iced.Intel;
using X86Virt.Engine.Processor;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.Svm.Comparison.SvmWorld;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>Experiments with VMCBs that are not valid, nested paging, modes of the processor, and what the hypervisor executes.</summary>
internal static partial class SvmCases
{
    private delegate void Change(ref Vmcb v);

    private static IEnumerable<SvmCase> Checks()
    {
        (string Name, Change Set)[] checks =
        [
            ("ASID 0", (ref v) => v.Asid = 0), ("ASID 1", (ref v) => v.Asid = 1), ("EFER.SVME clear", (ref v) => v.Efer &= ~Efer.Svme),
            ("CR0.NW without CD", (ref v) => v.Cr0 |= Cr0.Nw), ("CR0.NW and CD", (ref v) => v.Cr0 |= Cr0.Nw | Cr0.Cd), ("CR0.CD", (ref v) => v.Cr0 |= Cr0.Cd),
            ("CR0.PG without PE", (ref v) => v.Cr0 &= ~Cr0.Pe), ("PAE clear in long mode", (ref v) => v.Cr4 &= ~Cr4.Pae), ("CS.L and CS.D", (ref v) => v.Cs.Attributes |= SegmentAttributes.Big),
            ("CS.L clear", (ref v) => v.Cs = Segment(Code32, 0xC9B)), ("LMA without LME", (ref v) => v.Efer &= ~Efer.Lme), ("LME without LMA", (ref v) => v.Efer &= ~Efer.Lma),
            ("LME without paging", (ref v) => v.Cr0 &= ~Cr0.Pg), ("CS not present", (ref v) => v.Cs.Attributes &= ~SegmentAttributes.Present), ("a CPL that is not SS.DPL", (ref v) => v.Cpl = 3),
            ("RFLAGS bit 1 clear", (ref v) => v.Rflags = 0), ("RFLAGS reserved bits", (ref v) => v.Rflags = 0xFFFF_FFFF_0000_802A), ("CR3 beyond memory", (ref v) => v.Cr3 |= 1UL << 52), ("CR3 low bits", (ref v) => v.Cr3 |= 0xFE7),
            ("PAT of reserved types, nested", (ref v) => { v.GuestPat = 0x0202_0202_0202_0202; v.NestedControl = 1; v.NestedCr3 = NestedRoot; }),
            ("nCR3 beyond memory", (ref v) => { v.NestedControl = 1; v.NestedCr3 = NestedRoot | 1UL << 52; }), ("nCR3 low bits", (ref v) => { v.NestedControl = 1; v.NestedCr3 = NestedRoot | 0xFE7; }),
            ("VM in long mode", (ref v) => v.Rflags |= 0x2_0000), ("CPL 1", (ref v) => { v.Cpl = 1; v.Ss = Segment(Data, 0xCB3); }),
            ("GDTR that is not canonical", (ref v) => v.Gdtr.Base = 1UL << 62), ("IDTR limit beyond 64 KiB", (ref v) => v.Idtr.Limit = 0x1_FFFF), ("RIP that is not canonical", (ref v) => v.Rip = 1UL << 62),
            ("RIP beyond 4 GiB in compatibility mode", (ref v) => { v.Cs = Segment(Code32, 0xC9B); v.Rip |= 1UL << 32; }), ("RSP that is not canonical", (ref v) => v.Rsp = 1UL << 62),
            ("DS null", (ref v) => v.Ds = default), ("SS null", (ref v) => v.Ss = default), ("TR not busy", (ref v) => v.Tr.Attributes = (SegmentAttributes)0x89), ("segments with high attributes", (ref v) => v.Ds.Attributes |= (SegmentAttributes)0xF000),
            ("CR4.VME", (ref v) => v.Cr4 |= 1), ("CR4.OSXSAVE", (ref v) => v.Cr4 |= Cr4.Osxsave), ("interrupt shadow with high bits", (ref v) => v.InterruptShadow = ulong.MaxValue - 1),
            ("the VMRUN intercept clear", (ref v) => { Unsafe.As<Vmcb, byte>(ref Unsafe.AddByteOffset(ref v, 0x10)) = 0x1E; }),
        ];
        foreach ((string name, Change set) in checks)
            yield return Case($"VMCB with {name}", w => { set(ref w.Vmcb); w.Code(0x90); });
        for (int bit = 0; bit < 64; bit++)
        {
            ulong one = 1UL << bit;
            yield return Case($"VMCB with bit {bit} of CR0", w => { w.Vmcb.Cr0 |= one; w.Code(0x90); });
            yield return Case($"VMCB with bit {bit} of CR4", w => { w.Vmcb.Cr4 |= one; w.Code(0x90); });
            yield return Case($"VMCB with bit {bit} of EFER", w => { w.Vmcb.Efer |= one; w.Code(0x90); });
            yield return Case($"VMCB with bit {bit} of DR6", w => { w.Vmcb.Dr6 ^= one; w.Code(0x90); });
            yield return Case($"VMCB with bit {bit} of DR7", w => { w.Vmcb.Dr7 ^= one; w.Code(0x90); });
            if (bit is 2 or 4 or 6 or 7 or 10 or 11 || bit >= 12)
                yield return Case($"VMCB with bit {bit} of RFLAGS", w => { w.Vmcb.Rflags |= one; w.Code(0x90); });
            if (bit >= 40)
                yield return Case($"VMCB with bit {bit} of CR3", w => { w.Vmcb.Cr3 |= one; w.Code(0x90); });
        }
        foreach (ulong address in (ulong[])[1, 0xFFF, 0xF_FFFF_F000, 0xFF_FFFF_F000, 0xFF_FFFF_D000, 0xFF_FFFF_E000, 1UL << 40, 1UL << 52, 1UL << 63])
        {
            yield return Case($"VMCB with the port map at {address:x}", w => { w.Intercept(SvmExitCode.Port); w.Vmcb.PortMap = address; w.Code(0x90); });
            yield return Case($"VMCB with the MSR map at {address:x}", w => { w.Intercept(SvmExitCode.Msr); w.Vmcb.MsrMap = address; w.Code(0x90); });
            yield return Case($"VMCB with the MSR map, not used, at {address:x}", w => { w.Vmcb.MsrMap = address; w.Code(0x90); });
        }
    }

    private static IEnumerable<SvmCase> NestedFaults()
    {
        (string Name, ulong Entry)[] entries = [("0", 0), ("not present", 6), ("read-only", 5), ("supervisor", 3), ("no execution", 7 | 1UL << 63), ("reserved", 7 | 1UL << 51), ("writable", 7), ("accessed and dirty", 0x67)];
        (string Name, byte[] Code)[] accesses = [("reads", [0x8B, 0x0B]), ("writes", [0x89, 0x0B]), ("modifies", [0x01, 0x0B]), ("runs", [0xFF, 0xE3]), ("pushes across", [0xFF, 0x73, 0xFE])];
        foreach ((string access, byte[] code) in accesses)
        {
            foreach ((string entry, ulong bits) in entries)
            {
                for (uint level = 1; level <= 4; level++)
                {
                    uint depth = level;
                    if (bits != 0x67 || level == 1)
                    {
                        yield return Case($"the guest {access} a page with a nested entry of level {level} {entry}", w =>
                        {
                            Direct(w.Nested(), depth, bits);
                            w.Code(a => { a.mov(rbx, 0x80_8080_8000); a.db(code); });
                        });
                    }
                }
                yield return Case($"the guest {access} a page with an entry of its own {entry}", w =>
                {
                    w.Nested().Write(EntryOf(GuestTable, GuestData), GuestData | bits);
                    w.Intercept(SvmExitCode.Exception0 + 14);
                    w.Code(code);
                });
                yield return Case($"the user {access} a page with a nested entry {entry}", w =>
                {
                    w.User().Nested().Write(EntryOf(NestedTable, GuestData), GuestData | bits);
                    w.Code(code);
                });
            }
        }
        foreach ((string entry, ulong bits) in entries)
        {
            for (uint level = 0; level < 4; level++)
            {
                uint table = GuestRoot + level * 0x1000;
                yield return Case($"the guest's table of level {4 - level} has a nested entry {entry}", w => { w.Nested().Write(EntryOf(NestedTable, table), table | bits); w.Code(0x8B, 0x0B); });
            }
            yield return Case($"the guest's code has a nested entry {entry}", w => { w.Nested().Write(EntryOf(NestedTable, GuestCode), GuestCode | bits); w.Code(0x90); });
            yield return Case($"the guest's stack has a nested entry {entry}", w => { w.Nested().Write(EntryOf(NestedTable, StackPage), StackPage | bits); w.Code(0x50); });
            yield return Case($"the guest's IDT has a nested entry {entry}", w => { w.Nested().Write(EntryOf(NestedTable, Idt), Idt | bits); w.Code(0x0F, 0x0B); });
            yield return Case($"the guest's GDT has a nested entry {entry}", w => { w.Nested().Write(EntryOf(NestedTable, Gdt), Gdt | bits); w.Code(a => { a.mov(eax, Data); a.mov(ds, eax); }); });
        }
        yield return Case("another page behind the guest's", w => { w.Nested().Write(EntryOf(NestedTable, GuestData), OtherPage | 7); w.Write(OtherPage, 0x7777); w.Code(a => { a.mov(rsi, __qword_ptr[rbx]); a.inc(__dword_ptr[rbx]); }); });
        yield return Case("a guest without paging, nested", w => { w.Legacy().Nested().Write(EntryOf(NestedTable, GuestData), OtherPage | 7); w.Write(OtherPage, 0x7777); w.Code(a => a.inc(__dword_ptr[ebx])); });
        yield return Case("a guest without paging beyond its memory", w => { w.Legacy().Nested(); w.Code(a => a.inc(__dword_ptr[ebx + 0x4000_0000])); });
        yield return Case("real mode, nested", w => { w.Real().Nested().Write(EntryOf(NestedTable, GuestData), OtherPage | 7); w.Write(OtherPage, 0x7777); w.Code(0xFF, 0x06, 0, 0); });
        yield return Case("real mode, a fault in nested memory", w => { w.Real().Nested().Write(EntryOf(NestedTable, GuestData), 0); w.Code(0xFF, 0x06, 0, 0); });
        yield return Case("real mode, its IVT not in nested memory", w => { w.Real().Nested().Write(EntryOf(NestedTable, RealIdt), 0); w.Code(0xCD, 0x21); });
        yield return Case("paged real mode", w => { w.Real().Nested(); w.Vmcb.Cr0 |= Cr0.Pg; w.Vmcb.Cr3 = GuestRoot; w.Code(0x90); });
        yield return Case("invlpg, nested", w => w.Nested().Code(a => { a.mov(rsi, __qword_ptr[rbx]); a.mov(__dword_ptr[EntryOf(GuestTable, GuestData)], OtherPage | 7); a.invlpg(__[rbx]); a.mov(rdi, __qword_ptr[rbx]); }));
        yield return Case("the accessed and dirty bits of both", w => w.Nested().Code(a =>
        {
            a.mov(__dword_ptr[rbx], 5);
            a.mov(rsi, __qword_ptr[EntryOf(GuestTable, GuestData)]);
            a.mov(rdi, __qword_ptr[EntryOf(NestedTable, GuestData)]);
            a.mov(rdx, __qword_ptr[EntryOf(NestedTable, GuestTable)]);
            a.mov(rcx, __qword_ptr[EntryOf(NestedTable, GuestCode)]);
        }));
        yield return Case("smap, nested", w => { w.Nested().Vmcb.Cr4 |= Cr4.Smap; w.Intercept(SvmExitCode.Exception0 + 14); w.Code(0x8B, 0x0B); });
        yield return Case("smep, nested", w => { w.Nested().Vmcb.Cr4 |= Cr4.Smep; w.Intercept(SvmExitCode.Exception0 + 14); w.Code(0x90); });
    }

    /// <summary>Gives the guest a page at an address of its own, and the nested entry of a level some bits.</summary>
    private static void Direct(SvmWorld w, uint level, ulong bits)
    {
        // The guest-linear page 80_8080_8000 leads to the guest-physical one of the same address.
        const uint Index = 1;
        w.Write(GuestRoot + 8, GuestRoot + 0x1000 | 7);
        w.Write(GuestRoot + 0x1000 + 2 * 8, GuestRoot + 0x2000 | 7);
        w.Write(GuestRoot + 0x2000 + 4 * 8, GuestRoot + 0x3000 | 7);
        w.Write(GuestTable + 8 * 8, 0x80_8080_8000 | 7);
        ulong[] own = [GuestData, NestedTable, NestedRoot + 0x2000, NestedRoot + 0x1000];
        uint[] at = [NestedTable + 8 * 8, NestedRoot + 0x2000 + 4 * 8, NestedRoot + 0x1000 + 2 * 8, NestedRoot + Index * 8];
        for (uint i = 0; i < 4; i++)
            w.Write(at[i], own[i] | (i + 1 == level ? bits : 7));
    }

    private static IEnumerable<SvmCase> Modes()
    {
        yield return Case("real mode", w => w.Real().Code(0x8C, 0xC8, 0xA3, 0, 0));
        yield return Case("real mode, int", w => w.Real().Code(0xCD, 0x21));
        yield return Case("real mode, int intercepted", w => { w.Real().Intercept(SvmExitCode.SoftwareInterrupt); w.Code(0xCD, 0x21); });
        yield return Case("real mode, far jump", w => w.Real().Code(0xEA, 0x05, 0x70, 0x00, 0x20));
        yield return Case("real mode, a limit", w => w.Real().Code(0x66, 0xB8, 0xFF, 0xFF, 0, 0, 0x67, 0x89, 0x18));
        yield return Case("real mode, a limit, intercepted", w => { w.Real().Intercept(SvmExitCode.Exception0 + 13); w.Code(0x66, 0xB8, 0xFF, 0xFF, 0, 0, 0x67, 0x89, 0x18); });
        yield return Case("from real to protected mode", w => w.Real().Code([0x0F, 0x20, 0xC0, 0x0C, 0x01, 0x0F, 0x22, 0xC0, 0x66, 0xEA, 0x10, 0x70, 2, 0, 0x18, 0, 0xB8, 0x10, 0, 0, 0, 0x8E, 0xD8]));
        yield return Case("from protected to real mode", w => w.Legacy().Code(a => { a.mov(eax, cr0); a.and(eax, ~1); a.mov(cr0, eax); }));
        yield return Case("from protected to long mode", w => w.Legacy().Code(a =>
        {
            a.mov(eax, cr4);
            a.or(eax, 0x20);
            a.mov(cr4, eax);
            a.mov(eax, GuestRoot);
            a.mov(cr3, eax);
            a.mov(ecx, 0xC000_0080);
            a.rdmsr();
            a.or(eax, 0x100);
            a.wrmsr();
            a.mov(eax, cr0);
            a.or(eax, int.MinValue);
            a.mov(cr0, eax);
            a.rdmsr();
        }));
        yield return Case("from real through protected to long mode and back", w => w.Real().Code(ThroughAllModes()));
        foreach (ulong bits in (ulong[])[Cr0.Ts, Cr0.Em, Cr0.Ts | Cr0.Mp, Cr0.Ts | Cr0.Em | Cr0.Mp])
        {
            yield return Case($"x87 under CR0 {bits:x}", w => { w.Vmcb.Cr0 = (w.Vmcb.Cr0 & ~Cr0.Mp) | bits; w.Code(0xD9, 0xE8); });
            yield return Case($"x87 under CR0 {bits:x}, intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 7); w.Vmcb.Cr0 = (w.Vmcb.Cr0 & ~Cr0.Mp) | bits; w.Code(0xD9, 0xE8); });
            yield return Case($"wait under CR0 {bits:x}, intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 7); w.Vmcb.Cr0 = (w.Vmcb.Cr0 & ~Cr0.Mp) | bits; w.Code(0x9B); });
        }
        yield return Case("32 bits, a selector beyond the GDT", w => w.Legacy().Code(a => { a.mov(eax, 0x1230); a.mov(ds, eax); }));
        yield return Case("32 bits, int intercepted", w => { w.Legacy().Intercept(SvmExitCode.SoftwareInterrupt); w.Code(0xCD, 0x21); });
        yield return Case("32 bits, a task switch intercepted", w => { w.Legacy().Intercept(SvmExitCode.TaskSwitch); w.Code(0xEA, 0, 0, 0, 0, 0x30, 0); });
        yield return Case("32 bits, a call of a task intercepted", w => { w.Legacy().Intercept(SvmExitCode.TaskSwitch); w.Code(0x9A, 0, 0, 0, 0, 0x30, 0); });
        yield return Case("32 bits, iret to a task intercepted", w => { w.Legacy().Intercept(SvmExitCode.TaskSwitch); w.Vmcb.Rflags |= 0x4000; w.Write(Tss, SvmWorld.Task); w.Code(0xCF); });
        yield return Case("compatibility mode", w => { w.Vmcb.Cs = Segment(Code32, 0xC9B); w.Code(0x40, 0x90); });
        yield return Case("syscall", w => { w.Vmcb.Star = 8UL << 32; w.Vmcb.LStar = Handlers + 0x40 * HandlerSize; w.Vmcb.SfMask = 0x200; w.Code(0x0F, 0x05); });
        yield return Case("syscall, user", w => { w.User().Vmcb.Star = 8UL << 32; w.Vmcb.LStar = Handlers + 0x40 * HandlerSize; w.Code(0x0F, 0x05); });
        yield return Case("a shadow is saved", w => { w.Intercept(SvmExitCode.Cpuid); w.Code(0xFB, 0x0F, 0xA2); });
        yield return Case("a shadow of MOV SS is saved", w => { w.Intercept(SvmExitCode.Cpuid); w.Code(0x8E, 0xD2, 0x0F, 0xA2); });
        yield return Case("a shadow has ended", w => { w.Vmcb.InterruptShadow = 1; w.Intercept(SvmExitCode.Cpuid); w.Code(0x90, 0x0F, 0xA2); });
        yield return Case("all flags", w => { w.Vmcb.Rflags = 0xCD7; w.Code(0x90); });
    }

    /// <summary>Protected mode with 16 bits, then 32 bits, paging with PAE, long mode with 64 bits, and all the way back, with a note of each mode in memory.</summary>
    private static byte[] ThroughAllModes()
    {
        const uint Compatible = GuestCode + 0x100, Long = GuestCode + 0x200, Back = GuestCode + 0x300, Real = GuestCode + 0x400;
        byte[] code = new byte[0x480];
        void Put(uint address, int bitness, Action<Assembler> write) => BareCpu.Assemble(bitness, write, bitness == 16 ? address - GuestCode : address).CopyTo(code, (int)(address - GuestCode));
        static byte[] FarJump(uint offset, ushort selector) => [0xEA, .. BitConverter.GetBytes(offset), .. BitConverter.GetBytes(selector)];
        void SetEfer(Assembler a, int set, int clear)
        {
            a.mov(ecx, 0xC000_0080);
            a.rdmsr();
            a.or(eax, set);
            a.and(eax, ~clear);
            a.wrmsr();
        }
        Put(GuestCode, 16, a =>
        {
            a.mov(eax, cr0);
            a.or(eax, 1);
            a.mov(cr0, eax);
            a.db(0x66);
            a.db(FarJump(Compatible, Code32));
        });
        Put(Compatible, 32, a =>
        {
            a.mov(eax, (uint)Data);
            a.mov(ds, eax);
            a.mov(ss, eax);
            a.mov(__dword_ptr[GuestData + 8], 0x32);
            a.mov(eax, cr4);
            a.or(eax, 0x20);
            a.mov(cr4, eax);
            a.mov(eax, GuestRoot);
            a.mov(cr3, eax);
            SetEfer(a, 0x100, 0);
            a.mov(eax, cr0);
            a.or(eax, int.MinValue);
            a.mov(cr0, eax);
            a.db(FarJump(Long, Code64));
        });
        Put(Long, 64, a =>
        {
            a.mov(rax, 0x6400_0000_0000);
            a.or(__qword_ptr[GuestData + 8], rax);
            a.mov(esp, StackTop - 16);
            a.push((int)Code32);
            a.push((int)Back);
            a.db(0x48, 0xCB);
        });
        Put(Back, 32, a =>
        {
            a.mov(eax, cr0);
            a.and(eax, int.MaxValue);
            a.mov(cr0, eax);
            SetEfer(a, 0, 0x100);
            a.db(FarJump(Real - GuestCode, Code16));
        });
        Put(Real, 16, a =>
        {
            a.mov(eax, cr0);
            a.and(eax, ~1);
            a.mov(cr0, eax);
            a.mov(bx, 0x1616);
            a.vmmcall();
        });
        return code;
    }

    private static IEnumerable<SvmCase> Hosts()
    {
        (string Name, byte[] Code)[] instructions =
        [
            ("vmrun", [0x0F, 0x01, 0xD8]), ("vmmcall", [0x0F, 0x01, 0xD9]), ("vmload", [0x0F, 0x01, 0xDA]), ("vmsave", [0x0F, 0x01, 0xDB]), ("stgi", [0x0F, 0x01, 0xDC]),
            ("clgi", [0x0F, 0x01, 0xDD]), ("skinit", [0x0F, 0x01, 0xDE]), ("invlpga", [0x0F, 0x01, 0xDF]),
        ];
        foreach ((string name, byte[] code) in instructions)
        {
            yield return Case($"{name} in the host", w => w.Code(0x90), a => a.db(code));
            yield return Case($"{name} in the host without SVME", _ => { }, a =>
            {
                a.mov(ecx, 0xC000_0080);
                a.rdmsr();
                a.and(eax, ~0x1000);
                a.wrmsr();
                a.mov(eax, VmcbPage);
                a.db(code);
            });
            if (name is "vmrun" or "vmload" or "vmsave")
            {
                foreach (ulong address in (ulong[])[VmcbPage + 8, VmcbPage + 0x800, 1UL << 52, 1UL << 63, 0xFFFF_FFFF_FFFF_F000])
                    yield return Case($"{name} of {address:x}", _ => { }, a => { a.mov(rax, address); a.db(code); });
            }
        }
        yield return Case("vmsave tells what the host has", w => w.Write(OtherVmcb, 0), a =>
        {
            a.mov(ecx, 0xC000_0102);
            a.mov(eax, 0x1234);
            a.xor(edx, edx);
            a.wrmsr();
            a.mov(eax, OtherVmcb);
            a.vmsave();
            a.mov(rbx, __qword_ptr[OtherVmcb + 0x620]);
            a.mov(rsi, __qword_ptr[OtherVmcb + 0x490]);
            a.mov(rdi, __qword_ptr[OtherVmcb + 0x440]);
        });
        yield return Case("vmload with addresses that are not canonical", w =>
        {
            w.Vmcb.KernelGsBase = 0x1234_8000_0000_0000;
            w.Vmcb.Fs.Base = 0x0000_8000_0000_1000;
            w.Vmcb.LStar = 0x1234_0000_0000_1000;
        }, a =>
        {
            a.vmload();
            a.mov(eax, OtherVmcb);
            a.vmsave();
            a.mov(rbx, __qword_ptr[OtherVmcb + 0x620]);
            a.mov(rsi, __qword_ptr[OtherVmcb + 0x448]);
            a.mov(rdi, __qword_ptr[OtherVmcb + 0x608]);
        });
        yield return Case("the host's flags come back", w => w.Code(0x90), a => { a.vmload(); a.push(0xCD7); a.popfq(); a.vmrun(); });
        yield return Case("the host's TF is seen behind VMRUN", w => w.Code(0x90), a => { a.push(0x102); a.popfq(); a.vmrun(); a.nop(); a.nop(); });
        yield return Case("the host's DR7 is reset", w => w.Code(0x90), a => { a.mov(ecx, 0x455); a.mov(dr7, rcx); SvmCase.Enter(a); });
        yield return Case("the host's CR2 is the guest's", w => { w.Vmcb.Cr2 = 0x4321; w.Code(0x90); }, a => { a.mov(ecx, 0x1111); a.mov(cr2, rcx); SvmCase.Enter(a); a.mov(rbx, cr2); });
        foreach (ulong host in (ulong[])[0, Cr4.Osxsave])
        {
            ulong other = host ^ Cr4.Osxsave;
            yield return Case($"CPUID tells the CR4.OSXSAVE of who asks, of the host {host:x}", w =>
            {
                w.Vmcb.Cr4 |= other;
                w.Code(a => { a.mov(eax, 1); a.cpuid(); a.mov(esi, ecx); a.and(esi, 1 << 27); a.mov(eax, 0); });
            }, a =>
            {
                a.mov(r8, rax);
                a.mov(rdx, cr4);
                a.or(rdx, (int)host);
                a.mov(cr4, rdx);
                a.mov(eax, 1);
                a.cpuid();
                a.mov(rax, r8);
                a.vmload();
                a.vmrun();
                a.mov(eax, 1);
                a.cpuid();
                a.mov(edi, ecx);
                a.and(edi, 1 << 27);
                a.xor(ebx, ebx);
                a.xor(ecx, ecx);
                a.xor(edx, edx);
                a.xor(eax, eax);
            });
        }
        yield return Case("the host's DR6 is the guest's", w => { w.Vmcb.Dr6 = 0xFFFF_4FF0; w.Code(0x90); }, a => { SvmCase.Enter(a); a.mov(rbx, dr6); });
        yield return Case("two guests one after the other", w => { w.Intercept(SvmExitCode.Cpuid); w.Code(0x0F, 0xA2); }, a => { SvmCase.Enter(a); a.add(__qword_ptr[VmcbPage + 0x578], 2); a.vmrun(); });
        yield return Case("a guest entered without an IDT of the host's", w => w.Code(0x90), a => { a.xor(ecx, ecx); SvmCase.Enter(a); });
        yield return Case("vmrun with VM_HSAVE_PA of 0", w => w.Code(0x90), a => { a.mov(ecx, 0xC001_0117); a.xor(eax, eax); a.xor(edx, edx); a.wrmsr(); a.mov(eax, VmcbPage); SvmCase.Enter(a); });
        foreach (ulong value in (ulong[])[8, 0x3_7800, 1UL << 52])
            yield return Case($"VM_HSAVE_PA of {value:x}", _ => { }, a => { a.mov(ecx, 0xC001_0117); a.mov(eax, (uint)value); a.mov(edx, (uint)(value >> 32)); a.wrmsr(); });
    }
}
