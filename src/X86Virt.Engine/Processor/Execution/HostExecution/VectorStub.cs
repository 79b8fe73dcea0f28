using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Processor;

/// <summary>
/// Writes stubs of MMX, SSE and AVX instructions. Explicit vector operands travel in XMM1 to XMM4 (or MM0, MM1), general ones in R8
/// and R9, so that XMM0, EAX, ECX and EDX are free for implicit operands and no register that Windows has callees keep is used.
/// </summary>
internal static unsafe class VectorStub
{
    private const int HostMxcsr = 0x1F80;
    private const int MxcsrFlags = 0x3F;
    private const int X87Registers = CpuState.FxOffset + X87State.Registers;

    private static readonly AssemblerRegisterXMM[] Xmm = [xmm1, xmm2, xmm3, xmm4];
    private static readonly AssemblerRegisterYMM[] Ymm = [ymm1, ymm2, ymm3, ymm4];
    private static readonly AssemblerRegisterMM[] Mm = [mm0, mm1];
    private static readonly AssemblerRegister64[] General = [r8, r9];

    public static void Write(Assembler code, in Instruction instruction)
    {
        Instruction host = StubFrame.Redirect(instruction);
        bool vex = instruction.Encoding == EncodingKind.VEX;
        bool wide = false, mmx = false;
        bool floating = RaisesFloatingPoint(instruction.Mnemonic);
        UsedRegister[] implied = Implicit(instruction);
        OpAccess firstAccess = new InstructionInfoFactory().GetInfo(instruction).Op0Access;

        StubFrame.Begin(code);
        int registers = 0, generals = 0;
        for (int i = 0; i < host.OpCount; i++)
        {
            if (host.GetOpKind(i) != OpKind.Register)
                continue;
            Register register = host.GetOpRegister(i);
            if (register.IsGPR())
            {
                code.movzx(eax, StubFrame.OperandField(registers));
                code.mov(General[generals], __qword_ptr[StubFrame.State + rax]);
                host.SetOpRegister(i, Sized(register, generals++));
            }
            else if (register.IsMM())
            {
                mmx = true;
                Locate(code, registers, 4);
                code.movq(Mm[registers], __qword_ptr[StubFrame.State + rax + X87Registers]);
                host.SetOpRegister(i, Register.MM0 + registers);
            }
            else
            {
                wide |= register.IsYMM();
                if (i == 3)
                    code.mov(eax, OperandRegisters.Name(register) * CpuState.VectorSize);
                else
                    Locate(code, registers, 5);
                if (i > 0 || !vex || firstAccess is not (OpAccess.Write or OpAccess.CondWrite))
                    Load(code, registers, vex, register.IsYMM());
                host.SetOpRegister(i, (register.IsYMM() ? Register.YMM1 : Register.XMM1) + registers);
            }
            registers++;
        }
        foreach (UsedRegister used in implied)
            LoadImplicit(code, used, vex);

        if (floating)
            LoadMxcsr(code);
        code.AddInstruction(host);
        bool flags = StubFrame.WritesFlags(instruction);
        if (flags)
        {
            StubFrame.TakeFlags(code);
            code.mov(r9d, eax);
        }
        if (mmx)
        {
            // Any MMX instruction leaves the x87 stack full with TOP at 0, even one that raises #XM.
            code.and(__word_ptr[StubFrame.State + CpuState.FxOffset + 2], 0xC7FF);
            code.mov(__byte_ptr[StubFrame.State + CpuState.FxOffset + 4], 0xFF);
        }
        Label fault = code.CreateLabel();
        if (floating)
            MergeMxcsr(code, fault);
        if (flags)
            code.mov(__dword_ptr[StubFrame.State + CpuState.StatusFlagsOffset], r9d);
        if (instruction.Op0Kind == OpKind.Register && firstAccess is not (OpAccess.Read or OpAccess.None))
            StoreFirst(code, instruction.Op0Register, vex);
        foreach (UsedRegister used in implied)
            StoreImplicit(code, used, vex);
        code.xor(eax, eax);
        if (floating)
            code.Label(ref fault);
        if (mmx)
            code.emms();
        if (wide)
            code.vzeroupper();
        code.ret();
    }

