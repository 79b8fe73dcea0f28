using System.Diagnostics.Metrics;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Execution;

public sealed class MachineMetricsTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void AListenerSeesTheCountersOfEachMachineWhileItIsThere()
    {
        File.WriteAllBytes(_file, BareCpu.Assemble(32, a => { a.mov(eax, 1); a.inc(eax); a.rdtsc(); a.hlt(); }));
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter.Name == MachineMetrics.MeterName)
                l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            if (Array.Exists(tags.ToArray(), t => t is { Key: "machine", Value: "measured" }))
                seen[instrument.Name] = value;
        });
        listener.Start();
        using (var machine = new VirtualMachine(new MachineConfiguration { Name = "measured", MemorySize = 4 << 20, FlatBinary = _file, LoadAddress = 1 << 20, Engine = EngineKind.BinaryTranslation }))
        {
            machine.Start();
            machine.Wait(MachineState.Stopped, TimeSpan.FromSeconds(60), CancellationToken.None);
            listener.RecordObservableInstruments();
            Assert.Equal(4, seen["x86virt.instructions"]);
            Assert.True(seen["x86virt.translation.units"] > 0);
            Assert.True(seen["x86virt.translation.callouts"] > 0);
        }
        seen.Clear();
        listener.RecordObservableInstruments();
        Assert.Empty(seen);
    }
}
