using System.Globalization;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>Decodes a VMCB.</summary>
internal static unsafe class VmcbFields
{
    private const int QuadWord = 64;

    public static IReadOnlyList<VmcbField> Read(string machine, HardwareAssist monitor)
    {
        var fields = new List<VmcbField>();
        Vmcb* v = monitor.CurrentVmcb;
        AddControl();
        AddState();
        return fields;

        void AddControl()
        {
            AddIntercepts(0x000, "INTERCEPT_CR_READ", SvmExitCode.Cr0Read, 16);
            AddIntercepts(0x002, "INTERCEPT_CR_WRITE", SvmExitCode.Cr0Write, 16);
            AddIntercepts(0x004, "INTERCEPT_DR_READ", SvmExitCode.Dr0Read, 16);
            AddIntercepts(0x006, "INTERCEPT_DR_WRITE", SvmExitCode.Dr0Write, 16);
            AddIntercepts(0x008, "INTERCEPT_EXCEPTION", SvmExitCode.Exception0, 32);
            AddIntercepts(0x00C, "INTERCEPT_1", SvmExitCode.Intr, 32);
            AddIntercepts(0x010, "INTERCEPT_2", SvmExitCode.Vmrun, 32);
            AddIntercepts(0x014, "INTERCEPT_3", (SvmExitCode)0xA0, 32);
            Control(0x03C, "PAUSE_FILTER_THRESHOLD", v->PauseFilterThreshold, 16);
            Control(0x03E, "PAUSE_FILTER_COUNT", v->PauseFilterCount, 16);
            Control(0x040, "IOPM_BASE_PA", v->PortMap, QuadWord, "I/O permission map");
            Control(0x048, "MSRPM_BASE_PA", v->MsrMap, QuadWord, "MSR permission map");
            Control(0x050, "TSC_OFFSET", v->TscOffset, QuadWord, ((long)v->TscOffset).ToString(CultureInfo.InvariantCulture));
            Control(0x058, "GUEST_ASID", v->Asid, 32);
            Control(0x05C, "TLB_CONTROL", (ulong)v->TlbControl, 8, TlbControlName(v->TlbControl));
            Control(0x060, "VIRTUAL_INTERRUPT", v->VirtualInterrupt.Value, QuadWord, Describe(v->VirtualInterrupt));
            Control(0x068, "INTERRUPT_SHADOW", v->InterruptShadow, QuadWord, (v->InterruptShadow & 1) != 0 ? "in a shadow" : "");
            Control(0x070, "EXITCODE", (ulong)v->ExitCode, QuadWord, SvmExitName.Of(v->ExitCode));
            Control(0x078, "EXITINFO1", v->ExitInfo1, QuadWord);
            Control(0x080, "EXITINFO2", v->ExitInfo2, QuadWord);
            Control(0x088, "EXITINTINFO", v->ExitIntInfo.Value, QuadWord, VmExitDetail.Event(v->ExitIntInfo));
            Control(0x090, "NP_ENABLE", v->NestedControl, QuadWord, v->HasNestedPaging ? "nested paging" : "no nested paging");
            Control(0x0A8, "EVENTINJ", v->EventInjection.Value, QuadWord, VmExitDetail.Event(v->EventInjection));
            Control(0x0B0, "N_CR3", v->NestedCr3, QuadWord);
            Control(0x0C8, "nRIP", v->NextRip, QuadWord);
            Control(0x0D0, "FETCHED_BYTES", v->FetchedCount, 8, Convert.ToHexStringLower(new ReadOnlySpan<byte>(v->FetchedBytes, Math.Min((int)v->FetchedCount, 15))));
        }

        void AddState()
        {
            Segment(0x400, "ES", &v->Es, system: false);
            Segment(0x410, "CS", &v->Cs, system: false);
            Segment(0x420, "SS", &v->Ss, system: false);
            Segment(0x430, "DS", &v->Ds, system: false);
            Segment(0x440, "FS", &v->Fs, system: false);
            Segment(0x450, "GS", &v->Gs, system: false);
            State(0x460, "GDTR", v->Gdtr.Base, $"limit 0x{v->Gdtr.Limit:x}");
            Segment(0x470, "LDTR", &v->Ldtr, system: true);
            State(0x480, "IDTR", v->Idtr.Base, $"limit 0x{v->Idtr.Limit:x}");
            Segment(0x490, "TR", &v->Tr, system: true);
            Add(VmcbArea.State, 0x4CB, "CPL", v->Cpl, 8, "");
            State(0x4D0, "EFER", v->Efer, RegisterText.Efer(v->Efer));
            State(0x548, "CR4", v->Cr4, RegisterText.Cr4(v->Cr4));
            State(0x550, "CR3", v->Cr3);
            State(0x558, "CR0", v->Cr0, RegisterText.Cr0(v->Cr0));
            State(0x560, "DR7", v->Dr7);
            State(0x568, "DR6", v->Dr6, RegisterText.Dr6(v->Dr6));
            State(0x570, "RFLAGS", v->Rflags, RegisterText.Rflags(v->Rflags));
            State(0x578, "RIP", v->Rip);
            State(0x5D8, "RSP", v->Rsp);
            State(0x5F8, "RAX", v->Rax);
            State(0x600, "STAR", v->Star);
            State(0x608, "LSTAR", v->LStar);
            State(0x610, "CSTAR", v->CStar);
            State(0x618, "SFMASK", v->SfMask);
            State(0x620, "KERNEL_GS_BASE", v->KernelGsBase);
            State(0x628, "SYSENTER_CS", v->SysenterCs);
            State(0x630, "SYSENTER_ESP", v->SysenterEsp);
            State(0x638, "SYSENTER_EIP", v->SysenterEip);
            State(0x640, "CR2", v->Cr2);
            State(0x668, "G_PAT", v->GuestPat, v->HasNestedPaging ? "" : "without nested paging not in force");
        }

        void AddIntercepts(int offset, string name, SvmExitCode first, int bits)
        {
            ulong value = 0;
            var names = new List<string>();
            for (int i = 0; i < bits; i++)
            {
                SvmExitCode code = first + (ulong)i;
                if (!v->Has(code) && !monitor.Intercepts.Has(code))
                    continue;
                value |= 1UL << i;
                names.Add(SvmExitName.Of(code));
            }
            Control(offset, name, value, bits, string.Join(", ", names));
        }

        void Segment(int offset, string name, SegmentRegister* r, bool system) => Add(VmcbArea.State, offset, name, r->Selector, 16, RegisterText.Descriptor(r, system));

        void State(int offset, string name, ulong value, string description = "") => Add(VmcbArea.State, offset, name, value, QuadWord, description);

        void Control(int offset, string name, ulong value, int bits, string description = "") => Add(VmcbArea.Control, offset, name, value, bits, description);

        void Add(VmcbArea area, int offset, string name, ulong value, int bits, string description)
            => fields.Add(new VmcbField(machine, area, offset, name, value, RegisterText.Hex(value, bits), description));
    }

    private static string TlbControlName(TlbControl control) => control switch
    {
        TlbControl.Nothing => "keep",
        TlbControl.FlushAll => "flush all",
        TlbControl.FlushGuest => "flush this guest's",
        TlbControl.FlushGuestNonGlobal => "flush this guest's but global pages",
        _ => "",
    };

    private static string Describe(VirtualInterrupt v)
    {
        string text = $"V_TPR={v.TaskPriority}" + (v.MasksPhysical ? " V_INTR_MASKING" : "");
        return v.Requested ? $"{text} V_IRQ V_INTR_VECTOR=0x{v.Vector:x} V_INTR_PRIO={v.Value >> 16 & 0xF}{(v.IgnoresPriority ? " V_IGN_TPR" : "")}" : text;
    }
}
