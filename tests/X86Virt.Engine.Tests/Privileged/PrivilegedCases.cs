using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.Privileged.GuestTables;

namespace X86Virt.Engine.Tests.Privileged;

/// <summary>The systematic cases: each topic goes through every selector, gate, page or flag that makes a difference.</summary>
internal static class PrivilegedCases
{
    private const uint Cf = 1, Tf = 0x100, If = 0x200, Of = 0x800, Nt = 0x4000, Rf = 0x1_0000, Vm = 0x2_0000, Ac = 0x4_0000, Vif = 0x8_0000, Vip = 0x10_0000, Id = 0x20_0000;

    private static readonly Context[] Levels = [Context.Kernel, Context.Ring1, Context.User];
    private static readonly Context[] Everywhere = [.. Levels, Context.Virtual8086];

    /// <summary>Virtual-8086 mode comes last: QEMU has no way to clear VIF and VIP again.</summary>
    public static List<PrivilegedCase> All() => [.. Instructions(), .. Pages(), .. SegmentLoads(), .. FarTransfers(), .. Selectors(), .. Returns(), .. InterruptReturns(),
        .. Gates(), .. Deliveries(), .. Tasks(), .. Debugging(), .. Alignment(), .. Virtual8086()];

    private static byte[] Assemble(int bitness, Action<Assembler> write) => BareCpu.Assemble(bitness, write, bitness == 16 ? 0 : CodePage);

    private static PrivilegedCase Case(string name, Context context, Action<Assembler> write)
        => new($"{name}, {context}", context, Assemble(context == Context.Virtual8086 ? 16 : 32, write));

    private static PrivilegedCase Case(string name, Context context, params byte[] code) => new($"{name}, {context}", context, code);

    private static IEnumerable<(uint, uint)> Put(uint address, ulong value) => [(address, (uint)value), (address + 4, (uint)(value >> 32))];

    private static IReadOnlyList<(uint, uint)> Describe(ushort selector, ulong descriptor) => [.. Put(Gdt + (selector & 0xFFF8u), descriptor)];

    /// <summary>All selectors of the GDT, some of the LDT, null and beyond the limits.</summary>
    private static IEnumerable<ushort> AllSelectors()
    {
        for (int selector = 0; selector <= GdtLimit + 1; selector += 8)
            yield return (ushort)selector;
        foreach (ushort local in (ushort[])[4, 0xC, 0x14, 0x1C, 0x24, 0xFFF8])
            yield return local;
    }

