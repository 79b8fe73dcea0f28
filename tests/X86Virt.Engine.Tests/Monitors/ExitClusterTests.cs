using Iced.Intel;
using X86Virt.Engine.Boot;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Exit clustering: fewer exits, and nothing else is different.</summary>
public sealed class ExitClusterTests : IDisposable
{
    private const int Turns = 1000;
    private const ulong Address = 0x7C00;

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private VirtualMachine Machine(EngineKind engine, bool clustering, PagingKind? paging = null, bool kernel = false, BootMode mode = BootMode.Real) => new(new MachineConfiguration
    {
        Name = $"{engine}, {(clustering ? "clusters" : "exits")}", MemorySize = 16 << 20, Engine = engine, Paging = paging, ExitClustering = clustering, NoReboot = true,
        Kernel = kernel ? _file : null, FlatBinary = kernel ? null : _file, CommandLine = kernel ? "iterations=20" : "", BootMode = kernel ? BootMode.Auto : mode,
        LoadAddress = kernel ? null : Address,
    });

    /// <summary>Everything that the guest and its board know.</summary>
    private static string Outcome(VirtualMachine machine) => string.Join("\n", [
        machine.Console.Read(0), $"{machine.StopReason.Kind} {machine.InstructionsRetired}",
        .. machine.ReadStatistics().Exits.Where(e => e.Kind is < ExitKind.HiddenPageFault and not ExitKind.Translation).Select(e => $"{e.Kind} {e.Detail} {e.Count}"),
        .. machine.ReadRegisters((_, _, part) => !part).Select(r => $"{r.Name}={r.Hex}")]);

