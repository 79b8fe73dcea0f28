using Iced.Intel;

namespace X86Virt.Engine.Processor;

/// <summary>x87 instructions about the unit's own state: control and status words, environment, initialisation, EMMS (AMD volume 5).</summary>
internal static unsafe class X87ControlFamily
{
    private const ushort MaskAll = 0x3F;

    public static Handler Bind(in Instruction instruction, bool memory)
    {
        if ((HostFeatures.InstructionSets & InstructionSets.X87) == 0)
            return null;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Wait:
                return &Wait;
            case Mnemonic.Fnop:
                return &WaitingNop;
            case Mnemonic.Fneni or Mnemonic.Fndisi or Mnemonic.Fnsetpm:
                return &Nop;
            case Mnemonic.Fninit:
                return &Initialize;
            case Mnemonic.Fnclex:
                return &ClearExceptions;
            case Mnemonic.Fnstcw:
                return &StoreControl;
            case Mnemonic.Fldcw:
                return &LoadControl;
            case Mnemonic.Fnstsw:
                return memory ? &StoreStatus : &StatusToAx;
            case Mnemonic.Fnstenv:
                return instruction.Code == Code.Fnstenv_m14byte ? &StoreEnvironment16 : &StoreEnvironment32;
            case Mnemonic.Fldenv:
                return instruction.Code == Code.Fldenv_m14byte ? &LoadEnvironment16 : &LoadEnvironment32;
            case Mnemonic.Fnsave:
                return instruction.Code == Code.Fnsave_m94byte ? &Save16 : &Save32;
            case Mnemonic.Frstor:
                return instruction.Code == Code.Frstor_m94byte ? &Restore16 : &Restore32;
            case Mnemonic.Emms:
                return &EmptyMmx;
            default:
                return null;
        }
    }

    /// <summary>FWAIT heeds CR0.TS only with CR0.MP, and not CR0.EM.</summary>
    private static Op* Wait(CpuState* s, Op* op)
    {
        if ((s->Cr0 & (Cr0.Mp | Cr0.Ts)) == (Cr0.Mp | Cr0.Ts))
            return Fault.Raise(s, op, Vector.DeviceNotAvailable);
        return X87State.ExceptionPending(s) ? Fault.Raise(s, op, Vector.FloatingPoint) : op + 1;
    }

    private static Op* WaitingNop(CpuState* s, Op* op) => X87Unit.Ready(s) ? op + 1 : X87Unit.Unavailable(s, op);

    private static Op* Nop(CpuState* s, Op* op) => X87ControlUnit.Ready(s) ? op + 1 : X87ControlUnit.Unavailable(s, op);

    private static Op* Initialize(CpuState* s, Op* op)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        X87State.Initialize(s);
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* ClearExceptions(CpuState* s, Op* op)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        X87State.Status(s) &= X87State.ConditionsAndTop;
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* StoreControl(CpuState* s, Op* op)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        return Operand.WriteMemory<ushort>(s, op, X87State.Control(s)) ? op + 1 : null;
    }

    private static Op* LoadControl(CpuState* s, Op* op)
    {
        if (!X87Unit.Ready(s))
            return X87Unit.Unavailable(s, op);
        if (!Operand.ReadMemory<ushort>(s, op, out ulong value))
            return null;
        X87State.SetControl(s, (ushort)value);
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* StoreStatus(CpuState* s, Op* op)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        return Operand.WriteMemory<ushort>(s, op, X87State.Status(s)) ? op + 1 : null;
    }

    private static Op* StatusToAx(CpuState* s, Op* op)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        *(ushort*)&s->Rax = X87State.Status(s);
        return op + 1;
    }

    private static Op* EmptyMmx(CpuState* s, Op* op)
    {
        if (!MmxUnit.Ready(s))
            return MmxUnit.Unavailable(s, op);
        X87State.Tags(s) = 0;
        X87State.Status(s) &= X87State.NotTop;
        return op + 1;
    }

    private static Op* StoreEnvironment16(CpuState* s, Op* op) => StoreEnvironment(s, op, wide: false);

    private static Op* StoreEnvironment32(CpuState* s, Op* op) => StoreEnvironment(s, op, wide: true);

    private static Op* StoreEnvironment(CpuState* s, Op* op, bool wide)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        byte* image = stackalloc byte[X87Environment.MaximumSize];
        int size = X87Environment.Store(s, image, wide);
        if (!WriteImage(s, op, image, size))
            return null;
        X87State.SetControl(s, (ushort)(X87State.Control(s) | MaskAll));
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* LoadEnvironment16(CpuState* s, Op* op) => LoadEnvironment(s, op, wide: false);

    private static Op* LoadEnvironment32(CpuState* s, Op* op) => LoadEnvironment(s, op, wide: true);

    private static Op* LoadEnvironment(CpuState* s, Op* op, bool wide)
    {
        if (!X87Unit.Ready(s))
            return X87Unit.Unavailable(s, op);
        byte* image = stackalloc byte[X87Environment.MaximumSize];
        if (!ReadImage(s, op, image, X87Environment.Size(wide)))
            return null;
        X87Environment.Load(s, image, wide);
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* Save16(CpuState* s, Op* op) => Save(s, op, wide: false);

    private static Op* Save32(CpuState* s, Op* op) => Save(s, op, wide: true);

    private static Op* Save(CpuState* s, Op* op, bool wide)
    {
        if (!X87ControlUnit.Ready(s))
            return X87ControlUnit.Unavailable(s, op);
        byte* image = stackalloc byte[X87Environment.MaximumSize];
        int size = X87Environment.Store(s, image, wide);
        for (int i = 0; i < 8; i++, size += sizeof(Float80))
            *(Float80*)(image + size) = *(Float80*)X87State.St(s, i);
        if (!WriteImage(s, op, image, size))
            return null;
        X87State.Initialize(s);
        return ModeChange.MasksLoaded(s, op);
    }

    private static Op* Restore16(CpuState* s, Op* op) => Restore(s, op, wide: false);

    private static Op* Restore32(CpuState* s, Op* op) => Restore(s, op, wide: true);

    private static Op* Restore(CpuState* s, Op* op, bool wide)
    {
        if (!X87Unit.Ready(s))
            return X87Unit.Unavailable(s, op);
        byte* image = stackalloc byte[X87Environment.MaximumSize];
        int environment = X87Environment.Size(wide);
        if (!ReadImage(s, op, image, environment + 8 * sizeof(Float80)))
            return null;
        X87Environment.Load(s, image, wide);
        for (int i = 0; i < 8; i++)
            *(Float80*)X87State.St(s, i) = *(Float80*)(image + environment + i * sizeof(Float80));
        return ModeChange.MasksLoaded(s, op);
    }

    private static bool ReadImage(CpuState* s, Op* op, byte* image, int size)
        => Operand.Linear(s, op, size, false, out ulong linear) && LinearMemory.ReadBytes(s, op, linear, image, size);

    private static bool WriteImage(CpuState* s, Op* op, byte* image, int size)
        => Operand.Linear(s, op, size, true, out ulong linear) && LinearMemory.WriteBytes(s, op, linear, image, size);
}
