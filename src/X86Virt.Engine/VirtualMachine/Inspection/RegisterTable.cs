using System.Numerics;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>
/// One register by name: how to read it, write it and tell what it holds. A part of another (EAX, CF, CS.Base) is found by its own
/// name and left out of listings.
/// </summary>
internal sealed record RegisterDefinition(
    string Name, RegisterGroup Group, int Bits, bool IsPart, Func<Cpu, BigInteger> Read, Action<Cpu, BigInteger> Write, Func<Cpu, string> Describe);

/// <summary>Every register of the processor by name. Immutable.</summary>
internal static unsafe class RegisterTable
{
    private delegate void* Locate(CpuState* s);

    private static readonly Dictionary<string, RegisterDefinition> s_byName = new(StringComparer.OrdinalIgnoreCase);
    private static readonly List<RegisterDefinition> s_all = [];

    private static readonly string[] s_legacyNames = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"];

    static RegisterTable()
    {
        AddGeneral();
        AddFlags();
        AddSegments();
        AddControl();
        AddDebug();
        AddMsrs();
        AddFloatingPoint();
        AddVectors();
    }

    /// <summary>In the order in which they are listed.</summary>
    public static IReadOnlyList<RegisterDefinition> All => s_all;

    public static RegisterDefinition? Find(string name) => s_byName.GetValueOrDefault(name);

    private static void Add(RegisterDefinition definition)
    {
        s_all.Add(definition);
        s_byName.Add(definition.Name, definition);
    }

    private static void Field(string name, RegisterGroup group, int bits, Locate locate, string meaning, bool part = false)
        => Field(name, group, bits, locate, _ => meaning, part);

    private static void Field(string name, RegisterGroup group, int bits, Locate locate, Func<Cpu, string> describe, bool part = false)
        => Add(new RegisterDefinition(name, group, bits, part,
            cpu => new BigInteger(new ReadOnlySpan<byte>(locate(cpu.State), bits / 8), isUnsigned: true),
            (cpu, value) =>
            {
                var field = new Span<byte>(locate(cpu.State), bits / 8);
                field.Clear();
                value.TryWriteBytes(field, out _, isUnsigned: true);
            },
            describe));

    private static void AddGeneral()
    {
        for (int i = 0; i < 16; i++)
        {
            int r = i;
            string name = i < 8 ? "R" + s_legacyNames[i] : $"R{i}";
            Field(name, RegisterGroup.General, 64, s => &s->Gpr[r], i == 4 ? "stack pointer" : "");
        }
        Field("RIP", RegisterGroup.General, 64, s => &s->Rip, cpu => $"next instruction, {Bitness(cpu)}-bit code");
        for (int i = 0; i < 16; i++)
        {
            int r = i;
            string name64 = i < 8 ? "R" + s_legacyNames[i] : $"R{i}";
            string part = "part of " + name64;
            Field(i < 8 ? "E" + s_legacyNames[i] : $"R{i}D", RegisterGroup.General, 32, s => &s->Gpr[r], part, true);
            Field(i < 8 ? s_legacyNames[i] : $"R{i}W", RegisterGroup.General, 16, s => &s->Gpr[r], part, true);
            Field(i < 4 ? s_legacyNames[i][0] + "L" : i < 8 ? s_legacyNames[i] + "L" : $"R{i}B", RegisterGroup.General, 8, s => &s->Gpr[r], part, true);
            if (i < 4)
                Field(s_legacyNames[i][0] + "H", RegisterGroup.General, 8, s => (byte*)&s->Gpr[r] + 1, part, true);
        }
        Field("EIP", RegisterGroup.General, 32, s => &s->Rip, "part of RIP", true);
        Field("IP", RegisterGroup.General, 16, s => &s->Rip, "part of RIP", true);
        Field("CPL", RegisterGroup.General, 8, s => &s->Cpl, "current privilege level", true);
    }

    private static int Bitness(Cpu cpu) => Disassembler.BitnessOf(cpu);

