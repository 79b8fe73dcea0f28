using X86Virt.Engine;

namespace X86Virt.Bench;

/// <summary>Boots guests in processes of their own, engines and QEMU in turns, and reports medians.</summary>
internal sealed class BootSuite(Options options, bool hasQemu, string root, Report report)
{
    /// <summary>Debian's kernels as <c>build.ps1 Guests</c> fetches them, to the first process of the initial RAM disk.</summary>
    public void BootLinux()
    {
        foreach ((string kernel, string disk) in new[] { ("vmlinuz-cloud-amd64", "initramfs-amd64.cpio.gz"), ("vmlinuz-amd64", "initramfs-amd64.cpio.gz"), ("vmlinuz-686", "initramfs-i386.cpio.gz") })
        {
            if (!options.WantsBoot(kernel))
                continue;
            string folder = Path.Combine(root, "artifacts", "guests"), image = Path.Combine(folder, kernel), ramDisk = Path.Combine(folder, disk);
            if (!File.Exists(image) || !File.Exists(ramDisk))
            {
                Report.Complain($"boot of {kernel} skipped: '{image}' or '{ramDisk}' is missing; fetch them with ./x86virt build.ps1 Guests.");
                continue;
            }
            Measure(new Boot($"Linux ({kernel})", image, ramDisk, "console=ttyS0 x86virt.action=poweroff", 256 << 20, "X86VIRT-GUEST-READY"), "boot", kernel, hasQemu);
        }
    }

    /// <summary>What a machine costs that does next to nothing.</summary>
    public void StartUp(GuestPrograms programs)
        => Measure(new Boot("a small guest: start-up", programs.Guest(Suite.Compute, 64), null, "kernel=isprime n=1 passes=1", 256 << 20, "..0"), "startup", "isprime", withQemu: false);

    private void Measure(Boot boot, string suite, string name, bool withQemu)
    {
        report.Title($"{boot.Title}: process start to marker");
        report.Header(["engine", "marker, s", "end, s", "processor s to marker", "QEMU / engine", "/ BinaryTranslation", "MIPS", "machine up, ms", "MiB beyond RAM"]);
        List<(string Name, Func<BootResult> Run, List<BootResult> Results)> targets = [];
        if (withQemu)
            targets.Add(("QEMU", () => GuestProcess.Qemu(boot), []));
        IReadOnlyList<EngineChoice> engines = options.Engines(EngineKind.DecodedCache, EngineKind.BinaryTranslation);
        targets.AddRange(engines.Select(engine => (engine.ToString(), (Func<BootResult>)(() => GuestProcess.Machine(root, engine, boot)), new List<BootResult>())));
        // The launcher builds what is stale.
        if (engines.Count > 0)
            GuestProcess.Machine(root, engines[0], boot);
        for (int turn = 0; turn < options.Repeat; turn++)
        {
            foreach (var target in targets)
                target.Results.Add(target.Run());
        }
        double peer = withQemu ? Median(targets[0].Results, r => r.MarkerProcessorSeconds) : double.NaN;
        var translation = targets.FirstOrDefault(t => t.Name == $"{EngineKind.BinaryTranslation}");
        double translated = translation.Results == null ? double.NaN : Median(translation.Results, r => r.MarkerProcessorSeconds);
        foreach (var target in targets)
        {
            double Of(Func<BootResult, double> value) => Median(target.Results, value);
            double processor = Of(r => r.MarkerProcessorSeconds);
            double instructions = Of(r => r.GuestInstructions);
            report.Row(
            [
                target.Name, Report.Number(Of(r => r.MarkerSeconds)), Report.Number(Of(r => r.Seconds)), Report.Number(processor), Report.Number(peer / processor), Report.Number(processor / translated),
                instructions == 0 ? "-" : Report.Number(instructions / processor / 1e6), Report.Number(Of(r => r.UpMilliseconds)), Report.Number(Of(r => r.ExtraMebibytes)),
            ]);
            report.Record(suite, name, 64, target.Name, processor * 1e9, double.NaN, peer / processor);
        }
    }

    private static double Median(List<BootResult> results, Func<BootResult, double> value) => KernelSuite.Median([.. results.Select(value)]);
}
