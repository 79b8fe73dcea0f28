using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Execution;

public sealed class LockstepTests : IDisposable
{
    private readonly List<string> _files = [];

    public void Dispose() => _files.ForEach(File.Delete);

    private MachineConfiguration Machine()
    {
        byte[] code = BareCpu.Assemble(32, a =>
        {
            var loop = a.CreateLabel();
            a.mov(ecx, 1000);
            a.Label(ref loop);
            a.add(eax, ecx);
            a.dec(ecx);
            a.jnz(loop);
            a.mov(eax, 7);
            a.xor(ecx, ecx);
            a.cpuid();
            a.hlt();
        });
        string path = Path.GetTempFileName();
        _files.Add(path);
        File.WriteAllBytes(path, code);
        return new MachineConfiguration { Name = "lockstep", MemorySize = 4 << 20, FlatBinary = path, LoadAddress = 1 << 20 };
    }

    [Theory]
    [InlineData(EngineKind.DecodedCache)]
    [InlineData(EngineKind.BinaryTranslation)]
    public void EnginesAgreeToTheEnd(EngineKind engine)
    {
        MachineConfiguration machine = Machine();
        var lockstep = new Lockstep(machine with { Engine = engine }, machine with { Engine = EngineKind.Interpreter });
        Assert.Null(lockstep.Run(1_000_000, 7));
        Assert.Equal(3005, lockstep.Retired);
        Assert.NotEqual(StopReason.None, lockstep.StopReason);
    }

    [Fact]
    public void TheFirstDifferenceIsFound()
    {
        // The same code, with processors that CPUID tells apart behind the loop.
        MachineConfiguration machine = Machine();
        LockstepDifference? difference = new Lockstep(machine, machine with { Features = ["-Avx2"] }).Run(1_000_000, 1000);
        Assert.NotNull(difference);
        Assert.Equal(3003, difference.Retired);
        Assert.Equal("cpuid", difference.Text);
        Assert.Equal(["rcx", "rbx"], difference.Differences.Select(d => d.Name));
        Assert.NotEmpty(difference.First);
        Assert.NotEmpty(difference.Second);
    }

    [Fact]
    public void FaultsAreStepsToo()
    {
        // UD2 without an interrupt table is a triple fault: nothing retires, and the machine stops.
        string path = Path.GetTempFileName();
        _files.Add(path);
        File.WriteAllBytes(path, [0x90, 0x0F, 0x0B]);
        var machine = new MachineConfiguration { Name = "lockstep", MemorySize = 4 << 20, FlatBinary = path, LoadAddress = 1 << 20 };
        var lockstep = new Lockstep(machine, machine with { Engine = EngineKind.Interpreter });
        Assert.Null(lockstep.Run(1000, 1));
        Assert.Equal(StopKind.TripleFault, lockstep.StopReason.Kind);
    }
}
