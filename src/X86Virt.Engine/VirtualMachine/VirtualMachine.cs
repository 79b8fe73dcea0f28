using System.Diagnostics;
using System.Text;
using X86Virt.Engine.Boot;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Monitors;
using X86Virt.Engine.Platform;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine;

/// <summary>
/// A machine: one processor, one board, one engine, and the thread that runs them. Every public member may be called from any thread;
/// what needs the guest to hold still (<see cref="Inspect{T}"/>) holds it between two instructions, which the guest cannot notice.
/// </summary>
public sealed partial class VirtualMachine : IDisposable
{
    // The run loop holds the gate while guest code runs; whoever waits for it counts himself, and the loop lets him in.
    private readonly object _gate = new();
    private readonly object _stateLock = new();
    private readonly Stopwatch _hostTime = new();

    // What Reconfigure replaces.
    private PhysicalMemory _memory;
    private Board _board;
    private Cpu _cpu;
    private ExecutionEngine _engine;
    private BootRequest? _boot;

    private Thread? _thread;
    private int _waiters;
    private volatile bool _holdRequested;
    private bool _started;
    private bool _disposed;

    /// <summary>
    /// Makes a machine and reads its images; throws <see cref="MachineException"/> or <see cref="BootException"/> and leaves nothing behind.
    /// </summary>
    public VirtualMachine(MachineConfiguration configuration)
    {
        ConfigurationCheck.Validate(configuration);
        Configuration = configuration;
        ProcessorModel model = ModelOf(configuration);
        _boot = BootRequestOf(configuration);
        _memory = new PhysicalMemory(configuration.MemorySize, configuration.HasMonitor ? MonitorMemory.SizeFor(configuration.MemorySize) : 0);
        try
        {
            _board = new Board(_memory, BoardOptionsOf(configuration));
            _cpu = new Cpu(_memory, _board, model);
            _board.Attach(_cpu);
            _engine = CreateEngine(configuration, _cpu);
            _board.ConsoleOutput += Console.Append;
            Load();
        }
        catch
        {
            _engine?.Dispose();
            _cpu?.Dispose();
            _memory.Dispose();
            throw;
        }
        MachineMetrics.Add(this);
    }

    public MachineConfiguration Configuration { get; private set; }
    public string Name => Configuration.Name;
    public Guid Id { get; } = Guid.NewGuid();
    public MachineState State { get; private set; }
    public StopReason StopReason { get; private set; } = StopReason.None;

    /// <summary>What the guest left with: (value &lt;&lt; 1) | 1 from isa-debug-exit, 0 after power-off; null otherwise.</summary>
    public int? ExitCode { get; private set; }

    /// <summary>What was loaded where; null for a machine without an image.</summary>
    public BootPlan? BootPlan { get; private set; }

    /// <summary>Resets that the guest asked for and got.</summary>
    public int Reboots { get; private set; }
    public ConsoleTranscript Console { get; } = new();
    public unsafe long InstructionsRetired => _disposed ? 0 : _cpu.State->Retired;

    /// <summary>Guest time since the machine was first started.</summary>
    public TimeSpan Uptime => _disposed ? TimeSpan.Zero : TimeSpan.FromTicks(_board.Clock.Now / 100);

    /// <summary>Host time spent running.</summary>
    public TimeSpan HostTime => _hostTime.Elapsed;

    /// <summary>Millions of guest instructions a second of host time, over the machine's life.</summary>
    public double Mips => _hostTime.Elapsed.TotalSeconds > 0 ? InstructionsRetired / _hostTime.Elapsed.TotalSeconds / 1e6 : 0;

    /// <summary>Raised on the machine's thread when <see cref="State"/> changed.</summary>
    public event EventHandler? StateChanged;

    private static ProcessorModel ModelOf(MachineConfiguration configuration)
    {
        try
        {
            return ProcessorModel.Parse(configuration.ProcessorModel, configuration.Features);
        }
        catch (ArgumentException e)
        {
            throw new MachineException("InvalidProcessorModel", e.Message);
        }
    }

    /// <summary>What stands for the software VMM where guest code can be translated, and where it cannot.</summary>
    private static EngineKind SoftwareVmm => BinaryTranslation.IsSupported ? EngineKind.BinaryTranslation : EngineKind.DecodedCache;

