using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.SystemInstructions;
using X86Virt.Guests;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Silicon of earlier generations: the guest does not notice, and the monitor does what the silicon cannot.</summary>
public sealed unsafe class GenerationTests : IDisposable
{
    private const ulong Gdt = 0x7000, Code = 0x4000, Handler = 0x5000;

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private VirtualMachine Run(byte[] image, EngineKind engine, ProcessorGeneration generation, bool kernel, InterceptSelection? intercepts = null)
    {
        File.WriteAllBytes(_file, image);
        var machine = new VirtualMachine(new MachineConfiguration
        {
            Name = $"{engine} {generation}", MemorySize = 16 << 20, Engine = engine, Generation = generation, NoReboot = true,
            Kernel = kernel ? _file : null, FlatBinary = kernel ? null : _file, CommandLine = kernel ? "iterations=20" : "",
        });
        if (intercepts != null)
            machine.AddIntercepts(intercepts);
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(2), CancellationToken.None), machine.Console.Read(0));
        return machine;
    }

    /// <summary>What a guest left behind, but for what only the host did.</summary>
    private static string Outcome(VirtualMachine machine) => string.Join("\n", [
        machine.Console.Read(0), $"{machine.StopReason.Kind} {machine.InstructionsRetired}",
        .. machine.ReadStatistics().Exits.Where(e => e.Kind is < ExitKind.HiddenPageFault and not ExitKind.Translation).Select(e => $"{e.Kind} {e.Detail} {e.Count}"),
        .. machine.ReadRegisters((_, _, part) => !part).Select(r => $"{r.Name}={r.Hex}")]);

    [Theory]
    [InlineData(ProcessorGeneration.FirstGeneration)]
    [InlineData(ProcessorGeneration.NestedPaging)]
    [InlineData(ProcessorGeneration.Current)]
    public void AKernelDoesNotNotice(ProcessorGeneration generation)
    {
        byte[] image = BuiltInGuest.Nanobenchmark.Image;
        using VirtualMachine reference = Run(image, EngineKind.DecodedCache, ProcessorGeneration.Current, kernel: true);
        using VirtualMachine machine = Run(image, EngineKind.HardwareAssist, generation, kernel: true);
        Assert.Equal(Outcome(reference), Outcome(machine));
        // Without the next instruction's address the monitor has to decode what it would only skip.
        Assert.Equal(generation == ProcessorGeneration.FirstGeneration, machine.ReadStatistics().Reasons.Single(r => r.Reason == "CPUID").Emulated > 0);
    }

    /// <summary>Exceptions that are intercepted are given back, and instructions executed, with nothing but RIP to go by.</summary>
    [Fact]
    public void UserInterceptsNeedNoHelpOfTheSilicon()
    {
        byte[] image = BuiltInGuest.Nanobenchmark.Image;
        using VirtualMachine reference = Run(image, EngineKind.DecodedCache, ProcessorGeneration.Current, kernel: true);
        using VirtualMachine machine = Run(image, EngineKind.HardwareAssist, ProcessorGeneration.FirstGeneration, kernel: true, new InterceptSelection
        {
            Exceptions = [.. Enumerable.Range(0, 32).Where(v => v != 2).Select(v => (byte)v)],
            Instructions = Enum.GetValues<InterceptedInstruction>(),
            ControlRegisters = [0, 2, 3, 4, 8],
            DebugRegisters = [0, 1, 2, 3, 4, 5, 6, 7],
        });
        Assert.Equal(Outcome(reference), Outcome(machine));
        IReadOnlyList<VmExit> exits = machine.ReadExits(int.MaxValue);
        Assert.Contains(exits, e => e.Reason.StartsWith("CR", StringComparison.Ordinal) || e.Reason == "INTn");
        Assert.All(exits.Where(e => e.Reason is "INTn" or "INVLPG" || e.Reason.StartsWith("CR", StringComparison.Ordinal)), e => Assert.Equal(("", 0UL), (e.Detail, e.ExitInfo1)));
    }

    /// <summary>Real mode, protected mode, and real mode again: writes a byte to a port in each, and ends in the second.</summary>
    private static byte[] Modes() => BareCpu.Assemble(16, a =>
    {
        a.mov(al, 1);
        a.@out(0x80, al);
        a.mov(ecx, cr0);
        a.xor(cl, 1);
        a.mov(cr0, ecx);
        a.@out(0x80, al);
        a.xor(cl, 1);
        a.mov(cr0, ecx);
        a.@out(0x80, al);
        a.cli();
        a.hlt();
    }, address: 0x7C00);

    [Theory]
    [InlineData(ProcessorGeneration.FirstGeneration, "emulated mode 8; PORT 1")]
    [InlineData(ProcessorGeneration.NestedPaging, "PORT 3; HLT 1")]
    [InlineData(ProcessorGeneration.Current, "PORT 3; HLT 1")]
    public void TheMonitorEmulatesRealModeWhereTheSiliconCannotRunIt(ProcessorGeneration generation, string reasons)
    {
        using VirtualMachine reference = Run(Modes(), EngineKind.Interpreter, ProcessorGeneration.Current, kernel: false);
        using VirtualMachine machine = Run(Modes(), EngineKind.HardwareAssist, generation, kernel: false);
        Assert.Equal(Outcome(reference), Outcome(machine));
        Assert.Equal(reasons, string.Join("; ", machine.ReadStatistics().Reasons.Where(r => !r.Reason.StartsWith('#') && !r.Reason.StartsWith("CR") && !r.Reason.StartsWith("nested"))
            .Select(r => $"{r.Reason} {(r.Reason == "emulated mode" ? r.Emulated : r.Count)}")));
    }

    [Theory]
    [InlineData(ProcessorGeneration.FirstGeneration, 64, 0)]
    [InlineData(ProcessorGeneration.NestedPaging, 64, 0b1101)]
    [InlineData(ProcessorGeneration.Current, 0x8000, 0x1_14FF)]
    public void TheSiliconReportsWhatItHas(ProcessorGeneration generation, uint asids, uint features)
    {
        using var cpu = new BareCpu(32, guest => new Engine.Monitors.HardwareAssist(guest, PagingKind.Shadow, ShadowPaging.DefaultTables, generation, silicon => new Interpreter(silicon)));
        Assert.Equal((1u, asids, 0u, features), CpuidLeaves.Read(cpu.Cpu.Silicon!, 0x8000_000A, 0));
    }

    /// <summary>VMRUN refuses a guest in real mode, which is why the monitor does not try.</summary>
    [Theory]
    [InlineData(ProcessorGeneration.FirstGeneration, false)]
    [InlineData(ProcessorGeneration.NestedPaging, true)]
    public void TheSiliconRefusesAGuestInRealMode(ProcessorGeneration generation, bool runs)
    {
        foreach (int bitness in (int[])[16, 32])
        {
            Engine.Monitors.HardwareAssist? monitor = null;
            using var cpu = new BareCpu(bitness, guest => monitor = new Engine.Monitors.HardwareAssist(guest, PagingKind.Shadow, ShadowPaging.DefaultTables, generation, silicon => new Interpreter(silicon)));
            Assert.Equal(runs || bitness == 32, VmcbCheck.IsValid(cpu.Cpu.Silicon!, monitor!.CurrentVmcb));
        }
    }

    [Fact]
    public void StepsAreTheSameInEachMode()
    {
        File.WriteAllBytes(_file, Modes());
        var configuration = new MachineConfiguration
        {
            Name = "steps", MemorySize = 1 << 20, Engine = EngineKind.HardwareAssist, Generation = ProcessorGeneration.FirstGeneration, FlatBinary = _file,
        };
        var lockstep = new Lockstep(configuration with { Engine = EngineKind.Interpreter }, configuration);
        Assert.Null(lockstep.Run(100, stride: 1));
        Assert.Equal(StopKind.Halt, lockstep.StopReason.Kind);
    }

    [Fact]
    public void AnNmiOfRealModeEndsWithTheIretOfProtectedMode() => SystemBench.OnEveryEngine(16, cpu =>
    {
        CpuState* s = cpu.State;
        cpu.Memory.Write(Gdt + 8, 0x0000_9B00_0000_FFFFUL);
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 15 };
        s->Idtr = new DescriptorTableRegister { Limit = 0x3FF };
        CpuState.Seg(s, Segment.Cs)->Selector = 8;
        cpu.Memory.Write((int)Vector.Nmi * 4, (uint)Handler);
        CpuState.Seg(s, Segment.Cs)->Base = 0;
        cpu.Memory.Write(Handler, BareCpu.Assemble(16, a =>
        {
            a.mov(eax, cr0);
            a.or(al, 1);
            a.mov(cr0, eax);
            a.iret();
        }));
        cpu.Memory.Write(Code, (byte[])[0x90, 0x90, 0xEB, 0xFE]);
        s->Rip = Code;
        cpu.Cpu.RaiseNmi();
        cpu.Cpu.SetDeadline(s->Retired + 3);
        cpu.Continue();
        Assert.True(s->NmiBlocked);
        cpu.Cpu.SetDeadline(s->Retired + 3);
        cpu.Continue();
        Assert.False(s->NmiBlocked);
        Assert.True(s->ProtectedMode);
        Assert.Equal(Code + 2, s->Rip);
    });
}
