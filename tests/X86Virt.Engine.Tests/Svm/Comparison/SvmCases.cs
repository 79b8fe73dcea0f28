using Iced.Intel;
using X86Virt.Engine.Processor;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.Svm.Comparison.SvmWorld;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>The experiments: instructions, exceptions, ports and model-specific registers, and what the hypervisor's own instructions do.</summary>
internal static partial class SvmCases
{
    public static List<SvmCase> All() => [.. Instructions(), .. Ports(), .. Msrs(), .. ControlRegisters(), .. Exceptions(), .. Injections(), .. VirtualInterrupts(),
        .. Checks(), .. NestedFaults(), .. Modes(), .. Hosts()];

    private static SvmCase Case(string name, Action<SvmWorld> setUp, Action<Assembler>? host = null)
    {
        var world = new SvmWorld();
        setUp(world);
        return host == null ? new SvmCase(name, world) : new SvmCase(name, world, host);
    }

    /// <summary>RBX is an address in the guest's data; RAX, RCX and RDX are 0.</summary>
    private static readonly (string Name, byte[] Code, SvmExitCode Exit)[] _instructions =
    [
        ("cpuid", [0x0F, 0xA2], SvmExitCode.Cpuid), ("rdtsc", [0x0F, 0x31], SvmExitCode.Rdtsc), ("rdtscp", [0x0F, 0x01, 0xF9], SvmExitCode.Rdtscp),
        ("rdpmc", [0x0F, 0x33], SvmExitCode.Rdpmc), ("pushf", [0x9C], SvmExitCode.Pushf), ("popf", [0x6A, 0x02, 0x9D], SvmExitCode.Popf), ("int 21h", [0xCD, 0x21], SvmExitCode.SoftwareInterrupt),
        ("int 3", [0xCD, 3], SvmExitCode.SoftwareInterrupt), ("int3", [0xCC], SvmExitCode.Exception0 + 3), ("rsm", [0x0F, 0xAA], SvmExitCode.Rsm), ("invd", [0x0F, 0x08], SvmExitCode.Invd),
        ("wbinvd", [0x0F, 0x09], SvmExitCode.Wbinvd), ("pause", [0xF3, 0x90], SvmExitCode.Pause), ("hlt", [0xF4], SvmExitCode.Hlt), ("invlpg", [0x0F, 0x01, 0x7B, 0x40], SvmExitCode.Invlpg),
        ("invlpga", [0x0F, 0x01, 0xDF], SvmExitCode.Invlpga), ("vmmcall", [0x0F, 0x01, 0xD9], SvmExitCode.Vmmcall), ("vmrun", [0x0F, 0x01, 0xD8], SvmExitCode.Vmrun),
        ("vmload", [0x0F, 0x01, 0xDA], SvmExitCode.Vmload), ("vmsave", [0x0F, 0x01, 0xDB], SvmExitCode.Vmsave), ("stgi", [0x0F, 0x01, 0xDC], SvmExitCode.Stgi),
        ("clgi", [0x0F, 0x01, 0xDD], SvmExitCode.Clgi), ("skinit", [0x0F, 0x01, 0xDE], SvmExitCode.Skinit), ("monitor", [0x0F, 0x01, 0xC8], SvmExitCode.Monitor),
        ("mwait", [0x0F, 0x01, 0xC9], SvmExitCode.Mwait), ("mov rsi, cr0", [0x0F, 0x20, 0xC6], SvmExitCode.Cr0Read), ("mov rsi, cr2", [0x0F, 0x20, 0xD6], SvmExitCode.Cr0Read + 2),
        ("mov rsi, cr3", [0x0F, 0x20, 0xDE], SvmExitCode.Cr0Read + 3), ("mov rsi, cr4", [0x0F, 0x20, 0xE6], SvmExitCode.Cr0Read + 4), ("mov rsi, cr8", [0x44, 0x0F, 0x20, 0xC6], SvmExitCode.Cr0Read + 8),
        ("mov cr2, rdi", [0x0F, 0x22, 0xD7], SvmExitCode.Cr0Write + 2), ("mov cr8, rdx", [0x44, 0x0F, 0x22, 0xC2], SvmExitCode.Cr0Write + 8),
        ("mov cr0, rdx", [0x0F, 0x22, 0xC2], SvmExitCode.Cr0Write), ("mov cr3, rdx", [0x0F, 0x22, 0xDA], SvmExitCode.Cr0Write + 3), ("mov cr4, rdx", [0x0F, 0x22, 0xE2], SvmExitCode.Cr0Write + 4),
        ("mov cr1, rdx", [0x0F, 0x22, 0xCA], SvmExitCode.Cr0Write + 1), ("mov rsi, cr5", [0x0F, 0x20, 0xEE], SvmExitCode.Cr0Read + 5),
        ("smsw eax", [0x0F, 0x01, 0xE0], SvmExitCode.Cr0Read), ("clts", [0x0F, 0x06], SvmExitCode.Cr0Write), ("lmsw ax", [0x0F, 0x01, 0xF0], SvmExitCode.Cr0Write),
        ("mov rdx, dr3", [0x0F, 0x21, 0xDA], SvmExitCode.Dr0Read + 3), ("mov rdx, dr6", [0x0F, 0x21, 0xF2], SvmExitCode.Dr0Read + 6), ("mov rdx, dr4", [0x0F, 0x21, 0xE2], SvmExitCode.Dr0Read + 4),
        ("mov dr0, rax", [0x0F, 0x23, 0xC0], SvmExitCode.Dr0Write), ("mov dr7, rax", [0x0F, 0x23, 0xF8], SvmExitCode.Dr0Write + 7), ("mov dr5, rax", [0x0F, 0x23, 0xE8], SvmExitCode.Dr0Write + 5),
        ("sgdt", [0x0F, 0x01, 0x03], SvmExitCode.GdtrRead), ("sidt", [0x0F, 0x01, 0x0B], SvmExitCode.IdtrRead), ("lgdt", [0x0F, 0x01, 0x53, 0x40], SvmExitCode.GdtrWrite),
        ("lidt", [0x0F, 0x01, 0x5B, 0x40], SvmExitCode.IdtrWrite), ("sldt", [0x0F, 0x00, 0xC1], SvmExitCode.LdtrRead), ("str", [0x0F, 0x00, 0xC9], SvmExitCode.TrRead),
        ("lldt", [0x0F, 0x00, 0xD0], SvmExitCode.LdtrWrite), ("ltr", [0x0F, 0x00, 0xD8], SvmExitCode.TrWrite), ("rdmsr", [0x0F, 0x32], SvmExitCode.Msr), ("wrmsr", [0x0F, 0x30], SvmExitCode.Msr),
        ("in al, dx", [0xEC], SvmExitCode.Port), ("out dx, al", [0xEE], SvmExitCode.Port), ("ud2", [0x0F, 0x0B], SvmExitCode.Exception0 + 6), ("iret", [0x48, 0xCF], SvmExitCode.Iret),
        ("xsetbv", [0x0F, 0x01, 0xD1], SvmExitCode.Xsetbv), ("swapgs", [0x0F, 0x01, 0xF8], SvmExitCode.Hlt), ("sti", [0xFB], SvmExitCode.Hlt), ("cli", [0xFA], SvmExitCode.Hlt),
    ];