    private static ExecutionEngine CreateEngine(MachineConfiguration c, Cpu cpu)
    {
        if (c.HasMonitor)
        {
            HardwareAssist hardware = new(cpu, c.PagingOfMonitor, c.ShadowTableLimit, c.Generation, silicon => CreateEngine(c.Silicon, silicon, c.Translation)) { ClustersExits = c.ExitClustering };
            return c.Engine == EngineKind.HardwareAssist ? hardware : new Hybrid(cpu, hardware, CreateEngine(SoftwareVmm, cpu, c.Translation), new HybridPolicy(c.CostProfile));
        }
        ExecutionEngine engine = CreateEngine(c.Engine, cpu, c.Translation);
        cpu.UsePaging(c.Paging ?? engine.DefaultPaging, c.ShadowTableLimit);
        return engine;
    }

    private static ExecutionEngine CreateEngine(EngineKind kind, Cpu cpu, TranslationOptions translation) => kind switch
    {
        EngineKind.Interpreter => new Interpreter(cpu),
        EngineKind.DecodedCache => new DecodedCache(cpu),
        _ => new BinaryTranslation(cpu, translation),
    };

    private static BoardOptions BoardOptionsOf(MachineConfiguration c) => new()
    {
        ClockRate = c.ClockRate,
        RealTime = c.Clock == ClockKind.RealTime,
        Firmware = c.Firmware == null ? default : ReadFirmware(c.Firmware),
        FirmwareItems = c.FirmwareItems,
    };

    private static ReadOnlyMemory<byte> ReadFirmware(string path)
    {
        BootFile image = BootFile.Read(path, FirmwareRom.MaximumLength);
        return FirmwareRom.IsImageLength((int)image.Length) ? image.Content
            : throw new BootException(BootFailure.Invalid, path, $"a firmware image does not have {image.Length} bytes", "Give one of 64 KiB to 2 MiB in multiples of 64 KiB, such as SeaBIOS's bios-256k.bin.");
    }

    private static BootRequest? BootRequestOf(MachineConfiguration c)
    {
        if (c.Kernel != null)
        {
            return new BootRequest(BootFile.Read(c.Kernel))
            {
                InitialRamDisk = c.InitialRamDisk == null ? null : BootFile.Read(c.InitialRamDisk, c.MemorySize),
                CommandLine = c.CommandLine,
                Modules = [.. c.Modules.Select(m => new BootModule(BootFile.Read(m.Path, c.MemorySize), m.Text))],
                Mode = c.BootMode,
                LoadAddress = c.LoadAddress,
                EntryPoint = c.EntryPoint,
            };
        }
        return c.FlatBinary == null ? null : new BootRequest(BootFile.Read(c.FlatBinary, c.MemorySize))
        {
            Format = BootFormat.Flat,
            LoadAddress = c.LoadAddress,
            EntryPoint = c.EntryPoint,
            Mode = c.BootMode,
        };
    }

    /// <summary>Puts the board and the processor into their state at power-on and loads the image.</summary>
    private void Load()
    {
        _board.Reset();
        _cpu.Reset();
        if (_boot == null)
            return;
        if (_board.Firmware == null)
            BootPlan = BootLoader.Load(_boot, new BootTarget(_memory, _cpu, _board.MemoryMap));
        else if (BootLoader.Recognise(_boot.Kernel) != BootFormat.Linux)
            throw _boot.Kernel.Unsupported("firmware is given a kernel that is no Linux bzImage", "Leave out -Firmware to start it directly.");
        LinuxFirmwareItems.Publish(_board.FirmwareConfiguration, _boot, _board.Map.LowSize);
    }

    /// <summary>Starts a machine that has not run, or one that stopped (from power-on).</summary>
    public void Start()
    {
        lock (_stateLock)
        {
            Require(MachineState.Stopped);
            Hold();
            if (_started)
            {
                _memory.ClearRam();
                Load();
            }
            _started = true;
            StopReason = StopReason.None;
            ExitCode = null;
            _cpu.Breakpoints.Arm();
            Go();
        }
    }

    /// <summary>Ends a machine where it is; its memory and registers can still be read.</summary>
    public void Stop()
    {
        lock (_stateLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (State == MachineState.Stopped)
                throw WrongState("Only one that runs or is suspended can be stopped.");
            Hold();
            if (State != MachineState.Stopped)
                Ended(StopKind.User, "stopped by its user");
        }
    }

    /// <summary>Holds a running machine between two instructions.</summary>
    public void Suspend()
    {
        lock (_stateLock)
        {
            Require(MachineState.Running);
            Hold();
            if (State == MachineState.Running)
                SetState(MachineState.Suspended);
        }
    }

