using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Intercepts that users add: they are taken, and the guest does not notice.</summary>
public sealed class UserInterceptTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(120);
    private readonly string _file = Path.GetTempFileName();

    private static readonly InterceptSelection s_all = new()
    {
        Exceptions = [.. Enumerable.Range(0, 32).Where(v => v != 2).Select(v => (byte)v)],
        Instructions = Enum.GetValues<InterceptedInstruction>(),
        ControlRegisters = [0, 2, 3, 4, 8],
        DebugRegisters = [0, 1, 2, 3, 4, 5, 6, 7],
        Msrs = [0x10, 0x174, 0x175, 0x176, 0x277, 0xC000_0080, 0xC000_0081, 0xC000_0082, 0xC000_0084, 0xC000_0100, 0xC000_0101, 0xC000_0102, 0xC000_0103, 0x4000_0000],
        Ports = [0x3f8, 0x80],
    };

    public static TheoryData<EngineKind, PagingKind> Silicons
    {
        get
        {
            var data = new TheoryData<EngineKind, PagingKind>();
            foreach (EngineKind silicon in new[] { EngineKind.Interpreter, EngineKind.DecodedCache, EngineKind.BinaryTranslation })
            {
                data.Add(silicon, PagingKind.Nested);
                data.Add(silicon, PagingKind.Shadow);
            }
            return data;
        }
    }

    public void Dispose() => File.Delete(_file);

    /// <summary>What a guest left behind, but for what only the host did.</summary>
    private sealed record Outcome(string Console, StopKind Stop, long Retired, string Events, string Registers)
    {
        public static Outcome Of(VirtualMachine machine) => new(machine.Console.Read(0), machine.StopReason.Kind, machine.InstructionsRetired,
            string.Join("\n", machine.ReadStatistics().Exits.Where(e => e.Kind is < ExitKind.HiddenPageFault and not ExitKind.Translation).Select(e => $"{e.Kind} {e.Detail} {e.Count}")),
            string.Join("\n", machine.ReadRegisters((_, _, part) => !part).Select(r => $"{r.Name}={r.Hex}")));
    }

    private static void AssertSame(VirtualMachine plain, VirtualMachine watched)
    {
        Outcome expected = Outcome.Of(plain), actual = Outcome.Of(watched);
        Assert.Equal(expected.Events, actual.Events);
        Assert.Equal(expected.Registers, actual.Registers);
        Assert.Equal(expected, actual);
    }

    private VirtualMachine Machine(byte[] image, EngineKind silicon, PagingKind paging, bool kernel)
    {
        File.WriteAllBytes(_file, image);
        return new VirtualMachine(new MachineConfiguration
        {
            Name = "intercepts", MemorySize = 16 << 20, Engine = EngineKind.HardwareAssist, Silicon = silicon, Paging = paging, NoReboot = true,
            Kernel = kernel ? _file : null, FlatBinary = kernel ? null : _file, CommandLine = kernel ? "iterations=20" : "",
        });
    }

    private static void Run(VirtualMachine machine)
    {
        machine.Start();
        Assert.True(machine.Wait(MachineState.Stopped, s_limit, CancellationToken.None), machine.Console.Read(0));
    }

    [Theory]
    [MemberData(nameof(Silicons))]
    public void ChangeNothingForAnOperatingSystem(EngineKind silicon, PagingKind paging)
    {
        byte[] image = BuiltInGuest.Nanobenchmark.Image;
        using VirtualMachine plain = Machine(image, silicon, paging, kernel: true);
        Run(plain);
        using VirtualMachine watched = Machine(image, silicon, paging, kernel: true);
        watched.AddIntercepts(s_all);
        Run(watched);
        AssertSame(plain, watched);

        string[] reasons = [.. watched.ReadStatistics().Reasons.Select(r => r.Reason)];
        Assert.Superset(new HashSet<string> { "#PF page fault", "#DE divide error", "CR3 write", "PUSHF", "IRET", "RDTSC", "INVLPG", "MSR", "PORT" }, reasons.ToHashSet());
        Assert.DoesNotContain(plain.ReadStatistics().Reasons, r => r.Reason is "#DE divide error" or "PUSHF" or "RDTSC");
        Assert.NotEmpty(watched.ReadExits(100, requested: true));
        Assert.All(watched.ReadExits(100, requested: true), e => Assert.True(e.IsRequested));
        Assert.Empty(plain.ReadExits(100, requested: true));
    }

    /// <summary>Real-mode code whose handlers count the exceptions that it raises in every way; faults are skipped, traps returned from.</summary>
    private static byte[] Exceptions()
    {
        var a = new Assembler(16);
        Label start = a.CreateLabel();
        a.jmp(start);
        const int Skip = 0x7C02, Back = 0x7C0C;
        a.inc(bp);
        a.push(bp);
        a.mov(bp, sp);
        a.add(__word_ptr[bp + 2], 2);
        a.pop(bp);
        a.iret();
        a.inc(bp);
        a.iret();
        a.Label(ref start);
        a.xor(ax, ax);
        a.mov(ds, ax);
        a.mov(ss, ax);
        a.mov(sp, 0x7000);
        foreach (int vector in new[] { 0, 1, 3, 4, 5, 6, 13, 0x21 })
        {
            a.mov(__word_ptr[vector * 4], vector is 1 or 3 or 4 or 0x21 ? Back : Skip);
            a.mov(__word_ptr[vector * 4 + 2], cs);
        }
        a.xor(bp, bp);
        a.xor(cx, cx);
        a.div(cl);
        a.ud2();
        a.mov(bx, 0xFFFF);
        a.mov(ax, __word_ptr[bx]);
        a.int3();
        a.@int(0x21);
        a.int1();
        a.mov(al, 0x7F);
        a.add(al, 1);
        a.into();
        // Single steps.
        a.pushf();
        a.pop(ax);
        a.or(ax, 0x100);
        a.push(ax);
        a.popf();
        a.nop();
        a.inc(cx);
        a.pushf();
        a.pop(ax);
        a.and(ax, 0xFEFF);
        a.push(ax);
        a.popf();
        // An interrupt shadow in front of an instruction that exits.
        a.sti();
        a.pushf();
        a.popf();
        a.cli();
        a.cpuid();
        a.rdtsc();
        a.mov(al, 5);
        a.@out(0xF4, al);
        using var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), 0x7C00);
        return stream.ToArray();
    }

    [Theory]
    [MemberData(nameof(Silicons))]
    public void ChangeNothingForExceptionsOfEveryKind(EngineKind silicon, PagingKind paging)
    {
        byte[] code = Exceptions();
        using VirtualMachine plain = Machine(code, silicon, paging, kernel: false);
        Run(plain);
        // Two faults of two bytes and one access, four ways to trap, and a step behind each of seven instructions.
        Assert.Equal((StopKind.DebugExit, 14UL), (plain.StopReason.Kind, (ulong)plain.ReadRegister("BP").Value));
        using VirtualMachine watched = Machine(code, silicon, paging, kernel: false);
        watched.AddIntercepts(s_all);
        Run(watched);
        AssertSame(plain, watched);
        string[] exits = [.. watched.ReadExits(4096, requested: true).Where(e => e.Reason[0] == '#' || e.Reason == "ICEBP").Select(e => e.Reason[..3])];
        // PUSHF and POPF are executed by the monitor, and the traps behind them delivered along with that.
        Assert.Equal(["#DE", "#UD", "#GP", "#BP", "ICE", "#OF", .. Enumerable.Repeat("#DB", 5)], exits);

        using VirtualMachine stepped = Machine(code, silicon, paging, kernel: false);
        stepped.AddIntercepts(s_all);
        using VirtualMachine alone = Machine(code, EngineKind.Interpreter, paging, kernel: false);
        for (int i = 0; i < 60; i++)
        {
            stepped.Step(1);
            alone.Step(1);
            Assert.Equal(Outcome.Of(alone).Registers, Outcome.Of(stepped).Registers);
        }
    }

    [Fact]
    public void AreTakenAwayAgain()
    {
        // pushf; popf; jmp back
        using VirtualMachine machine = Machine([0x9C, 0x9D, 0xEB, 0xFC], EngineKind.BinaryTranslation, PagingKind.Nested, kernel: false);
        machine.Step(30);
        var pushf = new InterceptSelection { Instructions = [InterceptedInstruction.Pushf] };
        machine.AddIntercepts(pushf);
        machine.ResetStatistics();
        machine.Step(30);
        Assert.Equal(10, Assert.Single(machine.ReadStatistics().Reasons, r => r.Reason == "PUSHF").Count);
        machine.RemoveIntercepts(pushf);
        machine.ResetStatistics();
        machine.Step(30);
        Assert.DoesNotContain(machine.ReadStatistics().Reasons, r => r.Reason == "PUSHF");
        Assert.Equal(10, machine.ReadExits(100, requested: true).Count);
    }

    [Fact]
    public void OfRegistersAreTheirOwn()
    {
        using VirtualMachine machine = Machine([0x90], EngineKind.BinaryTranslation, PagingKind.Nested, kernel: false);
        var lstar = new InterceptSelection { Msrs = [0xC000_0082], Access = InterceptAccess.Write };
        machine.AddIntercepts(lstar);
        Assert.Equal(("MSR 0xc0000082 write", InterceptOwner.User), Names(machine)[^1]);
        machine.AddIntercepts(new InterceptSelection { Msrs = [0xC000_0080], Access = InterceptAccess.Read, Instructions = [InterceptedInstruction.Cpuid] });
        Assert.Contains(("MSR 0xc0000080 read", InterceptOwner.User | InterceptOwner.Monitor), Names(machine));
        Assert.Contains(("CPUID", InterceptOwner.User | InterceptOwner.Monitor), Names(machine));
        machine.ClearIntercepts();
        Assert.All(Names(machine), n => Assert.Equal(InterceptOwner.Monitor, n.Owner));
        // It was never the monitor's.
        machine.RemoveIntercepts(lstar);
    }

    private static List<(string Name, InterceptOwner Owner)> Names(VirtualMachine machine) => [.. machine.ReadIntercepts().Select(i => (i.Name, i.Owner))];

    [Fact]
    public void DoNotIncludeTheMonitorsOwn()
    {
        using VirtualMachine machine = Machine([0x90], EngineKind.BinaryTranslation, PagingKind.Shadow, kernel: false);
        foreach (InterceptSelection own in new InterceptSelection[]
        {
            new() { Instructions = [InterceptedInstruction.Hlt] }, new() { Ports = [0x80] }, new() { Msrs = [0xC000_0080] }, new() { ControlRegisters = [3] }, new() { Exceptions = [14] },
        })
        {
            Assert.Equal("OwnIntercept", Assert.Throws<MachineException>(() => machine.RemoveIntercepts(own)).ErrorId);
            machine.AddIntercepts(own);
            machine.RemoveIntercepts(own);
            Assert.Equal("OwnIntercept", Assert.Throws<MachineException>(() => machine.RemoveIntercepts(own)).ErrorId);
        }
        foreach (InterceptSelection none in new InterceptSelection[] { new() { Exceptions = [2] }, new() { Exceptions = [32] }, new() { ControlRegisters = [1] }, new() { DebugRegisters = [8] } })
            Assert.Equal("InvalidIntercept", Assert.Throws<MachineException>(() => machine.AddIntercepts(none)).ErrorId);
    }

    [Theory]
    [InlineData(PagingKind.Nested)]
    [InlineData(PagingKind.Shadow)]
    public void VmcbTellsOfTheGuestAsItIs(PagingKind paging)
    {
        using VirtualMachine machine = Machine(BuiltInGuest.Nanobenchmark.Image, EngineKind.BinaryTranslation, paging, kernel: true);
        machine.AddIntercepts(new InterceptSelection { Exceptions = [6] });
        machine.Step(100_000);
        machine.WriteRegister("RAX", 0x1234);
        Dictionary<string, VmcbField> fields = machine.ReadVmcb().ToDictionary(f => f.Name);
        foreach (string name in new[] { "RIP", "RSP", "RAX", "RFLAGS", "CS", "LSTAR" })
            Assert.Equal(machine.ReadRegister(name).Value, fields[name].Value);
        Assert.Equal(0x1234UL, fields["RAX"].Value);
        Assert.Contains("SVME", fields["EFER"].Description);
        Assert.Contains("64-bit code", fields["CS"].Description);
        Assert.Contains("#UD invalid opcode", fields["INTERCEPT_EXCEPTION"].Description);
        Assert.Contains("CPUID", fields["INTERCEPT_1"].Description);
        Assert.Equal(paging == PagingKind.Nested, fields["NP_ENABLE"].Value == 1);
        Assert.Equal(paging == PagingKind.Shadow, fields["INTERCEPT_CR_WRITE"].Description.Contains("CR3 write", StringComparison.Ordinal));
        Assert.Equal(fields.Values.OrderBy(f => f.Offset), fields.Values);
    }
}