    private static IEnumerable<SvmCase> Instructions()
    {
        foreach ((string name, byte[] code, SvmExitCode exit) in _instructions)
        {
            yield return Case($"{name} intercepted", w => { w.Intercept(exit); w.Code(code); });
            // MWAIT would wait for ever.
            if (exit != SvmExitCode.Mwait)
                yield return Case($"{name} not intercepted", w => { if (exit is not (SvmExitCode.Vmrun or SvmExitCode.Vmmcall or SvmExitCode.Hlt)) w.DoNotIntercept(exit); w.Code(code); });
            yield return Case($"{name} intercepted, user", w => { w.User().Intercept(exit); w.Code(code); });
            if (code[0] is not (0x48 or 0x44))
                yield return Case($"{name} intercepted, real mode", w => { w.Real().Intercept(exit); w.Code(code); });
            yield return Case($"{name} with a prefix intercepted", w => { w.Intercept(exit); w.Code([0x2E, .. code]); });
        }
        yield return Case("popf that sets TF", w => w.Code([0x68, 0x02, 0x01, 0, 0, 0x9D, 0x90, 0x90]));
        yield return Case("popf that sets TF, #DB intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 1); w.Code([0x68, 0x02, 0x01, 0, 0, 0x9D, 0x90, 0x90]); });
        yield return Case("an intercepted instruction under TF", w => { w.Vmcb.Rflags |= 0x100; w.Intercept(SvmExitCode.Cpuid); w.Code(0x0F, 0xA2); });
        yield return Case("vmmcall under TF", w => w.Code([0x68, 0x02, 0x01, 0, 0, 0x9D, 0x0F, 0x01, 0xD9]));
        foreach (ulong bits in (ulong[])[Cr0.Ts, Cr0.Mp, Cr0.Em, Cr0.Am, Cr0.Wp, Cr0.Ts | Cr0.Am, Cr0.Cd])
            yield return Case($"cr0 selectively, {bits:x}", w => { w.Intercept(SvmExitCode.Cr0SelectiveWrite); w.Code(a => { a.mov(rax, cr0); a.xor(eax, (int)bits); a.mov(cr0, rax); }); });
        foreach (ulong bits in (ulong[])[0, Cr0.Ts, Cr0.Am])
        {
            yield return Case($"lmsw selectively, {bits:x}", w => { w.Intercept(SvmExitCode.Cr0SelectiveWrite); w.Code(a => { a.smsw(eax); a.xor(eax, (int)bits); a.lmsw(ax); }); });
            yield return Case($"cr0 with both intercepts, {bits:x}", w => { w.Intercept(SvmExitCode.Cr0SelectiveWrite, SvmExitCode.Cr0Write); w.Code(a => { a.mov(rax, cr0); a.xor(eax, (int)bits); a.mov(cr0, rax); }); });
        }
        yield return Case("clts selectively", w => { w.Intercept(SvmExitCode.Cr0SelectiveWrite); w.Vmcb.Cr0 |= Cr0.Ts; w.Code(0x0F, 0x06); });
        yield return Case("cr0 that is invalid, intercepted", w => { w.Intercept(SvmExitCode.Cr0Write); w.Code(a => { a.mov(eax, int.MinValue); a.mov(cr0, rax); }); });
        yield return Case("cr4 with a reserved bit, intercepted", w => { w.Intercept(SvmExitCode.Cr0Write + 4); w.Code(a => { a.mov(rax, -1L); a.mov(cr4, rax); }); });
        yield return Case("cr8 with a reserved bit, intercepted", w => { w.Intercept(SvmExitCode.Cr0Write + 8); w.Code(a => { a.mov(rax, -1L); a.mov(cr8, rax); }); });
        yield return Case("a debug register under GD, intercepted", w => { w.Intercept(SvmExitCode.Dr0Read); w.Vmcb.Dr7 |= 1 << 13; w.Code(0x0F, 0x21, 0xC0); });
        yield return Case("rdtsc under TSD, user, intercepted", w => { w.User().Intercept(SvmExitCode.Rdtsc); w.Vmcb.Cr4 |= Cr4.Tsd; w.Code(0x0F, 0x31); });
        foreach (ulong offset in (ulong[])[1UL << 44, 3UL << 52])
        {
            yield return Case($"rdtsc with offset {offset:x}", w => { w.Vmcb.TscOffset = offset; w.Code(a => { a.rdtsc(); a.xor(eax, eax); a.shr(edx, 10); }); });
            yield return Case($"rdtscp with offset {offset:x}", w => { w.Vmcb.TscOffset = offset; w.Code(a => { a.rdtscp(); a.xor(eax, eax); a.shr(edx, 10); }); });
            yield return Case($"rdmsr of the time stamp with offset {offset:x}", w => { w.Vmcb.TscOffset = offset; w.Code(a => { a.mov(ecx, 0x10); a.rdmsr(); a.xor(eax, eax); a.shr(edx, 10); }); });
        }
    }

    private static IEnumerable<SvmCase> Ports()
    {
        (string Name, byte[] Code, int Size)[] accesses =
        [
            ("in al, dx", [0xEC], 1), ("in ax, dx", [0x66, 0xED], 2), ("in eax, dx", [0xED], 4), ("out dx, al", [0xEE], 1), ("out dx, ax", [0x66, 0xEF], 2), ("out dx, eax", [0xEF], 4),
            ("insb", [0x6C], 1), ("rep insw", [0xF3, 0x66, 0x6D], 2), ("insd", [0x6D], 4), ("outsb", [0x6E], 1), ("rep outsw", [0xF3, 0x66, 0x6F], 2), ("fs outsd", [0x64, 0x6F], 4),
            ("addr32 outsb", [0x67, 0x6E], 1), ("addr32 rep insb", [0x67, 0xF3, 0x6C], 1),
        ];
        foreach ((string name, byte[] code, int size) in accesses)
        {
            for (int bit = -1; bit <= size; bit++)
            {
                int marked = bit;
                yield return Case($"{name} at 80h, port {bit} of the map", w =>
                {
                    w.Intercept(SvmExitCode.Port);
                    w.Write(PortMap + 0x10, marked < 0 ? 1UL << 63 : 1UL << marked);
                    w.Code([0xBA, 0x80, 0, 0, 0, 0xB9, 1, 0, 0, 0, .. code, 0xB8, 0, 0, 0, 0]);
                });
            }
        }
        yield return Case("in eax at FFFEh, the map's last bits", w => { w.Intercept(SvmExitCode.Port); w.Write(PortMap + 0x2000, 2); w.Code(0xBA, 0xFE, 0xFF, 0, 0, 0xED); });
        yield return Case("in al, 60h intercepted", w => { w.Intercept(SvmExitCode.Port); w.Write(PortMap + 8, ulong.MaxValue); w.Write(PortMap, ulong.MaxValue); w.Code(0xE4, 0x40); });
        yield return Case("out 42h, eax intercepted", w => { w.Intercept(SvmExitCode.Port); w.Write(PortMap + 8, 4); w.Code(0xE7, 0x42); });
        yield return Case("in al, dx, user, no permission, intercepted", w => { w.User().Intercept(SvmExitCode.Port); w.Write(PortMap + 0x10, 1); w.Code(0xBA, 0x80, 0, 0, 0, 0xEC); });
        yield return Case("in al, dx, user, IOPL 3, intercepted", w => { w.User().Intercept(SvmExitCode.Port); w.Vmcb.Rflags |= 0x3000; w.Write(PortMap + 0x10, 1); w.Code(0xBA, 0x80, 0, 0, 0, 0xEC); });
        yield return Case("rep insb of nothing, intercepted", w => { w.Intercept(SvmExitCode.Port); w.Write(PortMap + 0x10, 1); w.Code(0xBA, 0x80, 0, 0, 0, 0xF3, 0x6C); });
        yield return Case("insb to a page that is not there, intercepted", w => { w.Intercept(SvmExitCode.Port); w.Write(PortMap + 0x10, 1); w.Code(0xBA, 0x80, 0, 0, 0, 0xBF, 0, 0, 0, 0x40, 0x6C); });
    }

    private static IEnumerable<SvmCase> Msrs()
    {
        (uint Index, uint Bit)[] registers = [(0x10, 0x20), (0x174, 0x2E8), (0x1FFF, 0x3FFE), (0x2000, 0), (0xC000_0080, 0x4100), (0xC000_0103, 0x4206), (0xC001_0117, 0x822E), (0xC001_1FFF, 0xBFFE), (0x4000_0000, 0)];
        foreach ((uint index, uint bit) in registers)
        {
            foreach (bool write in (bool[])[false, true])
            {
                for (int marks = 0; marks < 4; marks++)
                {
                    int marked = marks;
                    yield return Case($"{(write ? "wrmsr" : "rdmsr")} {index:x}, map {marks}", w =>
                    {
                        w.Intercept(SvmExitCode.Msr);
                        w.Write(MsrMap + bit / 8, (byte[])[(byte)(marked << (int)(bit & 7))]);
                        w.Code(a =>
                        {
                            a.mov(ecx, index);
                            a.mov(eax, 0x1D01);
                            if (write)
                                a.wrmsr();
                            else
                                a.rdmsr();
                            a.xor(eax, eax);
                            a.xor(edx, edx);
                        });
                    });
                }
            }
        }
        yield return Case("rdmsr, user, intercepted", w => { w.User().Intercept(SvmExitCode.Msr); w.Write(MsrMap + 4, ulong.MaxValue); w.Code(0xB9, 0x10, 0, 0, 0, 0x0F, 0x32); });
        yield return Case("the guest clears EFER.NXE", w => w.Code(a => { a.mov(ecx, 0xC000_0080); a.rdmsr(); a.and(eax, ~0x800); a.wrmsr(); a.rdmsr(); }));
        yield return Case("the guest sets a reserved bit of EFER", w => w.Code(a => { a.mov(ecx, 0xC000_0080); a.rdmsr(); a.or(eax, 2); a.wrmsr(); a.rdmsr(); }));
        yield return Case("the guest writes its PAT", w => w.Code(a => { a.mov(ecx, 0x277); a.mov(eax, 0x0606_0606); a.mov(edx, eax); a.wrmsr(); }));
        yield return Case("the guest writes its PAT, nested", w => w.Nested().Code(a => { a.mov(ecx, 0x277); a.mov(eax, 0x0606_0606); a.mov(edx, eax); a.wrmsr(); a.xor(eax, eax); a.rdmsr(); }));
    }

    private static IEnumerable<SvmCase> ControlRegisters()
    {
        for (int register = 0; register < 16; register++)
        {
            int number = register;
            byte rex = (byte)(register < 8 ? 0x40 : 0x44), modRm = (byte)(0xC1 | (register & 7) << 3);
            foreach (bool read in (bool[])[true, false])
            {
                byte opcode = (byte)(read ? 0x20 : 0x22);
                yield return Case($"{(read ? "read" : "write")} of cr{register}, all intercepted", w =>
                {
                    for (int i = 0; i < 32; i++)
                        w.Intercept(SvmExitCode.Cr0Read + (ulong)i);
                    w.Code(rex, 0x0F, opcode, modRm);
                });
            }
        }
        for (int register = 0; register < 8; register++)
        {
            byte modRm = (byte)(0xC1 | register << 3);
            foreach (bool read in (bool[])[true, false])
            {
                byte opcode = (byte)(read ? 0x21 : 0x23);
                foreach (ulong de in (ulong[])[0, Cr4.De])
                {
                    yield return Case($"{(read ? "read" : "write")} of dr{register}, CR4 {de:x}, all intercepted", w =>
                    {
                        w.Vmcb.Cr4 |= de;
                        for (int i = 0; i < 32; i++)
                            w.Intercept(SvmExitCode.Dr0Read + (ulong)i);
                        w.Code(0x0F, opcode, modRm);
                    });
                }
            }
        }
        yield return Case("the guest's CR2 goes into the VMCB", w => { w.Vmcb.Cr2 = 0x1234; w.Code(a => { a.mov(rsi, cr2); a.mov(eax, 0x5678); a.mov(cr2, rax); }); });
        yield return Case("the guest's debug registers go into the VMCB", w => { w.Vmcb.Dr6 = 0xFFFF_4FF1; w.Vmcb.Dr7 = 0x401; w.Code(a => { a.mov(rsi, dr6); a.mov(rdi, dr7); a.mov(eax, 0x402); a.mov(dr7, rax); }); });
    }
}