    private static void AddFlags()
    {
        Add(new RegisterDefinition("RFLAGS", RegisterGroup.General, 64, false, cpu => Flags.Rflags(cpu.State),
            (cpu, value) => SetRflags(cpu.State, (ulong)value), cpu => RegisterText.Rflags(Flags.Rflags(cpu.State))));
        Add(new RegisterDefinition("EFLAGS", RegisterGroup.General, 32, true, cpu => (uint)Flags.Rflags(cpu.State),
            (cpu, value) => SetRflags(cpu.State, (ulong)value), cpu => RegisterText.Rflags(Flags.Rflags(cpu.State))));
        foreach ((string name, int bit) in RegisterText.RflagsBits)
        {
            Add(new RegisterDefinition(name, RegisterGroup.General, 1, true, cpu => (Flags.Rflags(cpu.State) >> bit) & 1,
                (cpu, value) => SetRflags(cpu.State, (Flags.Rflags(cpu.State) & ~(1UL << bit)) | ((ulong)value << bit)),
                _ => $"bit {bit} of RFLAGS"));
        }
        Add(new RegisterDefinition("IOPL", RegisterGroup.General, 2, true, cpu => cpu.State->Iopl,
            (cpu, value) => SetRflags(cpu.State, (Flags.Rflags(cpu.State) & ~(ulong)Flags.IoplMask) | ((ulong)value << 12)),
            _ => "I/O privilege level, bits 12 and 13 of RFLAGS"));
    }

    private static void SetRflags(CpuState* s, ulong value)
    {
        const ulong Defined = 0x3F_7FD5;
        s->StatusFlags = Flags.FromRflags(value);
        s->SystemFlags = ((uint)(value & Defined) & ~Flags.RflagsStatus) | 2;
    }

    private static void AddSegments()
    {
        for (Segment i = Segment.Es; i <= Segment.Tr; i++)
        {
            Segment segment = i;
            string name = segment.ToString().ToUpperInvariant();
            Add(new RegisterDefinition(name, RegisterGroup.Segment, 16, false, cpu => CpuState.Seg(cpu.State, segment)->Selector,
                (cpu, value) => SetSelector(cpu.State, segment, (ushort)value),
                cpu => RegisterText.Descriptor(CpuState.Seg(cpu.State, segment), segment >= Segment.Ldtr)));
            Field($"{name}.Base", RegisterGroup.Segment, 64, s => &CpuState.Seg(s, segment)->Base, $"hidden part of {name}", true);
            Field($"{name}.Limit", RegisterGroup.Segment, 32, s => &CpuState.Seg(s, segment)->Limit, $"hidden part of {name}, in bytes", true);
            Field($"{name}.Attributes", RegisterGroup.Segment, 16, s => &CpuState.Seg(s, segment)->Attributes, $"hidden part of {name}, as in a VMCB", true);
        }
        Field("GDTR.Base", RegisterGroup.Segment, 64, s => &s->Gdtr.Base, "global descriptor table");
        Field("GDTR.Limit", RegisterGroup.Segment, 16, s => &s->Gdtr.Limit, "");
        Field("IDTR.Base", RegisterGroup.Segment, 64, s => &s->Idtr.Base, "interrupt descriptor table");
        Field("IDTR.Limit", RegisterGroup.Segment, 16, s => &s->Idtr.Limit, "");
    }

    /// <summary>The base follows the selector in real and virtual-8086 mode; elsewhere the hidden part stays as it is.</summary>
    private static void SetSelector(CpuState* s, Segment segment, ushort selector)
    {
        SegmentRegister* r = CpuState.Seg(s, segment);
        r->Selector = selector;
        if (segment < Segment.Ldtr && (!s->ProtectedMode || s->Virtual8086))
            r->Base = (ulong)selector << 4;
    }

    private static void AddControl()
    {
        Field("CR0", RegisterGroup.Control, 64, s => &s->Cr0, cpu => RegisterText.Cr0(cpu.State->Cr0));
        Field("CR2", RegisterGroup.Control, 64, s => &s->Cr2, "address of the last page fault");
        Field("CR3", RegisterGroup.Control, 64, s => &s->Cr3, "page-table base");
        Field("CR4", RegisterGroup.Control, 64, s => &s->Cr4, cpu => RegisterText.Cr4(cpu.State->Cr4));
        Add(new RegisterDefinition("CR8", RegisterGroup.Control, 4, false, cpu => cpu.Bus.TaskPriority,
            (cpu, value) => cpu.Bus.TaskPriority = (ulong)value, _ => "task priority"));
        Field("EFER", RegisterGroup.Control, 64, s => &s->Efer, cpu => RegisterText.Efer(cpu.State->Efer));
        Field("XCR0", RegisterGroup.Control, 64, s => &s->Xcr0, "extended states enabled");
    }