    private static Register Sized(Register register, int general)
        => (register.IsGPR64() ? Register.R8 : register.IsGPR32() ? Register.R8D : register.IsGPR16() ? Register.R8W : Register.R8L) + general;

    /// <summary>RAX: the number of a register operand scaled to its place.</summary>
    private static void Locate(Assembler code, int register, byte shift)
    {
        code.movzx(eax, StubFrame.OperandField(register));
        code.shl(eax, shift);
    }

    private static void Load(Assembler code, int register, bool vex, bool wide)
    {
        AssemblerMemoryOperand place = StubFrame.State + rax + CpuState.VectorsOffset;
        if (wide)
            code.vmovdqu(Ymm[register], __ymmword_ptr[place]);
        else if (vex)
            code.vmovdqu(Xmm[register], __xmmword_ptr[place]);
        else
            code.movdqu(Xmm[register], __xmmword_ptr[place]);
    }

    private static void StoreFirst(Assembler code, Register register, bool vex)
    {
        if (register.IsGPR())
        {
            code.movzx(eax, StubFrame.OperandField(0));
            if (register.IsGPR16())
                code.mov(__word_ptr[StubFrame.State + rax], r8w);
            else
                code.mov(__qword_ptr[StubFrame.State + rax], r8);
        }
        else if (register.IsMM())
        {
            Locate(code, 0, 4);
            code.movq(__qword_ptr[StubFrame.State + rax + X87Registers], mm0);
            code.mov(__word_ptr[StubFrame.State + rax + X87Registers + 8], 0xFFFF);
        }
        else
        {
            Locate(code, 0, 5);
            AssemblerMemoryOperand place = StubFrame.State + rax + CpuState.VectorsOffset;
            // A VEX instruction on XMM registers clears the upper half; a legacy one leaves it alone.
            if (vex)
                code.vmovdqu(__ymmword_ptr[place], ymm1);
            else
                code.movdqu(__xmmword_ptr[place], xmm1);
        }
    }

    /// <summary>Registers that the instruction uses without naming them in an operand.</summary>
    private static UsedRegister[] Implicit(in Instruction instruction)
    {
        if (instruction.Mnemonic is not (Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm
            or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64 or Mnemonic.Vpcmpestri or Mnemonic.Vpcmpestrm or Mnemonic.Vpcmpistri or Mnemonic.Vpcmpistrm
            or Mnemonic.Vpcmpestri64 or Mnemonic.Vpcmpestrm64 or Mnemonic.Blendvpd or Mnemonic.Blendvps or Mnemonic.Pblendvb or Mnemonic.Sha256rnds2))
            return [];
        // Explicit operands are renamed first, so that what is left is implicit.
        Instruction renamed = StubFrame.Redirect(instruction);
        for (int i = 0; i < renamed.OpCount; i++)
        {
            if (renamed.GetOpKind(i) == OpKind.Register)
                renamed.SetOpRegister(i, Register.XMM1 + i);
        }
        InstructionInfo info = new InstructionInfoFactory().GetInfo(renamed);
        return [.. info.GetUsedRegisters().Where(u => u.Register.GetFullRegister() is Register.RAX or Register.RCX or Register.RDX or Register.ZMM0)];
    }

