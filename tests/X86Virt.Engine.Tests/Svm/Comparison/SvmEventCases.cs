using Iced.Intel;
using X86Virt.Engine.Processor;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.Svm.Comparison.SvmWorld;

namespace X86Virt.Engine.Tests.Svm.Comparison;

/// <summary>Experiments with exceptions, injected events and virtual interrupts.</summary>
internal static partial class SvmCases
{
    private const ulong NotPresentGate = 0, Irq = 1 << 8, IgnorePriority = 1 << 20, Masking = 1 << 24, VectorShift = 32, PriorityShift = 16;

    private static readonly (string Name, int Vector, Action<Assembler> Write)[] _exceptions =
    [
        ("a division", 0, a => a.div(ecx)), ("int1", 1, a => a.db(0xF1)), ("int3", 3, a => a.int3()), ("an invalid opcode", 6, a => a.ud2()), ("x87 under TS", 7, a => { a.mov(rax, cr0); a.or(eax, 8); a.mov(cr0, rax); a.fninit(); }),
        ("a segment that is not present", 11, a => { a.mov(eax, 0x48); a.mov(ds, eax); }), ("a stack that is not canonical", 12, a => { a.mov(rsp, 1L << 62); a.push(rax); }),
        ("a selector beyond the GDT", 13, a => { a.mov(eax, 0x1230); a.mov(ds, eax); }), ("an address that is not canonical", 13, a => { a.mov(rax, 1L << 62); a.mov(rcx, __qword_ptr[rax]); }),
        ("a read of no page", 14, a => { a.mov(ecx, 0x4000_0123); a.mov(ecx, __dword_ptr[rcx]); }), ("a write of no page", 14, a => { a.mov(ecx, 0x4000_0123); a.mov(__dword_ptr[rcx], eax); }),
        ("a fetch of no page", 14, a => { a.mov(ecx, 0x4000_0123); a.jmp(rcx); }), ("an SSE exception", 19, a => { a.push(0); a.ldmxcsr(__dword_ptr[rsp]); a.mov(rax, cr4); a.or(eax, 0x400); a.mov(cr4, rax); a.xorps(xmm0, xmm0); a.divss(xmm0, xmm0); }),
        ("int 13", 13, a => a.@int(13)), ("ltr of a busy task", 13, a => { a.mov(eax, 0x30); a.ltr(ax); a.ltr(ax); }),
    ];

