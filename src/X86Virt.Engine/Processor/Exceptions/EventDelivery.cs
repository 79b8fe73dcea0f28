namespace X86Virt.Engine.Processor;

/// <summary>What happens between two instructions: exceptions, traps, NMIs and interrupts, by priority (AMD volume 2, 8.5).</summary>
internal static unsafe class EventDelivery
{
    /// <summary>
    /// Sees to everything in <see cref="CpuState.Attention"/> that can be seen to now. False if the engine must return: stop requested,
    /// halted, shut down. What is left in Attention afterwards means that instructions must be executed one at a time.
    /// </summary>
    public static bool Service(Cpu cpu)
    {
        CpuState* s = cpu.State;
        if (!Settle(cpu) || ((s->Attention & Attention.Interrupt) != 0 && !ServiceInterrupts(cpu)))
            return false;
        if ((s->Attention & (Attention.Exception | Attention.VmExit)) != 0)
            return Service(cpu);
        return (s->Attention & (Attention.Stop | Attention.Halt)) == 0;
    }

    /// <summary>Sees to what the last instruction brought about: its exception, its debug trap, its #VMEXIT. False if the engine must return.</summary>
    public static bool Settle(Cpu cpu)
    {
        CpuState* s = cpu.State;
        if ((s->Attention & Attention.Patched) != 0)
            Control.RestorePatched(s);
        if (s->ShutDown)
            return false;
        while ((s->Attention & (Attention.Exception | Attention.VmExit)) != 0)
        {
            if ((s->Attention & Attention.VmExit) != 0 ? !cpu.Svm!.Leave() : !ExceptionDelivery.Deliver(cpu))
                return false;
        }
        if ((s->Attention & Attention.DebugTrap) == 0 || InstructionBoundary.Shadow(s) == InterruptShadow.MovSs)
            return true;
        return ExceptionDelivery.DeliverDebugTrap(cpu) && ((s->Attention & Attention.VmExit) == 0 || Settle(cpu));
    }

    /// <summary>Accepts NMIs and interrupts while any is due; false after a triple fault.</summary>
    private static bool ServiceInterrupts(Cpu cpu)
    {
        CpuState* s = cpu.State;
        while (true)
        {
            // In a shadow Attention keeps its bit, so that the next instruction is executed alone and this is asked again behind it.
            if (InstructionBoundary.Shadow(s) != InterruptShadow.None)
                return true;
            cpu.WithdrawAttention(Attention.Interrupt);
            if (s->GlobalInterruptsOff)
            {
                s->InterruptDeferred = true;
                return true;
            }
            if ((s->InitPending || s->SmiPending) && !cpu.Svm!.AcceptSignals())
                return true;
            if (s->GuestMode && cpu.Svm!.TakesInterrupt())
                return true;
            InterruptEvent e;
            if (s->NmiPending && !s->NmiBlocked)
            {
                s->NmiPending = false;
                s->NmiBlocked = true;
                cpu.Statistics.Nmis++;
                e = new InterruptEvent((byte)Vector.Nmi, EventSource.Nmi, s->Rip);
            }
            else if (cpu.Bus.InterruptPending && cpu.AllowsInterrupts)
            {
                e = new InterruptEvent(cpu.Bus.AcknowledgeInterrupt(), EventSource.External, s->Rip);
                cpu.Statistics.Interrupts++;
            }
            else if (s->GuestMode && cpu.Svm!.TryTakeVirtual(out byte vector))
            {
                e = new InterruptEvent(vector, EventSource.External, s->Rip);
            }
            else
            {
                // An NMI that waits for IRET is looked at again there.
                s->InterruptDeferred = s->NmiPending || (s->SystemFlags & Flags.If) == 0;
                return true;
            }
            s->Halted = false;
            s->Attended(Attention.Halt);
            if (!InterruptDelivery.Deliver(s, null, e) && !ExceptionDelivery.Deliver(cpu))
                return false;
        }
    }

    /// <summary>Whether control went elsewhere than to the next instruction (or the next iteration of a repeated one).</summary>
    private static bool Transferred(CpuState* s, ulong rip, Op* executed)
        => s->Rip != rip + executed->Length && (s->Rip != rip || (executed->Flags & (OpFlags.Rep | OpFlags.Repne)) == 0);

    /// <summary>Executes one instruction under single step, breakpoints, the recording of branches or an interrupt shadow.</summary>
    public static void StepWatched(Cpu cpu, Interpreter interpreter)
    {
        CpuState* s = cpu.State;
        bool resume = InstructionBoundary.Resume(s);
        if (!resume && InstructionBoundary.Shadow(s) != InterruptShadow.MovSs && DebugRegisters.WatchesExecution(s))
        {
            uint hits = DebugRegisters.MatchExecution(s, s->AddressBase[(int)Segment.Cs] + s->Rip);
            if (hits != 0)
            {
                Fault.Debug(s, null, hits);
                return;
            }
        }
        ulong rip = s->Rip;
        bool guest = s->GuestMode;
        s->StepArmed = (s->SystemFlags & Flags.Tf) != 0;
        interpreter.Execute();
        if ((s->Attention & (Attention.Exception | Attention.VmExit)) != 0)
            return;
        // A world switch is no branch.
        if (LastBranches.AreRecorded(s) && s->GuestMode == guest && Transferred(s, rip, interpreter.Executed))
            s->LastBranches.Record(rip, s->Rip);
        if (resume && s->Rip == rip)
            InstructionBoundary.SetResume(s, null, true);
        if (s->StepArmed && InstructionBoundary.Shadow(s) != InterruptShadow.MovSs
            && ((s->DebugCtl & DebugRegisters.BranchSingleStep) == 0 || Transferred(s, rip, interpreter.Executed)))
            DebugRegisters.Trap(s, DebugRegisters.SingleStep);
        s->StepArmed = false;
    }
}
