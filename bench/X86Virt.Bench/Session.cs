using X86Virt.Engine;

namespace X86Virt.Bench;

/// <summary>One benchmark run: the suites that are wanted, on what is there; what is not is named and left out.</summary>
internal sealed class Session(Options options, Report report)
{
    private readonly string _root = RepositoryRoot();

    /// <summary>False if something computed the wrong thing or failed.</summary>
    public bool Run()
    {
        bool right = true;
        bool hasQemu = options.Qemu && IsThere(QemuTarget.Program(64)) && IsThere(QemuTarget.Program(32));
        if (Wants("compute", "system", "virtualization", "hybrid"))
            right &= Attempt("kernels", () => RunKernels(hasQemu));
        if (Wants("linux"))
            right &= Attempt("linux", () => new LinuxSuite(options, new GuestPrograms(_root), _root, report).Run());
        var boots = new BootSuite(options, hasQemu, _root, report);
        if (Wants("startup"))
            right &= Attempt("startup", () => boots.StartUp(new GuestPrograms(_root)));
        if (Wants("boot"))
            right &= Attempt("boot", boots.BootLinux);
        return right;
    }

    private bool Wants(params string[] suites) => suites.Any(options.SuiteNames.Contains);

    private bool RunKernels(bool hasQemu)
    {
        var programs = new GuestPrograms(_root);
        List<ITarget> peers = [new NativeTarget(programs)];
        if (hasQemu)
            peers.Add(new QemuTarget(programs));
        var suite = new KernelSuite(options, [.. peers, .. Targets(EngineKind.DecodedCache, EngineKind.BinaryTranslation)], report);
        bool right = true;
        if (Wants("compute"))
        {
            foreach (int bits in options.Bits)
                right &= suite.Run(Suite.Compute, bits);
        }
        if (Wants("system"))
            right &= suite.Run(Suite.System, 64);
        if (Wants("virtualization"))
            right &= new KernelSuite(options, Targets(EngineKind.BinaryTranslation, EngineKind.HardwareAssist), report).Run(Suite.Virtualization, 64);
        if (Wants("hybrid"))
            new HybridSuite(options, programs, report).Run();
        return right;

        ITarget[] Targets(params EngineKind[] usual) => [.. options.Engines(usual).Select(engine => new EngineTarget(engine, programs))];
    }

    private static bool Attempt(string suite, Action run) => Attempt(suite, () =>
    {
        run();
        return true;
    });

    private static bool Attempt(string suite, Func<bool> run)
    {
        try
        {
            return run();
        }
        catch (BenchmarkException e)
        {
            Report.Complain($"{suite} skipped: {e.Message}");
            return true;
        }
    }

    /// <summary>Whether a program can be run; says what is left out if not.</summary>
    private static bool IsThere(string program)
    {
        try
        {
            using System.Diagnostics.Process process = TimedProcess.Start(program, ["--version"]);
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (BenchmarkException e)
        {
            Report.Complain($"no comparison with QEMU: {e.Message} Install qemu-system-x86 (apt-get install qemu-system-x86).");
            return false;
        }
    }

    private static string RepositoryRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "X86Virt.sln")))
                return folder.FullName;
        }
        throw new BenchmarkException($"'{AppContext.BaseDirectory}' is not in the repository, where the guest programs are. Run it with dotnet run --project bench/X86Virt.Bench.");
    }
}