    private static void AddDebug()
    {
        for (int i = 0; i < 4; i++)
        {
            int r = i;
            Field($"DR{i}", RegisterGroup.Debug, 64, s => &s->Dr[r], "breakpoint address");
        }
        Field("DR6", RegisterGroup.Debug, 64, s => &s->Dr[6], cpu => RegisterText.Dr6(cpu.State->Dr[6]));
        Field("DR7", RegisterGroup.Debug, 64, s => &s->Dr[7], "breakpoint control");
    }

    private static void AddMsrs()
    {
        Field("STAR", RegisterGroup.Msr, 64, s => &s->Star, "SYSCALL selectors and 32-bit target");
        Field("LSTAR", RegisterGroup.Msr, 64, s => &s->LStar, "SYSCALL target in 64-bit mode");
        Field("CSTAR", RegisterGroup.Msr, 64, s => &s->CStar, "SYSCALL target in compatibility mode");
        Field("SFMASK", RegisterGroup.Msr, 64, s => &s->SfMask, "RFLAGS that SYSCALL clears");
        Field("FS_BASE", RegisterGroup.Msr, 64, s => &CpuState.Seg(s, Segment.Fs)->Base, "");
        Field("GS_BASE", RegisterGroup.Msr, 64, s => &CpuState.Seg(s, Segment.Gs)->Base, "");
        Field("KERNEL_GS_BASE", RegisterGroup.Msr, 64, s => &s->KernelGsBase, "exchanged by SWAPGS");
        Field("TSC_AUX", RegisterGroup.Msr, 64, s => &s->TscAux, "read by RDTSCP");
        Field("SYSENTER_CS", RegisterGroup.Msr, 64, s => &s->SysenterCs, "");
        Field("SYSENTER_ESP", RegisterGroup.Msr, 64, s => &s->SysenterEsp, "");
        Field("SYSENTER_EIP", RegisterGroup.Msr, 64, s => &s->SysenterEip, "");
        Field("PAT", RegisterGroup.Msr, 64, s => &s->Pat, "page attribute table");
        Add(new RegisterDefinition("TSC", RegisterGroup.Msr, 64, false, cpu => cpu.Bus.TimeStamp + cpu.State->TscOffset,
            (cpu, value) => cpu.State->TscOffset = (ulong)value - cpu.Bus.TimeStamp, _ => "time-stamp counter"));
    }

    private static void AddFloatingPoint()
    {
        Field("FCW", RegisterGroup.FloatingPoint, 16, s => s->Fx, "x87 control word");
        Field("FSW", RegisterGroup.FloatingPoint, 16, s => s->Fx + 2, cpu => $"x87 status word, top {Top(cpu.State)}");
        Field("FTW", RegisterGroup.FloatingPoint, 8, s => s->Fx + 4, "x87 registers in use, a bit each");
        Field("FOP", RegisterGroup.FloatingPoint, 16, s => s->Fx + 6, "last x87 opcode");
        Field("FIP", RegisterGroup.FloatingPoint, 64, s => s->Fx + 8, "last x87 instruction");
        Field("FDP", RegisterGroup.FloatingPoint, 64, s => s->Fx + 16, "last x87 operand");
        for (int i = 0; i < 8; i++)
        {
            int r = i;
            Field($"ST{i}", RegisterGroup.FloatingPoint, 80, s => s->Fx + 32 + 16 * r,
                cpu => (cpu.State->Fx[4] >> ((Top(cpu.State) + r) & 7) & 1) == 0 ? "empty" : RegisterText.Extended(cpu.State->Fx + 32 + 16 * r));
        }
        for (int i = 0; i < 8; i++)
        {
            int r = i;
            Field($"MM{i}", RegisterGroup.FloatingPoint, 64, s => s->Fx + 32 + 16 * ((r - Top(s)) & 7), "significand of an x87 register", true);
        }
    }

    /// <summary>The x87 register that ST0 is.</summary>
    private static int Top(CpuState* s) => *(ushort*)(s->Fx + 2) >> 11 & 7;

    private static void AddVectors()
    {
        Field("MXCSR", RegisterGroup.Vector, 32, s => &s->Mxcsr, "SSE control and status");
        for (int i = 0; i < 16; i++)
        {
            int r = i;
            Field($"XMM{i}", RegisterGroup.Vector, 128, s => s->Vectors + 32 * r, "");
        }
        for (int i = 0; i < 16; i++)
        {
            int r = i;
            Field($"YMM{i}", RegisterGroup.Vector, 256, s => s->Vectors + 32 * r, $"low half XMM{i}", true);
        }
    }
}
