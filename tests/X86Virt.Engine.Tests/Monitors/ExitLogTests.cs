using X86Virt.Engine.Monitors;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>What the monitor remembers of exits.</summary>
public sealed class ExitLogTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    private VirtualMachine Machine(EngineKind silicon, params byte[] code)
    {
        File.WriteAllBytes(_file, code);
        return new VirtualMachine(new MachineConfiguration
        {
            Name = "exits", MemorySize = 4 << 20, FlatBinary = _file, Engine = EngineKind.HardwareAssist, Silicon = silicon,
        });
    }

    private static void Run(VirtualMachine machine)
    {
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, TimeSpan.FromSeconds(60), CancellationToken.None));
    }

    /// <summary>Leaves by CPUID, three port accesses of every kind and isa-debug-exit.</summary>
    private static readonly byte[] s_exits =
    [
        0x66, 0xB8, 0x01, 0, 0, 0, // mov eax, 1
        0x66, 0x31, 0xC9,          // xor ecx, ecx
        0x0F, 0xA2,                // cpuid
        0xBA, 0xF8, 0x03,          // mov dx, 0x3f8
        0xB0, 0x6F, 0xEE,          // mov al, 'o'; out dx, al
        0xED,                      // in ax, dx
        0xBE, 0x00, 0x06,          // mov si, 0x600
        0x67, 0x2E, 0x6E,          // outs dx, cs:[esi]
        0xB0, 0x05, 0xE6, 0xF4,    // mov al, 5; out 0xf4, al
    ];

    [Theory]
    [InlineData(EngineKind.Interpreter)]
    [InlineData(EngineKind.DecodedCache)]
    [InlineData(EngineKind.BinaryTranslation)]
    public void KeepsEachExitWithItsInstructionAndMeaning(EngineKind silicon)
    {
        using VirtualMachine machine = Machine(silicon, s_exits);
        Run(machine);
        VmExit[] exits = [.. machine.ReadExits(ExitLog.Size).Where(e => e.Code != (ulong)SvmExitCode.NestedPageFault)];
        Assert.Equal(
            [
                "CPUID cpuid: leaf 0x1, subleaf 0x0",
                "PORT out dx, al: port 0x3f8 out, 1 byte: 0x6f",
                "PORT in ax, dx: port 0x3f8 in, 2 bytes",
                "PORT outsb dx, cs:[esi]: port 0x3f8 out, 1 byte, string, 32-bit addresses in CS",
                "PORT out 0xf4, al: port 0xf4 out, 1 byte: 0x5",
            ],
            exits.Select(e => $"{e.Reason} {e.Disassembly}: {e.Detail}"));
        Assert.Equal([2, 5, 6, 8, 10], exits.Select(e => e.InstructionsRetired));
        Assert.All(exits, e => Assert.True(e.HostNanoseconds > 0));
        Assert.Equal(machine.ReadExits(ExitLog.Size).Count, machine.ReadExits(ExitLog.Size)[^1].Number);
        Assert.Empty(machine.ReadExits(ExitLog.Size, requested: true));
    }

    [Fact]
    public void CountsExitsByReasonAndFromAnyMomentOn()
    {
        using VirtualMachine machine = Machine(EngineKind.BinaryTranslation, s_exits);
        machine.Step(3);
        VmExitStatistics cpuid = Assert.Single(machine.ReadStatistics().Reasons, r => r.Reason == "CPUID");
        Assert.Equal((1, 3.0), (cpuid.Count, cpuid.InstructionsBetween));
        Assert.True(cpuid.Percentile50 > 0 && cpuid.Percentile50 <= cpuid.Percentile99);
        machine.ResetStatistics();
        Assert.Empty(machine.ReadStatistics().Reasons);
        machine.Step(2);
        MachineStatistics before = machine.ReadStatistics();
        Assert.Empty(before.Reasons);
        machine.Step(2);
        VmExitStatistics port = Assert.Single(machine.ReadStatistics().Since(before).Reasons, r => r.Reason == "PORT");
        Assert.Equal((2, 1.0), (port.Count, port.InstructionsBetween));
    }

    [Fact]
    public void FollowsExitsToTheEnd()
    {
        using VirtualMachine machine = Machine(EngineKind.BinaryTranslation, s_exits);
        Run(machine);
        Assert.Equal("PORT", Assert.Single(machine.FollowExits(1, false, DisassemblySyntax.Intel, CancellationToken.None)).Reason);
        Assert.Empty(machine.FollowExits(0, false, DisassemblySyntax.Intel, CancellationToken.None));
    }

    [Fact]
    public void FollowsAMachineThroughOtherEngines()
    {
        using VirtualMachine machine = Machine(EngineKind.BinaryTranslation, 0x9C, 0xE6, 0x80, 0xEB, 0xFB);
        VmExitFollower follower = machine.FollowExits(0, false, DisassemblySyntax.Intel);
        machine.Step(4);
        Assert.Equal(["PORT"], follower.Read().Where(e => e.Reason == "PORT").Select(e => e.Reason));
        machine.Stop();
        machine.Reconfigure(machine.Configuration with { Engine = EngineKind.Interpreter });
        machine.Step(30);
        Assert.Empty(follower.Read());
        machine.Stop();
        machine.Reconfigure(machine.Configuration with { Engine = EngineKind.HardwareAssist });
        machine.Step(4);
        Assert.Equal(["PORT"], follower.Read().Where(e => e.Reason == "PORT").Select(e => e.Reason));
        machine.Step(3 * 2 * ExitLog.Size);
        Assert.Equal(ExitLog.Size - 1, follower.Read().Count);
        Assert.True(follower.Missed > ExitLog.Size / 2);
    }

    [Fact]
    public void TellsWhereThereAreNone()
    {
        File.WriteAllBytes(_file, [0xF4]);
        using var machine = new VirtualMachine(new MachineConfiguration { Name = "none", MemorySize = 4 << 20, FlatBinary = _file });
        Assert.Equal("NoVmExits", Assert.Throws<MachineException>(() => machine.ReadExits(1)).ErrorId);
        Assert.Empty(machine.ReadStatistics().Reasons);
    }

    [Fact]
    public void KeepsTheLastOfARowOnly()
    {
        var ring = new ExitRing(8);
        for (int i = 1; i <= 20; i++)
        {
            ring.Next.Number = i;
            ring.Publish();
        }
        // One place is that of the next.
        Assert.Equal([14, 15, 16, 17, 18, 19, 20], ring.ReadBeyond(0, 100, out _).Select(e => e.Number));
        Assert.Equal([19, 20], ring.ReadBeyond(18, 100, out _).Select(e => e.Number));
        Assert.Empty(ring.ReadBeyond(20, 100, out _));
        Assert.Equal([14, 15], ring.ReadBeyond(5, 2, out long next).Select(e => e.Number));
        Assert.Equal(15, next);
    }

    [Fact]
    public void ReadsWholeEntriesWhileTheyAreWritten()
    {
        const int Written = 300_000;
        var ring = new ExitRing(64);
        var writer = new Thread(() =>
        {
            for (long i = 1; i <= Written; i++)
            {
                ring.Next.Number = i;
                ring.Next.Info1 = (ulong)i;
                ring.Next.HostTicks = i;
                ring.Publish();
            }
        });
        writer.Start();
        long position = 0, read = 0;
        while (position < Written)
        {
            foreach (ExitEntry e in ring.ReadBeyond(position, 40, out _))
            {
                Assert.Equal((e.Number, (ulong)e.Number), (e.HostTicks, e.Info1));
                Assert.True(e.Number > position);
                position = e.Number;
                read++;
            }
        }
        writer.Join();
        Assert.InRange(read, 63, Written);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(1000)]
    [InlineData(123_456_789)]
    public void SpreadsTimesToAnEighthOfAPowerOfTwo(long ticks)
        => Assert.InRange(ReasonCounts.Middle(ReasonCounts.Bucket(ticks)), ticks * 15.0 / 16 - 1, ticks * 17.0 / 16 + 1);

    [Fact]
    public void ReadsPercentilesFromTheSpread()
    {
        var counts = new ReasonCounts(SvmExitCode.Cpuid);
        for (int i = 1; i <= 100; i++)
            counts.Add(i);
        Assert.InRange(counts.Percentile(50), 47, 53);
        Assert.InRange(counts.Percentile(99), 93, 105);
        ReasonCounts before = counts.Copy();
        counts.Add(5);
        Assert.Equal((1, 5, 5.0), (counts.Since(before).Count, counts.Since(before).Ticks, counts.Since(before).Percentile(50)));
        counts.Add(long.MaxValue);
        Assert.True(counts.Percentile(100) > 1e9);
    }
}
