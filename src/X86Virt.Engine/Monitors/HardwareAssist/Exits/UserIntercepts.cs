using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Intercepts that a user added to the monitor's own. They are in the VMCB for as long as VMRUN reads it, so that the monitor's are never mixed up with them;
/// those of registers are in the permission map, where what the monitor leaves to the guest is withheld.
/// </summary>
internal sealed unsafe class UserIntercepts(PermissionMaps maps)
{
    private readonly PermissionMaps _maps = maps;
    private readonly HashSet<UserIntercept> _all = [];
    private readonly uint[] _words = new uint[Vmcb.InterceptWords], _own = new uint[Vmcb.InterceptWords];

    public IReadOnlyCollection<UserIntercept> All => _all;

    public void Add(UserIntercept intercept)
    {
        if (!_all.Add(intercept))
            return;
        if (intercept.Code == SvmExitCode.Msr)
            _maps.Withhold(intercept.Number, intercept.IsWrite);
        else
            _words[(int)intercept.Code >> 5] |= 1u << (int)intercept.Code;
    }

    /// <summary>False if it was not there.</summary>
    public bool Remove(UserIntercept intercept)
    {
        if (!_all.Remove(intercept))
            return false;
        if (intercept.Code == SvmExitCode.Msr)
            _maps.GiveBack(intercept.Number, intercept.IsWrite);
        else if (!_all.Any(i => i.Code == intercept.Code))
            _words[(int)intercept.Code >> 5] &= ~(1u << (int)intercept.Code);
        return true;
    }

    /// <summary>Whether the monitor has it anyway: ports always.</summary>
    public bool IsMonitors(Vmcb* v, UserIntercept intercept)
        => intercept.Code == SvmExitCode.Msr ? !_maps.IsAllowed(intercept.Number, intercept.IsWrite) : v->Has(intercept.Code);

    /// <summary>Whether an exit is one that was asked for; <paramref name="msr"/> is the register of RDMSR and WRMSR.</summary>
    public bool Match(Vmcb* v, uint msr)
    {
        if (_all.Count == 0)
            return false;
        SvmExitCode code = v->ExitCode;
        return code switch
        {
            SvmExitCode.Msr => _all.Contains(new UserIntercept(code, msr, v->ExitInfo1 != 0)),
            SvmExitCode.Port => MatchPort(v->ExitInfo1),
            // Its #DB would come next, had the monitor not intercepted it.
            SvmExitCode.Icebp => Has(code) || Has(SvmExitCode.Exception0 + (ulong)Vector.Debug),
            _ => (ulong)code < Vmcb.InterceptWords * 32 && Has(code),
        };
    }

    public bool Has(SvmExitCode code) => (_words[(int)code >> 5] >> (int)code & 1) != 0;

    private bool MatchPort(ulong info)
    {
        uint first = (uint)(info >> 16) & 0xFFFF, size = (uint)(info >> 4) & 7;
        for (uint port = first; port < first + size; port++)
        {
            if (_all.Contains(new UserIntercept(SvmExitCode.Port, port)))
                return true;
        }
        return false;
    }

    /// <summary>Adds them to the VMCB, which is entered next.</summary>
    public void Apply(Vmcb* v)
    {
        if (_all.Count == 0)
            return;
        for (int i = 0; i < Vmcb.InterceptWords; i++)
        {
            _own[i] = v->Intercepts[i];
            v->Intercepts[i] |= _words[i];
        }
        v->Clean &= ~VmcbClean.Intercepts;
    }

    /// <summary>Leaves the monitor's alone in the VMCB, which the silicon has read.</summary>
    public void Withdraw(Vmcb* v)
    {
        if (_all.Count == 0)
            return;
        for (int i = 0; i < Vmcb.InterceptWords; i++)
            v->Intercepts[i] = _own[i];
    }
}

/// <summary>One of them: a bit of the VMCB, or a port or register in a permission map.</summary>
internal readonly record struct UserIntercept(SvmExitCode Code, uint Number = 0, bool IsWrite = false);