    private static IEnumerable<PrivilegedCase> Instructions()
    {
        (string Name, byte[] Code)[] instructions =
        [
            ("hlt", [0xEB, 0]), ("cli", [0xFA]), ("sti", [0xFB]), ("clts", [0x0F, 0x06]), ("invd", [0x0F, 0x08]), ("wbinvd", [0x0F, 0x09]),
            ("lldt ax", [0x0F, 0x00, 0xD0]), ("ltr ax", [0x0F, 0x00, 0xD8]), ("sldt eax", [0x0F, 0x00, 0xC0]), ("str eax", [0x0F, 0x00, 0xC8]),
            ("smsw eax", [0x0F, 0x01, 0xE0]), ("lmsw ax", [0x0F, 0x01, 0xF0]), ("mov eax, cr0", [0x0F, 0x20, 0xC0]), ("mov eax, cr1", [0x0F, 0x20, 0xC8]),
            ("mov cr2, eax", [0x0F, 0x22, 0xD0]), ("mov eax, cr5", [0x0F, 0x20, 0xE8]), ("mov cr0, eax", [0x0F, 0x22, 0xC0]),
            ("mov eax, dr0", [0x0F, 0x21, 0xC0]), ("mov dr0, eax", [0x0F, 0x23, 0xC0]), ("mov eax, dr4", [0x0F, 0x21, 0xE0]), ("mov eax, dr5", [0x0F, 0x21, 0xE8]),
            ("invlpg", [0x0F, 0x01, 0x38]), ("rdmsr", [0x0F, 0x32]), ("wrmsr", [0x0F, 0x30]), ("rdpmc", [0x0F, 0x33]), ("swapgs", [0x0F, 0x01, 0xF8]),
            ("pushf", [0x9C]), ("pushf, other size", [0x66, 0x9C]), ("popf", [0x9D]), ("popf, other size", [0x66, 0x9D]), ("iret", [0xCF]), ("iret, other size", [0x66, 0xCF]),
            ("int 30h", [0xCD, FreeVector]), ("int 20h", [0xCD, 0x20]), ("int 6", [0xCD, 6]), ("int 8", [0xCD, 8]), ("int 60h", [0xCD, 0x60]), ("int3", [0xCC]), ("int 3", [0xCD, 3]),
            ("into", [0xCE]), ("int1", [0xF1]), ("ud2", [0x0F, 0x0B]), ("sysenter", [0x0F, 0x34]), ("sysexit", [0x0F, 0x35]), ("rsm", [0x0F, 0xAA]),
            ("aam 0", [0xD4, 0]), ("div by zero", [0x31, 0xC0, 0xF7, 0xF0]), ("out 80h", [0xE6, 0x80]), ("out 10h", [0xE6, 0x10]), ("out 20h", [0xE6, 0x20]),
            ("out 1Fh, ax", [0x66, 0xE7, 0x1F]), ("lock nop", [0xF0, 0x90]), ("mov cs, ax", [0x8E, 0xC8]), ("mov segment 6, ax", [0x8E, 0xF0]), ("arpl ax, cx", [0x63, 0xC8]),
            ("lar eax, eax", [0x0F, 0x02, 0xC0]), ("verr ax", [0x0F, 0x00, 0xE0]), ("sgdt in a register", [0x0F, 0x01, 0xC0]), ("clac", [0x0F, 0x01, 0xCA]), ("stac", [0x0F, 0x01, 0xCB]),
            ("15 bytes and more", [.. Enumerable.Repeat((byte)0x26, 15), 0x90]), ("monitor", [0x0F, 0x01, 0xC8]), ("les in a register", [0xC4, 0xC0]), ("pop ss", [0x17]),
            ("rdtsc", [0xEB, 0]), ("xgetbv", [0x0F, 0x01, 0xD0]), ("xsetbv", [0x0F, 0x01, 0xD1]), ("fxsave", [0x0F, 0xAE, 0x00]), ("fninit", [0xDB, 0xE3]), ("wait", [0x9B]),
        ];
        foreach (Context context in Everywhere)
        {
            foreach ((string name, byte[] code) in instructions)
            {
                foreach (uint flags in (uint[])[2, 0x3002 | Of])
                {
                    yield return Case($"{name}, flags {flags:x}", context, code) with
                    {
                        Flags = flags,
                        Registers = new Dictionary<Register, uint> { [Register.EAX] = 0x8000_0021, [Register.ECX] = 0xDEAD_0000, [Register.EDX] = 0 },
                    };
                }
            }
            foreach (uint bits in (uint[])[4, 8, 0xC, 0xA, 0xE])
            {
                foreach ((string name, byte[] code) in ((string, byte[])[])[("fninit", [0xDB, 0xE3]), ("wait", [0x9B]), ("movaps", [0x0F, 0x28, 0xC0]), ("emms", [0x0F, 0x77])])
                {
                    yield return Case($"{name}, CR0 {bits:x}", context, code) with { SetUp = a => { a.mov(eax, 0x8001_0031 & ~0xEu | bits); a.mov(cr0, eax); } };
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> Pages()
    {
        (string Name, Action<Assembler> Write)[] accesses =
        [
            ("read", a => a.mov(eax, __dword_ptr[ebx])), ("write", a => a.mov(__dword_ptr[ebx], eax)), ("modify", a => a.add(__dword_ptr[ebx], eax)),
            ("fetch", a => a.jmp(ebx)), ("push", a => a.push(__dword_ptr[ebx])), ("movs", a => { a.mov(esi, ebx); a.mov(edi, ebx); a.movsd(); }),
            ("cmpxchg that fails", a => a.cmpxchg(__dword_ptr[ebx], ecx)), ("bts", a => a.bts(__dword_ptr[ebx], 3)), ("invlpg", a => a.invlpg(__[ebx])),
            ("verw", a => a.verw(__word_ptr[ebx])), ("xchg", a => a.xchg(__dword_ptr[ebx], ecx)), ("fnstenv", a => a.fnstenv(__[ebx])), ("call", a => a.call(__dword_ptr[ebx])),
        ];
        uint[] pages = [.. Enumerable.Range(0, 8).Select(i => TestPages + (uint)i * 0x1000), TestPages + 0x60_4000, TestPages + 0xA0_4000, TestPages + 0xE0_4000, TestPages + 0x100_0000];
        foreach (Context context in (Context[])[Context.Kernel, Context.User])
        {
            foreach ((string name, Action<Assembler> write) in accesses)
            {
                foreach (uint page in pages)
                {
                    foreach (bool wp in (bool[])[true, false])
                    {
                        yield return Case($"{name} at {page:x}, WP {wp}", context, write) with
                        {
                            Registers = new Dictionary<Register, uint> { [Register.EBX] = page },
                            Patches = [(Data, 0x40CD_40CD)],
                            SetUp = a => { a.mov(eax, wp ? 0x8001_0033 : 0x8000_0033); a.mov(cr0, eax); },
                        };
                    }
                }
                foreach (uint page in pages[..8])
                    yield return Case($"{name} across {page:x}", context, write) with { Registers = new Dictionary<Register, uint> { [Register.EBX] = page + 0xFFE } };
            }
        }
        // SMEP and SMAP, with the case's own code out of user code's reach.
        foreach ((string name, Action<Assembler> write) in accesses)
        {
            foreach (uint page in pages)
            {
                foreach ((uint flags, uint control) in ((uint, uint)[])[(2, 0x30_0018), (2 | Ac, 0x30_0018), (2, 0x10_0018), (2 | Ac, 0x20_0018)])
                {
                    yield return Case($"{name} at {page:x}, CR4 {control:x}, flags {flags:x}", Context.Kernel, write) with
                    {
                        Registers = new Dictionary<Register, uint> { [Register.EBX] = page },
                        Patches = [(LowTable + (CodePage >> 12) * 4, CodePage | 0x63)],
                        SetUp = a => { a.mov(eax, control); a.mov(cr4, eax); },
                        Flags = flags,
                    };
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> SegmentLoads()
    {
        foreach (Context context in Levels)
        {
            foreach (ushort selector in AllSelectors())
            {
                foreach (int rpl in (int[])[0, 1, 3])
                {
                    uint value = (uint)(selector | rpl);
                    yield return Case($"mov ds, {value:x}", context, a => { a.mov(eax, value); a.mov(ds, eax); });
                    yield return Case($"mov ss, {value:x}", context, a => { a.mov(eax, value); a.mov(ss, eax); });
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> FarTransfers()
    {
        foreach (Context context in Levels)
        {
            foreach (ushort selector in AllSelectors())
            {
                foreach (int rpl in (int[])[0, 3])
                {
                    ushort value = (ushort)(selector | rpl);
                    yield return Case($"jmp {value:x}", context, a => a.db([0xEA, .. BitConverter.GetBytes(Landing), (byte)value, (byte)(value >> 8)]));
                    yield return Case($"call {value:x}", context, a => a.db([0x9A, .. BitConverter.GetBytes(Landing), (byte)value, (byte)(value >> 8)]));
                    yield return Case($"call16 {value:x}", context, 0x66, 0x9A, 0, 0x50, (byte)value, (byte)(value >> 8));
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> Selectors()
    {
        foreach (Context context in Levels)
        {
            foreach (ushort selector in AllSelectors())
            {
                foreach (int rpl in (int[])[0, 1, 3])
                {
                    uint value = (uint)(selector | rpl);
                    yield return Case($"lar and others {value:x}", context, a =>
                    {
                        a.mov(edx, value);
                        a.lar(eax, edx);
                        a.lsl(ecx, edx);
                        a.sete(bl);
                        a.verr(dx);
                        a.sete(bh);
                        a.verw(dx);
                        a.sete(dh);
                        // Bits 16 to 19 are undefined on some processors.
                        a.and(eax, 0x00F0_FF00);
                    });
                }
                if (context == Context.Kernel)
                {
                    if (selector != 0)
                        yield return Case($"ltr {selector:x}", context, a => { a.mov(eax, (uint)selector); a.ltr(ax); });
                    yield return Case($"lldt {selector:x}", context, a => { a.mov(eax, (uint)selector); a.lldt(ax); });
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> Returns()
    {
        uint[] stacks = [UserData, Ring1Data, KernelData, 0, 3, ReadOnly | 3, AbsentData | 3, UserData16, 0xF, 0xFFFB];
        foreach (Context context in Levels)
        {
            foreach (ushort selector in AllSelectors())
            {
                foreach (int rpl in (int[])[0, 1, 3])
                {
                    uint code = (uint)(selector | rpl);
                    uint ss = rpl == 3 ? UserData : rpl == 1 ? Ring1Data : KernelData;
                    yield return Case($"retf to {code:x}", context, a => { a.push((int)ss); a.push((int)UserStack - 64); a.push((int)code); a.push((int)Landing); a.retf(); });
                    yield return Case($"iret to {code:x}", context,
                        a => { a.push((int)ss); a.push((int)UserStack - 64); a.push(2); a.push((int)code); a.push((int)Landing); a.iretd(); });
                }
            }
            foreach (uint stack in stacks)
            {
                yield return Case($"retf 8 with SS {stack:x}", context,
                    a => { a.push((int)stack); a.push((int)UserStack - 64); a.push(0x77); a.push(0x88); a.push(UserCode); a.push((int)Landing); a.retf(8); });
                yield return Case($"iret with SS {stack:x}", context,
                    a => { a.push((int)stack); a.push((int)UserStack - 64); a.push(2); a.push(UserCode); a.push((int)Landing); a.iretd(); });
                yield return Case($"iret to 16-bit code with SS {stack:x}", context,
                    a => { a.push((int)stack); a.push((int)UserStack - 64); a.push(2); a.push(UserCode16); a.push((int)Landing); a.iretd(); });
                yield return Case($"iret16 with SS {stack:x}", context, a =>
                {
                    foreach (uint item in (uint[])[stack, UserStack - 64, 2, UserCode, Landing])
                        a.db(0x66, 0x68, (byte)item, (byte)(item >> 8));
                    a.iret();
                });
            }
            // Data segments of the inner level become null on the way out.
            foreach (ushort selector in (ushort[])[KernelData, Ring1Data, Conforming, UserData, KernelCode, ReadOnly | 3, 0xC])
            {
                yield return Case($"retf with DS {selector:x}", context, a =>
                {
                    a.mov(eax, (uint)selector);
                    a.mov(ds, eax);
                    a.mov(es, eax);
                    a.push(UserData);
                    a.push((int)UserStack - 64);
                    a.push(UserCode);
                    a.push((int)Landing);
                    a.retf();
                });
            }
        }
    }

    private static IEnumerable<PrivilegedCase> InterruptReturns()
    {
        uint[] flags = [0, If, Nt, Rf, Vm, Ac, Id, 0x3000, Vm | If | 0x3000, 0xFFFF_FFFF & ~(Tf | Vm | Nt | Vif | Vip), 0xFFFF_FFFF & ~(Tf | Nt | Vif | Vip), Tf, Tf | Rf, Cf];
        foreach (Context context in Everywhere)
        {
            foreach (uint iopl in (uint[])[2, 0x1002, 0x3002])
            {
                foreach (uint image in flags)
                {
                    if (context != Context.Virtual8086)
                    {
                        yield return Case($"iret loads {image:x} over {iopl:x}", context, a =>
                        {
                            foreach (uint item in (uint[])[0x704, 0x703, 0x702, 0x701, UserData, 0xFC0, image, context == Context.Kernel ? (image & Vm) != 0 ? Landing >> 4 : UserCode : context == Context.Ring1 ? Ring1Code : UserCode, (image & Vm) != 0 ? 0 : Landing])
                                a.push((int)item);
                            a.iretd();
                        }) with { Flags = iopl };
                        yield return Case($"popf loads {image:x} over {iopl:x}", context, a => { a.push((int)image); a.popfd(); a.nop(); a.pushfd(); a.pop(eax); }) with { Flags = iopl };
                    }
                    yield return Case($"popf16 loads {image:x} over {iopl:x}", context, 0x68, (byte)image, (byte)(image >> 8),
                        context == Context.Virtual8086 ? (byte)0x90 : (byte)(image >> 16), context == Context.Virtual8086 ? (byte)0x90 : (byte)(image >> 24),
                        context == Context.Virtual8086 ? (byte)0x90 : (byte)0x66, 0x9D, 0x90, 0x9C, 0x58) with { Flags = iopl };
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> Gates()
    {
        ushort[] selectors = [KernelCode, KernelCode16, Conforming, Ring1Code, UserCode, KernelData, 0, AbsentCode, 0x400, CallGateUser, OtherTaskSelector, SmallCode, 0x14];
        foreach (Context context in Everywhere)
        {
            for (uint type = 0; type < 16; type++)
            {
                foreach ((int dpl, bool present) in ((int, bool)[])[(3, true), (0, true), (3, false)])
                {
                    foreach (ushort selector in type is 6 or 7 or 14 or 15 or 5 ? selectors : [KernelCode])
                    {
                        foreach (uint flags in context == Context.Virtual8086 ? (uint[])[0x3002, 2] : [2])
                        {
                            yield return Case($"int 30h through a gate of type {type:x}, DPL {dpl}, present {present}, to {selector:x}, flags {flags:x}", context, 0xCD, FreeVector) with
                            {
                                Patches = [.. Put(Idt + FreeVector * 8, Gate(type, dpl, selector, Landing, 0, present))],
                                Flags = flags | If,
                            };
                        }
                    }
                }
            }
            foreach (ushort selector in selectors)
            {
                foreach (uint type in (uint[])[0xE, 0xF, 6, 5])
                {
                    yield return Case($"an invalid opcode through a gate of type {type:x} to {selector:x}", context, 0x0F, 0x0B) with
                    {
                        Patches = [.. Put(Idt + 6 * 8, Gate(type, 0, selector, Landing))],
                    };
                    yield return Case($"a protection fault through a gate of type {type:x} to {selector:x}", context, 0xCD, 0x60) with
                    {
                        Patches = [.. Put(Idt + 13 * 8, Gate(type, 0, selector, Landing))],
                        Flags = 0x3002,
                    };
                }
            }
        }
        for (uint type = 0; type < 16; type++)
        {
            foreach (Context context in Levels)
            {
                foreach ((int dpl, bool present) in ((int, bool)[])[(3, true), (0, true), (1, true), (3, false)])
                {
                    foreach (bool call in (bool[])[true, false])
                    {
                        yield return Case($"{(call ? "call" : "jmp")} system descriptor of type {type:x}, DPL {dpl}, present {present}", context,
                            call ? (byte)0x9A : (byte)0xEA, 0, 0, 0, 0, (byte)Scratch, 0) with
                        {
                            Patches = Describe(Scratch, type is 1 or 2 or 3 or 9 or 0xB ? Segment(type, dpl, OtherTask, 0x67, 0, present, system: true)
                                : Gate(type, dpl, type == 5 ? OtherTaskSelector : KernelCode, Landing, 1, present)),
                        };
                    }
                }
            }
        }
        ushort[] targets = [KernelCode, KernelCode | 3, Conforming, Ring1Code, UserCode, KernelData, 0, 3, AbsentCode, 0x400, CallGateUser, SmallCode, 0x14, ExecuteOnly];
        foreach (Context context in Levels)
        {
            foreach (ushort target in targets)
            {
                foreach (uint type in (uint[])[0xC, 4])
                {
                    foreach (bool call in (bool[])[true, false])
                    {
                        yield return Case($"{(call ? "call" : "jmp")} a gate of type {type:x} to {target:x}", context, call ? (byte)0x9A : (byte)0xEA, 0, 0, 0, 0, (byte)Scratch, 0) with
                        {
                            Patches = Describe(Scratch, Gate(type, 3, target, Landing, 3)),
                        };
                    }
                }
            }
        }
    }

    /// <summary>Faults on the way to a handler: the gate's, the inner stack's, and what becomes of them.</summary>
    private static IEnumerable<PrivilegedCase> Deliveries()
    {
        (string Name, byte[] Code)[] events = [("int 30h", [0xCD, FreeVector]), ("ud2", [0x0F, 0x0B]), ("page fault", [0xA1, 0, 0x50, 0, 0x40]), ("protection fault", [0xB8, 0, 4, 0, 0, 0x8E, 0xD0])];
        foreach (Context context in (Context[])[Context.Ring1, Context.User, Context.Virtual8086])
        {
            foreach ((string name, byte[] bytes) in events)
            {
                byte[] code = context == Context.Virtual8086 && name.Contains("fault") ? [0x0F, 0x22, 0xE0] : bytes;
                foreach (uint ss in (uint[])[0, 3, UserData, Ring1Data, AbsentData, KernelCode, ReadOnly, 0x400, 0x14, Conforming])
                    yield return Case($"{name} with SS0 {ss:x}", context, code) with { Patches = [(TaskSegment + 8, ss)], Flags = 0x3002 };
                foreach (uint esp in (uint[])[TestPages + 0x5800, TestPages + 0x3800])
                    yield return Case($"{name} with ESP0 {esp:x}", context, code) with { Patches = [(TaskSegment + 4, esp)], Flags = 0x3002 };
                yield return Case($"{name} with a short task-state segment", context, code) with
                {
                    Patches = Describe(TaskSelector, Segment(9, 0, TaskSegment, 7, 0, system: true)),
                    SetUp = a => { a.mov(eax, TaskSelector); a.ltr(ax); },
                    Flags = 0x3002,
                };
            }
        }
        int[] vectors = [0, 6, 10, 11, 12, 13, 14];
        foreach (Context context in (Context[])[Context.Kernel, Context.User])
        {
            foreach (int first in (int[])[0, 6, 13, 14, FreeVector])
            {
                byte[] code = first switch { 0 => [0x31, 0xC0, 0xF7, 0xF0], 6 => [0x0F, 0x0B], 13 => [0xCD, 0x60], 14 => [0xA1, 0, 0x50, 0, 0x40], _ => [0xCD, FreeVector] };
                foreach (int second in vectors)
                {
                    // A gate that faults as told: not present, beyond its segment, a task that is no task.
                    ulong gate = second switch
                    {
                        10 => Gate(0xE, 3, KernelCode, Landing, present: false),
                        11 => Gate(0xE, 3, AbsentCode, Landing),
                        13 => Gate(0xE, 3, KernelData, Landing),
                        12 => Gate(5, 3, OtherTaskSelector, 0),
                        _ => Gate((uint)second, 3, KernelCode, Landing),
                    };
                    yield return Case($"vector {first:x} whose gate fails in way {second}", context, code) with { Patches = [.. Put(Idt + (uint)first * 8, gate), .. second == 12 ? [(OtherTask + 0x50, 0x400u)] : Array.Empty<(uint, uint)>()] };
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> Tasks()
    {
        (string Name, byte[] Code)[] ways =
        [
            ("jmp", [0xEA, 0, 0, 0, 0, (byte)OtherTaskSelector, 0]), ("call", [0x9A, 0, 0, 0, 0, (byte)OtherTaskSelector, 0]), ("call a gate", [0x9A, 0, 0, 0, 0, (byte)TaskGate, 0]),
            ("jmp a gate", [0xEA, 0, 0, 0, 0, (byte)TaskGate, 0]), ("int", [0xCD, FreeVector]), ("fault", [0xCD, 0x60]), ("iret", [0xCF]),
        ];
        (string Name, (uint, uint)[] Patches)[] changes =
        [
            ("as it is", []),
            .. ((uint[])[0, 3, KernelData, UserCode, KernelCode | 3, Conforming, Conforming | 3, AbsentCode, 0x400, 0x14, SmallCode, KernelCode16, CallGateUser]).Select(v => ($"with CS {v:x}", new[] { (OtherTask + 0x4C, v) })),
            .. ((uint[])[0, 3, UserData, KernelCode, AbsentData, 0x400, Ring1Data, ReadOnly, 0xC, KernelData16]).Select(v => ($"with SS {v:x}", new[] { (OtherTask + 0x50, v) })),
            .. ((uint[])[0, 3, UserData, KernelCode, AbsentData, 0x400, ExecuteOnly, CallGateUser, 0xC]).Select(v => ($"with DS {v:x}", new[] { (OtherTask + 0x54, v) })),
            .. ((uint[])[0, 3, KernelData, 0x44, 0x400, TaskSelector]).Select(v => ($"with LDT {v:x}", new[] { (OtherTask + 0x60, v) })),
            .. ((uint[])[0, Tf, If, Nt, Rf, Ac, 0x3000, Vm, Vm | 0x3000, 0xFFFF_FFFF & ~(Vm | Tf | Nt | Vif | Vip)]).Select(v => ($"with EFLAGS {v:x}", new[] { (OtherTask + 0x24, v) })),
            ("with EIP in an absent page", [(OtherTask + 0x20, TestPages + 0x5000)]),
            ("with the debug trap", [(OtherTask + 0x64, 1)]),
            ("user level", [(OtherTask + 0x4C, UserCode), (OtherTask + 0x50, UserData), (OtherTask + 0x38, UserStack - 0x100), (OtherTask + 0x54, UserData), (OtherTask + 0x48, UserData), (OtherTask + 0x58, 0), (OtherTask + 0x5C, 0), (OtherTask + 0x20, Landing)]),
            ("not present", [.. Put(Gdt + OtherTaskSelector, Segment(9, 0, OtherTask, 0x67, 0, false, system: true))]),
            ("busy", [.. Put(Gdt + OtherTaskSelector, Segment(0xB, 0, OtherTask, 0x67, 0, system: true))]),
            ("short", [.. Put(Gdt + OtherTaskSelector, Segment(9, 0, OtherTask, 0x66, 0, system: true))]),
            ("of level 3", [.. Put(Gdt + OtherTaskSelector, Segment(9, 3, OtherTask, 0x67, 0, system: true))]),
            ("of 16 bits", [.. Put(Gdt + OtherTaskSelector, Segment(1, 3, OtherTask, 0x67, 0, system: true)), (OtherTask + 0x0C, Landing << 16), (OtherTask + 0x10, 2), (OtherTask + 0x20, 0x0010_0008), (OtherTask + 0x24, 0x0010_0010), (OtherTask + 0x28, 0)]),
            ("in an absent page", [.. Put(Gdt + OtherTaskSelector, Segment(9, 0, TestPages + 0x4FC0, 0x67, 0, system: true))]),
            ("not a task", [.. Put(Gdt + OtherTaskSelector, Segment(2, 0, OtherTask, 0x67, 0, system: true))]),
        ];
        foreach (Context context in (Context[])[Context.Kernel, Context.User, Context.Virtual8086])
        {
            foreach ((string name, byte[] code) in ways)
            {
                if (context == Context.Virtual8086 && name is not ("int" or "fault"))
                    continue;
                foreach ((string change, (uint, uint)[] patches) in changes)
                {
                    var all = new List<(uint, uint)>(patches);
                    if (name is "int" or "fault")
                        all.AddRange(Put(Idt + (name == "int" ? FreeVector : 13u) * 8, Gate(5, 3, OtherTaskSelector, 0)));
                    if (name == "iret")
                    {
                        all.Add((TaskSegment, OtherTaskSelector));
                        if (change is not ("not present" or "busy" or "short" or "of level 3" or "of 16 bits" or "in an absent page" or "not a task"))
                            all.AddRange(Put(Gdt + OtherTaskSelector, Segment(0xB, 0, OtherTask, 0x67, 0, system: true)));
                    }
                    yield return Case($"{name} to a task {change}", context, code) with
                    {
                        Patches = all,
                        Flags = 0x3002 | (name == "iret" ? Nt : 0),
                        Registers = new Dictionary<Register, uint> { [Register.EAX] = 0x8000_0000 },
                    };
                }
            }
        }
        foreach (uint link in (uint[])[0, OtherTaskSelector | 3, KernelData, 0x400, OtherTaskSelector | 4, LdtSelector])
            yield return Case($"iret to a task by link {link:x}", Context.Kernel, 0xCF) with { Patches = [(TaskSegment, link), .. Describe(OtherTaskSelector, Segment(0xB, 0, OtherTask, 0x67, 0, system: true))], Flags = 2 | Nt };
    }

    private static IEnumerable<PrivilegedCase> Debugging()
    {
        (string Name, byte[] Code)[] code =
        [
            ("nops", [0x90, 0x90]), ("mov ss", [0x8C, 0xD0, 0x8E, 0xD0, 0x90]), ("pushf", [0x9C, 0x58, 0x90]), ("popf", [0x9C, 0x9D, 0x90]), ("int 30h", [0xCD, FreeVector]), ("ud2", [0x0F, 0x0B]),
            ("rep movsb", [0xB9, 2, 0, 0, 0, 0xBE, 0x10, 0, 0, 0x40, 0xBF, 0x20, 0, 0, 0x40, 0xF3, 0xA4]), ("read", [0xA1, 0x10, 0, 0, 0x40, 0x90]), ("write", [0xA3, 0x10, 0, 0, 0x40, 0x90]),
            ("write a byte beside", [0xA2, 0x14, 0, 0, 0x40, 0x90]), ("modify", [0xFF, 0x05, 0x10, 0, 0, 0x40, 0x90]), ("page fault", [0xA1, 0, 0x50, 0, 0x40]), ("out", [0xE6, 0x80, 0x90]), ("jmp", [0xEB, 0, 0x90]), ("sti", [0xFB, 0x90]),
        ];
        foreach (Context context in (Context[])[Context.Kernel, Context.User])
        {
            foreach ((string name, byte[] bytes) in code)
            {
                yield return Case($"TF, {name}", context, bytes) with { Flags = 0x3002 | Tf };
                foreach ((string kind, uint address, uint control) in ((string, uint, uint)[])
                    [("execute", CodePage, 0x1), ("execute later", CodePage + (uint)bytes.Length - 1, 0x2), ("write", TestPages + 0x10, 0xD_0001), ("read or write", TestPages + 0x10, 0xF_0001), ("byte", TestPages + 0x12, 0x3_0001), ("port", 0x80, 0x2_0002), ("off", CodePage, 0)])
                {
                    yield return Case($"breakpoint {kind}, {name}", context, bytes) with
                    {
                        Flags = 0x3002,
                        SetUp = a => { a.mov(eax, address); a.mov(dr0, eax); a.mov(eax, control | 0x400); a.mov(dr7, eax); },
                    };
                }
            }
            yield return Case("breakpoint under RF", context, 0x90, 0x90) with
            {
                Flags = 2 | Rf,
                SetUp = a => { a.mov(eax, CodePage); a.mov(dr0, eax); a.mov(eax, 0x401u); a.mov(dr7, eax); },
            };
        }
    }

    private static IEnumerable<PrivilegedCase> Virtual8086()
    {
        (string Name, byte[] Code)[] code =
        [
            ("cli", [0xFA]), ("sti", [0xFB]), ("pushf", [0x9C, 0x58]), ("popf", [0x68, 0x02, 0x02, 0x9D, 0x9C, 0x58]), ("popf with TF", [0x68, 0x02, 0x01, 0x9D]),
            ("int 30h", [0xCD, 0x30]), ("int 10h", [0xCD, 0x10]), ("iret", [0x68, 0x02, 0x02, 0x68, 0, 0x05, 0x6A, 0, 0xCF]), ("int3", [0xCC]), ("pushfd", [0x66, 0x9C]), ("lds", [0xC5, 0x1E, 0x10, 0]),
            ("mov ds", [0x8E, 0xD8, 0xA1, 0, 0]), ("far call", [0x9A, 0, 0, 0, 5]), ("retf", [0x68, 0, 5, 0x6A, 0, 0xCB]), ("lock", [0xF0, 0x01, 0x07]), ("arpl", [0x63, 0xC0]), ("int 60h", [0xCD, 0x60]),
        ];
        foreach ((string name, byte[] bytes) in code)
        {
            foreach (uint iopl in (uint[])[2, 0x3002])
            {
                foreach (uint extra in (uint[])[0, If, Vif, Vip, Vif | Vip, If | Vip])
                {
                    foreach (uint control in (uint[])[0x18, 0x19])
                    {
                        yield return Case($"{name}, flags {iopl | extra:x}, CR4 {control:x}", Context.Virtual8086, bytes) with
                        {
                            Flags = iopl | extra,
                            Patches = [(0xC0, Landing << 12), (0x40, Landing << 12)],
                            SetUp = a => { a.mov(eax, control); a.mov(cr4, eax); },
                        };
                        if (control == 0x18 || name is not ("cli" or "sti" or "pushf"))
                            continue;
                        foreach (Context context in (Context[])[Context.User, Context.Ring1])
                            yield return Case($"{name} under PVI, flags {iopl | extra:x}", context, bytes) with { Flags = iopl | extra, SetUp = a => { a.mov(eax, 0x1A); a.mov(cr4, eax); } };
                    }
                }
            }
        }
    }

    private static IEnumerable<PrivilegedCase> Alignment()
    {
        foreach (Context context in Levels)
        {
            foreach (uint offset in (uint[])[0, 1, 2, 4, 0xFFE])
            {
                (string Name, byte[] Code)[] code = [("byte", [0x8A, 0x03]), ("word", [0x66, 0x8B, 0x03]), ("doubleword", [0x8B, 0x03]), ("write", [0x89, 0x03]), ("quadword", [0xDD, 0x03]), ("modify", [0x01, 0x03]), ("absent", [0x8B, 0x83, 0, 0x50, 0, 0])];
                foreach ((string name, byte[] bytes) in code)
                {
                    yield return Case($"{name} at {offset:x} under AC", context, bytes) with
                    {
                        Flags = 2 | Ac,
                        Registers = new Dictionary<Register, uint> { [Register.EBX] = TestPages + offset },
                        SetUp = a => { a.mov(eax, 0x8005_0033); a.mov(cr0, eax); },
                    };
                }
            }
        }
    }
}
