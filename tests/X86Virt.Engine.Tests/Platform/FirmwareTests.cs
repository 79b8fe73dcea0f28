using System.Text;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;
using Xunit;

namespace X86Virt.Engine.Tests.Platform;

/// <summary>Runs SeaBIOS from the reset vector, which finds its way by the host bridge, the firmware configuration device and the PM timer.</summary>
public sealed unsafe class FirmwareTests
{
    /// <summary>A test that needs SeaBIOS: where build.ps1 Guests or the host's package manager puts it.</summary>
    private sealed class SeaBiosFactAttribute : FactAttribute
    {
        public SeaBiosFactAttribute()
        {
            if (Path == null)
                Skip = "SeaBIOS is not there; get it with build.ps1 Guests.";
        }

        public static string? Path { get; } = Candidates().FirstOrDefault(File.Exists);

        private static IEnumerable<string> Candidates()
        {
            for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
                yield return System.IO.Path.Combine(folder.FullName, "artifacts", "guests", "bios-256k.bin");
            yield return "/usr/share/seabios/bios-256k.bin";
        }
    }

    private const long Limit = 500_000_000;

    [SeaBiosFact]
    public void SeaBiosSetsTheBoardUpAndLooksForADisk()
    {
        using var memory = new PhysicalMemory(64UL << 20);
        using var board = new Board(memory, new BoardOptions { Firmware = File.ReadAllBytes(SeaBiosFactAttribute.Path!) });
        using var cpu = new Cpu(memory, board, new ProcessorModel());
        board.Attach(cpu);
        cpu.Reset();
        using var engine = new DecodedCache(cpu);
        var console = new StringBuilder();
        board.ConsoleOutput += bytes => console.Append(Encoding.Latin1.GetString(bytes));
        while (!console.ToString().Contains("No bootable device", StringComparison.Ordinal))
        {
            Assert.True(cpu.State->Retired < Limit && !cpu.State->ShutDown, $"at {cpu.State->Rip:x} after {cpu.State->Retired} instructions: {console}");
            board.RunDueEvents();
            cpu.WithdrawAttention(Attention.Stop);
            cpu.SetDeadline(Math.Min(board.NextEventAt, cpu.State->Retired + 1_000_000));
            engine.Run();
            if (!cpu.State->Halted)
                continue;
            if (board.InterruptPending)
                cpu.RequestAttention(Attention.Interrupt);
            else
                Assert.True(board.SkipIdle());
        }

        // It followed the loader's script: the tables are where it put them, and add up.
        ulong rsdp = 0;
        for (ulong at = 0xF_0000; at < 0x10_0000 && rsdp == 0; at += 16)
            rsdp = memory.Read<ulong>(at) == BitConverter.ToUInt64("RSD PTR "u8) ? at : 0;
        Assert.Equal(0, Sum(memory, rsdp, 36));
        ulong xsdt = memory.Read<ulong>(rsdp + 24);
        Assert.Equal(0, Sum(memory, xsdt, memory.Read<int>(xsdt + 4)));
        ulong fadt = memory.Read<ulong>(xsdt + 36);
        Assert.Equal(BitConverter.ToUInt32("FACP"u8), memory.Read<uint>(fadt));
        Assert.Equal(0, Sum(memory, fadt, memory.Read<int>(fadt + 4)));
        Assert.Equal(BitConverter.ToUInt32("DSDT"u8), memory.Read<uint>(memory.Read<uint>(fadt + 40)));

        // Its own code is in RAM below 1 MiB now, write-protected; PM ports and interrupt routes are where the tables say.
        Assert.Equal(RegionKind.Rom, memory.Lookup(0xF_0000, out byte* shadow));
        Assert.True(memory.PageIndex(shadow) < (int)(memory.RamSize >> 12));
        Assert.Contains(new PortRange(PowerManagement.DefaultBase, 64, 4), board.Devices.OfType<PowerManagement>().Single().Ports);
        Assert.Equal([10u, 10u, 11u, 11u], Enumerable.Range(0, 4).Select(i => board.Devices.OfType<IsaBridge>().Single().ReadConfiguration(IsaBridge.PirqRoute + i, 1)));
    }

    private static byte Sum(PhysicalMemory memory, ulong address, int length)
    {
        byte[] bytes = new byte[length];
        memory.Read(address, bytes.AsSpan());
        return (byte)bytes.Sum(b => b);
    }
}
