using System.Numerics;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>What may be looked at and changed in a machine from outside, in any state; a running one is held meanwhile.</summary>
public sealed partial class VirtualMachine
{
    private MachineStatistics _statisticsBase = MachineStatistics.Zero;

    public EngineKind Engine => Configuration.Engine;
    public ulong MemorySize => Configuration.MemorySize;

    /// <summary>Reads the registers that a test on name, group and being a part of another register chooses.</summary>
    public IReadOnlyList<RegisterValue> ReadRegisters(Func<string, RegisterGroup, bool, bool> wanted) => Inspect(cpu => RegisterSet.Read(cpu, wanted));

    public RegisterValue ReadRegister(string name) => Inspect(cpu => RegisterSet.Read(cpu, name));

    /// <summary>Sets a register; <see cref="MachineException"/> if there is none of that name or the value does not fit.</summary>
    public void WriteRegister(string name, BigInteger value) => Inspect(cpu => RegisterSet.Write(cpu, name, value));

    /// <summary>Reads guest memory; <see cref="MachineException"/> if any of it is not there.</summary>
    public byte[] ReadMemory(ulong address, int length, AddressSpace space) => Inspect(cpu =>
    {
        byte[] bytes = new byte[length];
        GuestMemory.Read(cpu, address, bytes, space);
        return bytes;
    });

    /// <summary>Writes guest memory, all of it or none.</summary>
    public void WriteMemory(ulong address, ReadOnlyMemory<byte> bytes, AddressSpace space) => Inspect(cpu => GuestMemory.Write(cpu, address, bytes.Span, space));

    /// <summary>Disassembles from a linear address on, or from RIP.</summary>
    public IReadOnlyList<DisassembledInstruction> Disassemble(ulong? address, int count, DisassemblySyntax syntax = DisassemblySyntax.Intel, int bitness = 0)
        => Inspect(cpu => Disassembler.Disassemble(cpu, address ?? cpu.LinearRip, count, syntax, bitness));

    /// <summary>Linear address of the instruction that is executed next.</summary>
    public ulong ReadNextAddress() => Inspect(cpu => cpu.LinearRip);

    /// <summary>The levels of the page walk for a linear address, with the shadow and nested tables that the machine has beside them.</summary>
    public IReadOnlyList<PageWalkLevel> ResolveAddress(ulong linear)
        => Inspect(cpu => AddressResolver.Resolve(cpu, linear, cpu.Shadow == null ? null : new ShadowInspector(Name, cpu), FindNested()));

    /// <summary>The devices of the board and what their registers hold.</summary>
    public IReadOnlyList<DeviceInformation> ReadDevices() => Inspect(_ => (IReadOnlyList<DeviceInformation>)[.. _board.Devices.Select(d => DeviceInformation.Of(Name, d))]);

    /// <summary>All counts since the machine was made, or since <see cref="ResetStatistics"/>.</summary>
    public MachineStatistics ReadStatistics() => Inspect(CountExits).Since(_statisticsBase);

    /// <summary>Counts anew from here.</summary>
    public void ResetStatistics() => _statisticsBase = Inspect(CountExits);

    private MachineStatistics CountExits(Cpu cpu) => MachineStatistics.Of(cpu, _board.Ports, Assist?.Exits);

    /// <summary>Suspends the machine before it executes the instruction at a linear address. False if that is set already.</summary>
    public bool AddBreakpoint(ulong address) => Inspect(cpu =>
    {
        if (!cpu.Breakpoints.Add(address))
            return false;
        _engine.ForgetCode();
        return true;
    });

    /// <summary>False if there is no breakpoint at the address.</summary>
    public bool RemoveBreakpoint(ulong address) => Inspect(cpu => cpu.Breakpoints.Remove(address));

    /// <summary>By address.</summary>
    public IReadOnlyList<CodeBreakpoint> ReadBreakpoints() => Inspect(cpu => (IReadOnlyList<CodeBreakpoint>)[.. cpu.Breakpoints.Addresses.Select(address =>
        new CodeBreakpoint(Name, address, Disassembler.TextAt(cpu, address, DisassemblySyntax.Intel)))]);

    /// <summary>
    /// Steps a machine that is not running and tells of every instruction; ends when the machine does, or behind a number of instructions. The
    /// caller ends it by enumerating no further, too.
    /// </summary>
    public IEnumerable<TraceRecord> Trace(long instructions, DisassemblySyntax syntax = DisassemblySyntax.Intel, bool registers = false)
    {
        var counters = new EventCounters();
        Inspect(cpu => counters.Advance(cpu.Statistics, out _));
        do
        {
            TraceRecord record = Inspect(cpu => NextInstruction(cpu, syntax, registers));
            Step(1);
            string detail = "";
            TraceEvents events = Inspect(cpu => counters.Advance(cpu.Statistics, out detail));
            yield return events == TraceEvents.None ? record : record with { Events = events, Detail = detail };
        }
        while (--instructions > 0 && State == MachineState.Suspended);
    }

    private static unsafe TraceRecord NextInstruction(Cpu cpu, DisassemblySyntax syntax, bool registers)
    {
        ulong address = cpu.LinearRip;
        return new TraceRecord(cpu.State->Retired, address, Disassembler.TextAt(cpu, address, syntax), TraceEvents.None, "",
            registers ? RegisterSet.General(cpu) : null);
    }

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}