    private static void Run(VirtualMachine machine)
    {
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromMinutes(2), CancellationToken.None), machine.Console.Read(0));
    }

    private static long Exits(VirtualMachine machine) => machine.ReadStatistics().Reasons.Sum(r => r.Count);
    private static long Avoided(VirtualMachine machine) => machine.ReadStatistics().Reasons.Sum(r => r.Avoided);

    /// <summary>Runs code with and without clusters, and with no exits at all; the outcomes are the same. How many exits there were without and with, and how many were avoided.</summary>
    private (long Without, long With, long Avoided) Compare(int bitness, Action<Assembler> write, BootMode mode, PagingKind paging)
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(bitness, write, Address));
        using VirtualMachine reference = Machine(EngineKind.DecodedCache, clustering: false, mode: mode);
        using VirtualMachine without = Machine(EngineKind.HardwareAssist, clustering: false, paging, mode: mode);
        using VirtualMachine with = Machine(EngineKind.HardwareAssist, clustering: true, paging, mode: mode);
        Run(reference);
        Run(without);
        Run(with);
        Assert.Equal(Outcome(reference), Outcome(without));
        Assert.Equal(Outcome(reference), Outcome(with));
        Assert.Equal(0, Avoided(without));
        return (Exits(without), Exits(with), Avoided(with));
    }

    /// <summary>OUT, IN and CPUID with other instructions between them, a thousand times.</summary>
    private static void Ports(Assembler a)
    {
        Label turn = a.CreateLabel();
        a.mov(esi, Turns);
        a.xor(edi, edi);
        a.Label(ref turn);
        a.mov(eax, esi);
        a.@out(0x80, al);
        a.add(edi, eax);
        a.mov(al, 0x34);
        a.@in(al, 0x61);
        a.test(al, 1);
        a.xor(eax, eax);
        a.cpuid();
        a.add(edi, ebx);
        // No part of any cluster.
        a.bswap(edi);
        a.dec(esi);
        a.jnz(turn);
        a.cli();
        a.hlt();
    }

    [Theory]
    [InlineData(BootMode.Real, PagingKind.Nested)]
    [InlineData(BootMode.Protected, PagingKind.Shadow)]
    [InlineData(BootMode.Long, PagingKind.Nested)]
    [InlineData(BootMode.Long, PagingKind.Shadow)]
    public void ThreeExitsBecomeOne(BootMode mode, PagingKind paging)
    {
        int bitness = mode == BootMode.Real ? 16 : mode == BootMode.Protected ? 32 : 64;
        (long without, long with, long avoided) = Compare(bitness, Ports, mode, paging);
        Assert.Equal(without, with + avoided);
        // But for the first turns, in which the cluster is found.
        Assert.InRange(avoided, 2 * (Turns - 4), 2 * Turns);
    }

    [Fact]
    public void APollingLoopIsOneCluster()
    {
        (long without, long with, long avoided) = Compare(16, a =>
        {
            Label poll = a.CreateLabel();
            a.mov(cx, Turns);
            a.Label(ref poll);
            a.@in(al, 0x61);
            a.add(bl, al);
            a.dec(cx);
            a.jnz(poll);
            a.cli();
            a.hlt();
        }, BootMode.Real, PagingKind.Nested);
        Assert.Equal(without, with + avoided);
        Assert.InRange(with, 1, 10);
    }

    /// <summary>Interrupts of the timer come between the same two instructions as ever, and their handler sees the registers as they are there.</summary>
    [Theory]
    [InlineData(PagingKind.Nested)]
    [InlineData(PagingKind.Shadow)]
    public void InterruptsComeBetweenTheSameInstructions(PagingKind paging)
    {
        (_, _, long avoided) = Compare(16, a =>
        {
            Label start = a.CreateLabel(), poll = a.CreateLabel(), handler = a.CreateLabel();
            a.jmp(start);
            a.Label(ref handler);
            // A checksum of where it came from and of what the loop was at.
            a.mov(bp, sp);
            a.rol(edi, 3);
            a.add(di, __[bp]);
            a.add(edi, ecx);
            a.mov(dl, al);
            a.mov(al, 0x20);
            a.@out(0x20, al);
            a.mov(al, dl);
            a.iret();
            a.Label(ref start);
            a.xor(eax, eax);
            a.mov(ds, ax);
            a.mov(ss, ax);
            a.mov(sp, 0x7000);
            a.mov(__word_ptr[0x20], (short)(Address + 2));
            a.mov(__word_ptr[0x22], 0);
            foreach ((byte port, byte value) in ((byte, byte)[])[(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xFE), (0x43, 0x34), (0x40, 97), (0x40, 0)])
            {
                a.mov(al, value);
                a.@out(port, al);
            }
            a.mov(ecx, 100 * Turns);
            a.sti();
            a.Label(ref poll);
            a.@in(al, 0x61);
            a.add(bl, al);
            a.@out(0x80, al);
            a.dec(ecx);
            a.jnz(poll);
            a.cli();
            a.hlt();
        }, BootMode.Real, paging);
        Assert.InRange(avoided, 50 * Turns, 200 * Turns);
    }

    [Fact]
    public void AStoreToTheClusterItselfIsExecuted()
    {
        Compare(16, a =>
        {
            Label turn = a.CreateLabel();
            a.xor(ax, ax);
            a.mov(ds, ax);
            a.mov(cx, Turns);
            a.Label(ref turn);
            a.@in(al, 0x61);
            // The immediate operand of the next instruction.
            a.mov(__byte_ptr[0x7C0E], cl);
            a.mov(al, 0);
            a.add(dl, al);
            a.@out(0x80, al);
            a.dec(cx);
            a.jnz(turn);
            a.cli();
            a.hlt();
        }, BootMode.Real, PagingKind.Nested);
    }

    [Theory]
    [InlineData(PagingKind.Nested)]
    [InlineData(PagingKind.Shadow)]
    public void AKernelDoesNotNotice(PagingKind paging)
    {
        File.WriteAllBytes(_file, BuiltInGuest.Nanobenchmark.Image);
        using VirtualMachine reference = Machine(EngineKind.DecodedCache, clustering: false, kernel: true);
        using VirtualMachine machine = Machine(EngineKind.HardwareAssist, clustering: true, paging, kernel: true);
        Run(reference);
        Run(machine);
        Assert.Equal(Outcome(reference), Outcome(machine));
        Assert.True(Avoided(machine) > 0);
    }

    /// <summary>Whoever asked for exits gets to see each.</summary>
    [Fact]
    public void RequestedExitsAreNotAvoided()
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(16, Ports, Address));
        using VirtualMachine machine = Machine(EngineKind.HardwareAssist, clustering: true);
        machine.AddIntercepts(new InterceptSelection { Ports = [0x61] });
        Run(machine);
        Assert.Equal(0, Avoided(machine));
        Assert.Equal(Turns, machine.ReadExits(int.MaxValue, requested: true).Count);
    }

    /// <summary>A step is one instruction, behind which another machine is exactly where this one is.</summary>
    [Fact]
    public void AStepIsOneInstruction()
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(16, Ports, Address));
        var configuration = Machine(EngineKind.HardwareAssist, clustering: true).Configuration;
        var lockstep = new Lockstep(configuration with { Engine = EngineKind.Interpreter }, configuration);
        Assert.Null(lockstep.Run(500, stride: 1));
        Assert.Null(lockstep.Run(10_000, stride: 97));
    }
}
