using X86Virt.Engine.Processor;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Monitors;

/// <summary>Events that the monitor injects, in a guest that is held again and again before its next exit.</summary>
public sealed class InjectionTests
{
    private const int Stride = 40;

    [Theory]
    [InlineData(PagingKind.Shadow)]
    [InlineData(PagingKind.Nested)]
    public void AnEventIsDeliveredOnceThoughTheGuestIsHeldInItsHandler(PagingKind paging)
    {
        string image = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(image, BuiltInGuest.Nanobenchmark.Image);
            var configuration = new MachineConfiguration
            {
                Name = "injection", Engine = EngineKind.HardwareAssist, Paging = paging, Kernel = image, MemorySize = 16 << 20, CommandLine = "operations=pgfault iterations=500", NoReboot = true,
            };
            using var held = new VirtualMachine(configuration);
            using var free = new VirtualMachine(configuration with { Engine = EngineKind.DecodedCache, Paging = null });
            do
                held.Step(Stride);
            while (held.State != MachineState.Stopped);
            free.Start();
            Assert.True(free.Wait(MachineState.Stopped, TimeSpan.FromMinutes(1), default));
            Assert.Contains("check=00000000000001f4", free.Console.Read(0), StringComparison.Ordinal);
            Assert.Equal(free.Console.Read(0), held.Console.Read(0));
            Assert.Equal(free.InstructionsRetired, held.InstructionsRetired);
        }
        finally
        {
            File.Delete(image);
        }
    }
}