    public void Resume()
    {
        lock (_stateLock)
        {
            Require(MachineState.Suspended);
            Hold();
            _cpu.Breakpoints.Pass(_cpu.LinearRip, InstructionsRetired);
            Go();
        }
    }

    /// <summary>Resets a machine as its reset button would, whatever its state, and runs it from power-on.</summary>
    public void Restart()
    {
        lock (_stateLock)
        {
            Hold();
            SetState(MachineState.Stopped);
            _started = true;
            _memory.ClearRam();
            Load();
            StopReason = StopReason.None;
            ExitCode = null;
            _cpu.Breakpoints.Arm();
            Go();
        }
    }

    /// <summary>Executes a number of instructions of a machine that is not running, and leaves it suspended.</summary>
    public void Step(long count)
    {
        lock (_stateLock)
        {
            if (State == MachineState.Running)
                throw WrongState("Suspend it first (Suspend-VM).");
            if (State == MachineState.Stopped && StopReason.Kind != StopKind.None)
                throw WrongState("Start it again first (Start-VM).");
            Hold();
            _started = true;
            SetState(MachineState.Suspended);
            lock (_gate)
                StepGuest(count);
        }
    }

    /// <summary>Types text at the console of a machine that is running or suspended.</summary>
    public void Send(string text) => Send(Encoding.UTF8.GetBytes(text));

    public void Send(ReadOnlySpan<byte> bytes)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (State == MachineState.Stopped)
            throw WrongState("Start it first (Start-VM).");
        byte[] copy = bytes.ToArray();
        Inspect(_ => _board.SendConsoleInput(copy));
    }

    /// <summary>Waits for a state; false if the time is up or the wait was cancelled.</summary>
    public bool Wait(MachineState state, TimeSpan timeout, CancellationToken cancel)
    {
        long end = timeout == Timeout.InfiniteTimeSpan ? long.MaxValue : Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        using CancellationTokenRegistration registration = cancel.Register(() =>
        {
            lock (_waitLock)
                Monitor.PulseAll(_waitLock);
        });
        lock (_waitLock)
        {
            while (State != state)
            {
                long left = end - Environment.TickCount64;
                if (left <= 0 || cancel.IsCancellationRequested)
                    return false;
                Monitor.Wait(_waitLock, (int)Math.Min(left, int.MaxValue));
            }
            return true;
        }
    }

    private readonly object _waitLock = new();

    /// <summary>Looks at or changes the guest while it holds still between two instructions.</summary>
    public T Inspect<T>(Func<Cpu, T> look)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Interlocked.Increment(ref _waiters);
        _cpu.RequestAttention(Attention.Stop);
        _board.Wake();
        try
        {
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                return look(_cpu);
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiters);
        }
    }

    public void Inspect(Action<Cpu> look) => Inspect(cpu =>
    {
        look(cpu);
        return true;
    });

    private void Require(MachineState state)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (State != state)
            throw WrongState(Remedy(State, state));
    }

    private static string Remedy(MachineState present, MachineState wanted) => (present, wanted) switch
    {
        (MachineState.Running, MachineState.Stopped) => "Stop it first (Stop-VM).",
        (MachineState.Running, _) => "Suspend it first (Suspend-VM).",
        (MachineState.Suspended, MachineState.Stopped) => "Stop it first (Stop-VM), or have it go on (Resume-VM).",
        (MachineState.Suspended, _) => "Have it go on first (Resume-VM).",
        _ => "Start it first (Start-VM).",
    };

    private MachineException WrongState(string remedy) => new("WrongMachineState", $"Machine '{Name}' is {State}. {remedy}");

    private void SetState(MachineState state)
    {
        lock (_waitLock)
        {
            if (State == state)
                return;
            State = state;
            Monitor.PulseAll(_waitLock);
        }
        Console.SetEnded(state == MachineState.Stopped);
        StateChanged?.Invoke(this, EventArgs.Empty);
    }

    /// <summary>Ends the machine for good and frees all it took.</summary>
    public void Dispose()
    {
        lock (_stateLock)
        {
            if (_disposed)
                return;
            Hold();
            SetState(MachineState.Stopped);
            MachineMetrics.Remove(this);
            lock (_gate)
            {
                _disposed = true;
                _engine.Dispose();
                _cpu.Dispose();
                _memory.Dispose();
            }
        }
    }
}
