using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>The VMCB of a machine that a monitor runs by VMRUN, and a user's part in it.</summary>
public sealed partial class VirtualMachine
{
    private const int NmiVector = 2, ExceptionVectors = 32;

    /// <summary>Both areas of the VMCB, decoded, with the guest as it is between two instructions.</summary>
    /// <exception cref="MachineException">NoVmExits.</exception>
    public IReadOnlyList<VmcbField> ReadVmcb() => Inspect(_ => VmcbFields.Read(Name, Hypervisor));

    /// <summary>What the guest is left for: bits of the VMCB, and what users added. All ports, and all registers that do not belong to the guest alone, are the monitor's.</summary>
    /// <exception cref="MachineException">NoVmExits.</exception>
    public unsafe IReadOnlyList<VmcbIntercept> ReadIntercepts() => Inspect(cpu =>
    {
        HardwareAssist monitor = Hypervisor;
        Vmcb* v = monitor.CurrentVmcb;
        var intercepts = new List<VmcbIntercept>();
        for (SvmExitCode code = 0; (ulong)code < Vmcb.InterceptWords * 32; code++)
        {
            InterceptOwner owner = (v->Has(code) ? InterceptOwner.Monitor : 0) | (monitor.Intercepts.Has(code) ? InterceptOwner.User : 0)
                | (Intercept.Has(cpu.State, code) ? InterceptOwner.Guest : 0);
            if (owner != 0)
                intercepts.Add(new VmcbIntercept(Name, SvmExitName.Of(code), owner));
        }
        intercepts.AddRange(monitor.Intercepts.All.Where(i => i.Code is SvmExitCode.Port or SvmExitCode.Msr).OrderBy(i => (i.Code, i.Number, i.IsWrite)).Select(i =>
            new VmcbIntercept(Name, NameOf(i), InterceptOwner.User | (monitor.Intercepts.IsMonitors(v, i) ? InterceptOwner.Monitor : 0))));
        return (IReadOnlyList<VmcbIntercept>)intercepts;
    });

    /// <summary>Adds intercepts: exits that match are recorded as requested, and the guest goes on as if there were none.</summary>
    /// <exception cref="MachineException">NoVmExits; InvalidIntercept.</exception>
    public void AddIntercepts(InterceptSelection selection)
    {
        List<UserIntercept> wanted = Expand(selection);
        Inspect(_ => wanted.ForEach(Hypervisor.Intercepts.Add));
    }

    /// <summary>Takes away intercepts that were added; all or none of them.</summary>
    /// <exception cref="MachineException">NoVmExits; InvalidIntercept; OwnIntercept: the monitor needs it.</exception>
    public unsafe void RemoveIntercepts(InterceptSelection selection)
    {
        List<UserIntercept> unwanted = Expand(selection);
        Inspect(_ =>
        {
            HardwareAssist monitor = Hypervisor;
            foreach (UserIntercept i in unwanted)
            {
                if (!monitor.Intercepts.All.Contains(i) && monitor.Intercepts.IsMonitors(monitor.CurrentVmcb, i))
                    throw new MachineException("OwnIntercept", $"The intercept of {NameOf(i)} is the monitor's own on machine '{Name}': without it the guest would not stay confined. Only what Set-VmcbIntercept added can be taken away; Get-Vmcb -Intercept shows whose each is.");
            }
            unwanted.ForEach(i => monitor.Intercepts.Remove(i));
        });
    }

    /// <summary>Takes away all that were added.</summary>
    /// <exception cref="MachineException">NoVmExits.</exception>
    public void ClearIntercepts() => Inspect(_ =>
    {
        UserIntercepts intercepts = Hypervisor.Intercepts;
        foreach (UserIntercept i in intercepts.All.ToArray())
            intercepts.Remove(i);
    });

    private static string NameOf(UserIntercept i) => i.Code switch
    {
        SvmExitCode.Port => $"port 0x{i.Number:x}",
        SvmExitCode.Msr => $"MSR 0x{i.Number:x} {(i.IsWrite ? "write" : "read")}",
        _ => SvmExitName.Of(i.Code),
    };

    private static List<UserIntercept> Expand(InterceptSelection s)
    {
        var all = new List<UserIntercept>();
        foreach (byte vector in s.Exceptions)
        {
            if (vector is NmiVector or >= ExceptionVectors)
                throw Invalid($"Vector {vector} is no exception that has an intercept. Give one of 0 to 31 but 2: NMIs are the monitor's.");
            all.Add(new UserIntercept(SvmExitCode.Exception0 + vector));
        }
        foreach (byte number in s.ControlRegisters)
        {
            if (number is not (0 or 2 or 3 or 4 or 8))
                throw Invalid($"There is no control register CR{number}. Give 0, 2, 3, 4 or 8.");
            AddRegister(SvmExitCode.Cr0Read + number, SvmExitCode.Cr0Write + number);
        }
        foreach (byte number in s.DebugRegisters)
        {
            if (number > 7)
                throw Invalid($"There is no debug register DR{number}. Give 0 to 7.");
            AddRegister(SvmExitCode.Dr0Read + number, SvmExitCode.Dr0Write + number);
        }
        foreach (uint number in s.Msrs)
        {
            if ((s.Access & InterceptAccess.Read) != 0)
                all.Add(new UserIntercept(SvmExitCode.Msr, number));
            if ((s.Access & InterceptAccess.Write) != 0)
                all.Add(new UserIntercept(SvmExitCode.Msr, number, IsWrite: true));
        }
        all.AddRange(s.Ports.Select(p => new UserIntercept(SvmExitCode.Port, p)));
        foreach (InterceptedInstruction instruction in s.Instructions)
        {
            all.Add(new UserIntercept((SvmExitCode)instruction));
            // MONITOR is undone by each exit; so MWAIT must be executed where MONITOR was.
            if (instruction is InterceptedInstruction.Monitor or InterceptedInstruction.Mwait)
                all.Add(new UserIntercept((SvmExitCode)(InterceptedInstruction.Monitor + (InterceptedInstruction.Mwait - instruction))));
        }
        return all;

        void AddRegister(SvmExitCode read, SvmExitCode write)
        {
            if ((s.Access & InterceptAccess.Read) != 0)
                all.Add(new UserIntercept(read));
            if ((s.Access & InterceptAccess.Write) != 0)
                all.Add(new UserIntercept(write));
        }
    }

    private static MachineException Invalid(string message) => new("InvalidIntercept", message);
}