    private static void LoadImplicit(Assembler code, UsedRegister used, bool vex)
    {
        if (used.Access is OpAccess.Write or OpAccess.CondWrite)
            return;
        AssemblerMemoryOperand Place(int offset) => __qword_ptr[StubFrame.State + offset];
        switch (used.Register.GetFullRegister())
        {
            case Register.RAX:
                code.mov(rax, Place(CpuState.RaxOffset));
                break;
            case Register.RDX:
                code.mov(rdx, Place(CpuState.RdxOffset));
                break;
            case Register.ZMM0 when vex:
                code.vmovdqu(xmm0, __xmmword_ptr[StubFrame.State + CpuState.VectorsOffset]);
                break;
            case Register.ZMM0:
                code.movdqu(xmm0, __xmmword_ptr[StubFrame.State + CpuState.VectorsOffset]);
                break;
        }
    }

    private static void StoreImplicit(Assembler code, UsedRegister used, bool vex)
    {
        if (used.Access is OpAccess.Read or OpAccess.CondRead)
            return;
        if (used.Register.GetFullRegister() == Register.RCX)
            code.mov(__qword_ptr[StubFrame.State + CpuState.RcxOffset], rcx);
        else if (vex)
            code.vmovdqu(__ymmword_ptr[StubFrame.State + CpuState.VectorsOffset], ymm0);
        else
            code.movdqu(__xmmword_ptr[StubFrame.State + CpuState.VectorsOffset], xmm0);
    }

    /// <summary>
    /// The guest's rounding and denormal modes, with every exception masked and no flag set. While the guest has underflow unmasked, FZ is
    /// set: masked underflow is reported only with an inexact result otherwise, with FZ always (and the result is not used then).
    /// </summary>
    private static void LoadMxcsr(Assembler code)
    {
        code.mov(eax, __dword_ptr[StubFrame.State + CpuState.MxcsrOffset]);
        code.mov(r9d, eax);
        code.not(r9d);
        code.and(r9d, SimdException.UnderflowMask);
        code.shl(r9d, 4);
        code.or(eax, r9d);
        code.and(eax, ~MxcsrFlags);
        code.or(eax, HostMxcsr);
        code.mov(__dword_ptr[StubFrame.State + CpuState.HostMxcsrOffset], eax);
        code.ldmxcsr(__dword_ptr[StubFrame.State + CpuState.HostMxcsrOffset]);
    }

    /// <summary>
    /// Restores the host's MXCSR and merges the flags that the instruction raised into the guest's; leaves with them in EAX if
    /// one is unmasked, before any result is stored.
    /// </summary>
    private static void MergeMxcsr(Assembler code, Label fault)
    {
        AssemblerMemoryOperand scratch = __dword_ptr[StubFrame.State + CpuState.HostMxcsrOffset];
        code.stmxcsr(scratch);
        code.mov(eax, scratch);
        code.mov(scratch, HostMxcsr);
        code.ldmxcsr(scratch);
        code.and(eax, MxcsrFlags);
        code.mov(edx, __dword_ptr[StubFrame.State + CpuState.MxcsrOffset]);
        code.mov(ecx, edx);
        code.shr(ecx, 7);
        code.not(ecx);
        code.test(ecx, eax);
        code.jne(fault);
        code.or(edx, eax);
        code.mov(__dword_ptr[StubFrame.State + CpuState.MxcsrOffset], edx);
    }

    private static readonly string[] FloatingPointNames =
        ["add", "sub", "mul", "div", "sqrt", "min", "max", "cmp", "comi", "ucomi", "cvt", "round", "dpp", "hadd", "hsub", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmaddsub", "fmsubadd"];

    /// <summary>
    /// Whether MXCSR matters to an instruction. Told from the manuals' names: an operation on packed or scalar floating point numbers
    /// (integer ones start with P), but for moves, logic, shuffles and the reciprocal estimates, which raise nothing.
    /// </summary>
    private static bool RaisesFloatingPoint(Mnemonic mnemonic)
    {
        string name = mnemonic.ToString().ToLowerInvariant();
        if (name[0] == 'v')
            name = name[1..];
        return Array.Exists(FloatingPointNames, p => name.StartsWith(p, StringComparison.Ordinal));
    }
}