    private static IEnumerable<SvmCase> Exceptions()
    {
        foreach ((string name, int vector, Action<Assembler> write) in _exceptions)
        {
            void Everywhere(string how, Action<SvmWorld> change, List<SvmCase> cases) => cases.Add(Case($"{name}, {how}", w => { change(w); w.Code(write); }));
            var cases = new List<SvmCase>();
            Everywhere("not intercepted", _ => { }, cases);
            Everywhere("intercepted", w => w.Intercept(SvmExitCode.Exception0 + (ulong)vector), cases);
            Everywhere("intercepted, nested", w => w.Nested().Intercept(SvmExitCode.Exception0 + (ulong)vector), cases);
            Everywhere("its gate not there", w => w.Write(Idt + (uint)vector * 16, NotPresentGate), cases);
            Everywhere("its gate not there, #NP intercepted", w => { w.Write(Idt + (uint)vector * 16, NotPresentGate); w.Intercept(SvmExitCode.Exception0 + 11, SvmExitCode.Exception0 + 13); }, cases);
            Everywhere("its gate not there, #DF intercepted", w => { w.Write(Idt + (uint)vector * 16, NotPresentGate); w.Intercept(SvmExitCode.Exception0 + 8); }, cases);
            Everywhere("beyond the IDT", w => w.Vmcb.Idtr.Limit = 0, cases);
            Everywhere("beyond the IDT, #DF intercepted", w => { w.Vmcb.Idtr.Limit = 0; w.Intercept(SvmExitCode.Exception0 + 8); }, cases);
            Everywhere("beyond the IDT, #GP intercepted", w => { w.Vmcb.Idtr.Limit = 0; w.Intercept(SvmExitCode.Exception0 + 13); }, cases);
            Everywhere("no IDT, #PF intercepted", w => { w.Vmcb.Idtr.Base = 0x4000_0000; w.Intercept(SvmExitCode.Exception0 + 14); }, cases);
            Everywhere("no IDT in nested memory", w => { w.Nested().Write(EntryOf(NestedTable, Idt), 0); }, cases);
            foreach (SvmCase c in cases)
                yield return c;
        }
        yield return Case("a step, intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 1); w.Vmcb.Rflags |= 0x100; w.Code(0x90, 0x90); });
        yield return Case("a step", w => { w.Vmcb.Rflags |= 0x100; w.Code(0x90, 0x90); });
        yield return Case("a breakpoint for execution, intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 1); w.Vmcb.Dr7 |= 1; w.Code(0xB8, 1, 0, 0, 0, 0xFF, 0xC0); }, EnterWithDr0(GuestCode + 5));
        yield return Case("a breakpoint for execution under RF, intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 1); w.Vmcb.Dr7 |= 1; w.Vmcb.Rflags |= 0x1_0000; w.Code(0x90, 0x90); }, EnterWithDr0(GuestCode));
        yield return Case("a breakpoint for execution on the first instruction", w => { w.Vmcb.Dr7 |= 1; w.Code(0x90, 0x90); }, EnterWithDr0(GuestCode));
        yield return Case("a breakpoint for data, intercepted", w => { w.Intercept(SvmExitCode.Exception0 + 1); w.Vmcb.Dr7 |= 0xD_0001; w.Code(0x89, 0x03, 0x90); }, EnterWithDr0(GuestData));
        yield return Case("alignment, user, intercepted", w => { w.User().Intercept(SvmExitCode.Exception0 + 17); w.Vmcb.Cr0 |= Cr0.Am; w.Vmcb.Rflags |= 0x4_0000; w.Code(0x89, 0x43, 0x01); });
        yield return Case("into, 32 bits, intercepted", w => { w.Legacy().Intercept(SvmExitCode.Exception0 + 4); w.Vmcb.Rflags |= 0x800; w.Code(0xCE); });
        yield return Case("bound, 32 bits, intercepted", w => { w.Legacy().Intercept(SvmExitCode.Exception0 + 5); w.Code(0xB8, 1, 0, 0, 0, 0x62, 0x43, 0x40); });
        yield return Case("a triple fault", w => { w.Vmcb.Idtr.Limit = 0; w.Code(0x0F, 0x0B); });
        yield return Case("a triple fault of an interrupt", w => { w.Vmcb.Idtr.Limit = 0; w.Code(0xCD, 0x40); });
        yield return Case("a page fault whose gate faults, shutdown", w => { w.Vmcb.Idtr.Base = 0x4000_0000; w.Code(a => { a.mov(ecx, 0x5000_0000); a.mov(eax, __dword_ptr[rcx]); }); });
    }

    private static Action<Assembler> EnterWithDr0(uint address) => a =>
    {
        a.mov(ecx, address);
        a.mov(dr0, rcx);
        SvmCase.Enter(a);
        a.xor(ecx, ecx);
        a.mov(dr0, rcx);
    };

    private static IEnumerable<SvmCase> Injections()
    {
        foreach (uint type in (uint[])[0, 1, 2, 3, 4, 5, 6, 7])
        {
            foreach (uint vector in (uint[])[0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15, 17, 18, 19, 20, 21, 31, 32, 0x80, 0xFF])
            {
                if (type != 3 && vector is not (0 or 2 or 3 or 13 or 14 or 0x80))
                    continue;
                ulong e = Valid | (ulong)type << 8 | (ulong)vector;
                yield return Case($"inject type {type} vector {vector:x}", w => { w.Vmcb.EventInjection = new VmcbEvent(e); w.Code(0x90); });
                yield return Case($"inject type {type} vector {vector:x} with a code", w => { w.Vmcb.EventInjection = new VmcbEvent(e | 1 << 11 | 0x1234UL << 32); w.Code(0x90); });
                if (type is 1 or > 4)
                    continue;
                yield return Case($"inject type {type} vector {vector:x}, all exceptions intercepted", w =>
                {
                    for (ulong i = 0; i < 32; i++)
                        w.Intercept(SvmExitCode.Exception0 + i);
                    w.Intercept(SvmExitCode.SoftwareInterrupt, SvmExitCode.Intr, SvmExitCode.Nmi, SvmExitCode.VirtualIntr, SvmExitCode.Iret);
                    w.Vmcb.EventInjection = new VmcbEvent(e);
                    w.Code(0x90);
                });
                yield return Case($"inject type {type} vector {vector:x} beyond the IDT, #GP intercepted", w =>
                {
                    w.Vmcb.Idtr.Limit = 0;
                    w.Intercept(SvmExitCode.Exception0 + 13);
                    w.Vmcb.EventInjection = new VmcbEvent(e);
                    w.Code(0x90);
                });
                yield return Case($"inject type {type} vector {vector:x} without an IDT", w => { w.Nested().Write(EntryOf(NestedTable, Idt), 0); w.Vmcb.EventInjection = new VmcbEvent(e); w.Code(0x90); });
            }
        }
        foreach (ulong code in (ulong[])[0, 0x1_0000, 0xFFFF_FFFF])
            yield return Case($"inject #GP with the code {code:x}", w => { w.Vmcb.EventInjection = new VmcbEvent(Valid | 3 << 8 | 1 << 11 | 13 | code << 32); w.Code(0x90); });
        yield return Case("inject with reserved bits", w => { w.Vmcb.EventInjection = new VmcbEvent(Valid | 0x7F_F000 | 0x20); w.Code(0x90); });
        yield return Case("inject an event that is not valid", w => { w.Vmcb.EventInjection = new VmcbEvent(0x0000_1234_0000_0B0D); w.Code(0x90); });
        yield return Case("inject an interrupt with IF clear and a shadow", w => { w.Vmcb.InterruptShadow = 1; w.Vmcb.EventInjection = new VmcbEvent(Valid | 0x40); w.Code(0x90); });
        yield return Case("inject an interrupt with IF set", w => { w.Vmcb.Rflags |= 0x200; w.Vmcb.EventInjection = new VmcbEvent(Valid | 0x40); w.Code(0x90); });
        yield return Case("inject a software interrupt with a next RIP", w => { w.Vmcb.NextRip = GuestCode + 0x100; w.Vmcb.EventInjection = new VmcbEvent(Valid | 4 << 8 | 0x40); w.Code(0x90); });
        yield return Case("inject #PF, which leaves CR2 as it is", w => { w.Vmcb.Cr2 = 0x5555; w.Vmcb.EventInjection = new VmcbEvent(Valid | 3 << 8 | 1 << 11 | 14 | 6UL << 32); w.Code(0x90); });
        yield return Case("inject #DB", w => { w.Vmcb.Dr6 = 0xFFFF_4FF0; w.Vmcb.EventInjection = new VmcbEvent(Valid | 3 << 8 | 1); w.Code(0x90); });
        yield return Case("inject #GP for a user", w => { w.User().Vmcb.EventInjection = new VmcbEvent(Valid | 3 << 8 | 1 << 11 | 13); w.Code(0x90); });
        yield return Case("inject a software interrupt through a gate for the kernel only", w => { w.User().Write(Idt + 0x400, 0x2_8E00_0008_0000 | Handlers); w.Vmcb.EventInjection = new VmcbEvent(Valid | 4 << 8 | 0x40); w.Code(0x90); });
        yield return Case("inject an interrupt through a gate for the kernel only", w => { w.User().Write(Idt + 0x404, 0x8E02); w.Vmcb.EventInjection = new VmcbEvent(Valid | 0x40); w.Code(0x90); });
        yield return Case("inject in real mode", w => { w.Real().Vmcb.EventInjection = new VmcbEvent(Valid | 0x21); w.Code(0x90); });
        yield return Case("inject #GP with a code in real mode", w => { w.Real().Vmcb.EventInjection = new VmcbEvent(Valid | 3 << 8 | 1 << 11 | 13); w.Code(0x90); });
        yield return Case("inject an NMI, then iret", w => { w.Write(Handlers + 16, [0x48, 0xCF]); w.Vmcb.EventInjection = new VmcbEvent(Valid | 2 << 8 | 2); w.Code(0x90, 0x90); });
        yield return Case("inject an interrupt and ask for a virtual one", w =>
        {
            w.Vmcb.Rflags |= 0x200;
            w.Vmcb.VirtualInterrupt = new VirtualInterrupt(Irq | 5UL << (int)PriorityShift | Masking | 0x55UL << (int)VectorShift);
            w.Vmcb.EventInjection = new VmcbEvent(Valid | 0x40);
            w.Code(0x90, 0x90);
        });
    }

    private static IEnumerable<SvmCase> VirtualInterrupts()
    {
        foreach (bool intercepted in (bool[])[false, true])
        {
            foreach (ulong flag in (ulong[])[0, 0x200])
            {
                foreach (ulong shadow in (ulong[])[0, 1])
                {
                    foreach ((ulong priority, ulong tpr) in ((ulong, ulong)[])[(0, 0), (1, 0), (5, 4), (5, 5), (5, 6), (15, 15)])
                    {
                        foreach (ulong ignore in (ulong[])[0, IgnorePriority])
                        {
                            yield return Case($"a virtual interrupt, priority {priority} over {tpr}, IF {flag:x}, shadow {shadow}, ignore {ignore:x}{(intercepted ? ", intercepted" : "")}", w =>
                            {
                                if (intercepted)
                                    w.Intercept(SvmExitCode.VirtualIntr);
                                w.Vmcb.Rflags |= flag;
                                w.Vmcb.InterruptShadow = shadow;
                                w.Vmcb.VirtualInterrupt = new VirtualInterrupt(tpr | Irq | priority << (int)PriorityShift | ignore | Masking | 0x55UL << (int)VectorShift);
                                w.Code(0x90, 0x90, 0x90);
                            });
                        }
                    }
                }
            }
            string suffix = intercepted ? ", intercepted" : "";
            void Prepare(SvmWorld w, ulong tpr)
            {
                if (intercepted)
                    w.Intercept(SvmExitCode.VirtualIntr);
                w.Vmcb.VirtualInterrupt = new VirtualInterrupt(tpr | Irq | 5 << (int)PriorityShift | Masking | 0x55UL << (int)VectorShift);
            }
            yield return Case("a virtual interrupt behind STI" + suffix, w => { Prepare(w, 0); w.Code(0xFB, 0x90, 0x90); });
            yield return Case("a virtual interrupt behind MOV SS" + suffix, w => { Prepare(w, 0); w.Vmcb.Rflags |= 0x200; w.Vmcb.InterruptShadow = 1; w.Code(0x8E, 0xD2, 0x90, 0x90); });
            yield return Case("a virtual interrupt behind POPF" + suffix, w => { Prepare(w, 0); w.Code(0x68, 0x02, 0x02, 0, 0, 0x9D, 0x90, 0x90); });
            yield return Case("a virtual interrupt behind a lower CR8" + suffix, w => { Prepare(w, 7); w.Vmcb.Rflags |= 0x200; w.Code(a => { a.nop(); a.mov(cr8, rdx); a.nop(); a.nop(); }); }) with { EndsQemu = true };
            yield return Case("a virtual interrupt wakes HLT" + suffix, w => { Prepare(w, 0); w.DoNotIntercept(SvmExitCode.Hlt); w.Code(0xFB, 0xF4, 0x90); });
            yield return Case("a virtual interrupt that is not taken" + suffix, w => { Prepare(w, 0); w.Code(0x90); });
            yield return Case("a virtual interrupt in real mode" + suffix, w => { Prepare(w.Real(), 0); w.Code(0xFB, 0x90, 0x90); });
            yield return Case("a virtual interrupt beyond the IDT" + suffix, w => { Prepare(w, 0); w.Vmcb.Idtr.Limit = 0x1FF; w.Intercept(SvmExitCode.Exception0 + 13); w.Code(0xFB, 0x90, 0x90); });
            yield return Case("a virtual interrupt of a user" + suffix, w => { Prepare(w.User(), 0); w.Vmcb.Rflags |= 0x200; w.Code(0x90, 0x90); });
        }
        foreach (ulong mask in (ulong[])[0, Masking])
        {
            yield return Case($"CR8, V_INTR_MASKING {mask:x}", w => { w.Vmcb.VirtualInterrupt = new VirtualInterrupt(3 | mask); w.Code(a => { a.mov(rsi, cr8); a.mov(edx, 9); a.mov(cr8, rdx); a.mov(rdi, cr8); }); });
            yield return Case($"CR8 of the host, V_INTR_MASKING {mask:x}", w => { w.Vmcb.VirtualInterrupt = new VirtualInterrupt(3 | mask); w.Code(a => a.mov(rsi, cr8)); }, a => { a.mov(ecx, 6); a.mov(cr8, rcx); SvmCase.Enter(a); });
        }
    }
}
