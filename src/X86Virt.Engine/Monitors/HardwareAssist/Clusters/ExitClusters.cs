using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Monitors;

/// <summary>
/// Exit clustering (Agesen, Mattson, Rugina and Sheldon, "Software Techniques for Avoiding Hardware Virtualization Exits", USENIX ATC 2012): having seen to an exit, the
/// monitor goes on with the instructions behind it as long as that saves another. Clusters are kept by the address of the instruction that exited, and compared with the guest's code
/// before each use.
/// </summary>
internal sealed unsafe class ExitClusters : IDisposable
{
    private const int Slots = 1024;

    /// <summary>Exits of an instruction at which its cluster is decoded: what follows must have exited once to be known for it, and may do so later.</summary>
    private const int FirstLook = 2, SecondLook = 64;

    private struct Entry
    {
        /// <summary>Linear address of an instruction that exited.</summary>
        public ulong Linear;
        public int Exits;
        public ExitCluster? Cluster;
    }

    private readonly Cpu _guest;
    private readonly PermissionMaps _maps;
    private readonly InstructionDecoder _decoder;
    private readonly Predicate<ulong> _hasExited;
    private readonly Entry[] _entries = new Entry[Slots];
    private int _mapChanges;

    /// <param name="guest">The monitor's record of the guest's processor.</param>
    /// <param name="maps">Which model-specific registers exit.</param>
    public ExitClusters(Cpu guest, PermissionMaps maps)
    {
        _guest = guest;
        _maps = maps;
        _decoder = new InstructionDecoder(guest);
        _hasExited = HasExited;
        guest.Memory.MapChanged += OnMapChanged;
    }

    /// <summary>Counts an exit of an instruction; whether it is worth while to have a look at <see cref="Execute"/>.</summary>
    public bool Promises(ulong linear)
    {
        ref Entry e = ref At(linear);
        if (e.Linear != linear)
            (e.Linear, e.Exits) = (linear, 0);
        e.Exits++;
        return IsLook(e.Exits) || (e.Cluster is { Exists: true } cluster && cluster.Linear == linear);
    }

    private static bool IsLook(int exits) => exits is FirstLook or SecondLook;

    private bool HasExited(ulong linear) => At(linear).Linear == linear;

    private ref Entry At(ulong linear) => ref _entries[(int)((linear ^ linear >> 10) & (Slots - 1))];

    /// <summary>
    /// Executes what follows the instruction that exited, on the record, as long as it belongs to the cluster and nothing wants attention.
    /// </summary>
    /// <param name="linear">Linear address of the instruction that exited.</param>
    /// <param name="rip">Its RIP; the record's is behind it.</param>
    /// <param name="code">Its bytes.</param>
    /// <param name="available">How many there are in the page.</param>
    /// <param name="mayGoOn">Whether nothing keeps the next instruction back.</param>
    /// <param name="executed">Instructions that were executed.</param>
    /// <returns>Exits that there would have been.</returns>
    public int Execute(ulong linear, ulong rip, byte* code, int available, Func<bool> mayGoOn, out int executed)
    {
        ref Entry e = ref At(linear);
        CpuState* s = _guest.State;
        executed = 0;
        ExitCluster cluster = e.Cluster ??= new ExitCluster();
        if (IsLook(e.Exits) || cluster.Linear != linear || cluster.Mode != s->Mode || !cluster.Matches(code, available))
            cluster.Decode(_guest, _decoder, code, available, linear, rip, _hasExited);
        int avoided = 0, mapChanges = _mapChanges;
        int step = cluster.Exists ? cluster.Find(s->Rip - rip) : -1;
        // Behind an instruction of registers there is nothing new to ask for but the deadline.
        bool asks = true;
        while (step >= 0 && (asks ? mayGoOn() : s->Budget > 0))
        {
            ref readonly ClusterStep next = ref cluster[step];
            asks = next.Kind != StepKind.Simple;
            if (IsBeyondSegment(s, next.Length) || (next.Kind == StepKind.Msr && (uint)s->Rcx == ModelSpecificRegisters.EferIndex))
                break;
            long accesses = Accesses;
            bool exits = next.Kind == StepKind.Exit || (next.Kind == StepKind.Msr && !_maps.IsAllowed((uint)s->Rcx, IsWrite(code, next)));
            long retired = s->Retired;
            ExecuteOne(s, next.Block);
            // A fault is an exit with shadow paging only; the instruction is executed again.
            if (s->Retired == retired)
                break;
            executed++;
            if (exits || Accesses != accesses)
                avoided++;
            // A device may have been told to change the memory map, and a store may have gone to the code.
            if (_mapChanges != mapChanges || (next.Kind == StepKind.Memory && !cluster.Matches(code, available)))
                break;
            step = cluster.Find(s->Rip - rip);
        }
        return avoided;
    }

    /// <summary>Those that reached a device, or a page table that has a shadow.</summary>
    private long Accesses => _guest.Statistics.DeviceAccesses + _guest.Statistics.Paging.TraceWrites;

    private void OnMapChanged() => _mapChanges++;

    private static void ExecuteOne(CpuState* s, Block* block)
    {
        s->BlockRip = s->Rip;
        s->Budget--;
        Op* op = Block.Ops(block);
        do
        {
            op = op->Handler(s, op);
        }
        while (op != null);
    }

    private static bool IsBeyondSegment(CpuState* s, int length)
        => (s->Mode & CodeMode.Flat) == 0 && s->Rip + (ulong)(length - 1) > CpuState.Seg(s, Segment.Cs)->Limit;

    /// <summary>WRMSR and not RDMSR, whose opcodes differ in their last byte.</summary>
    private static bool IsWrite(byte* code, in ClusterStep step) => code[step.Offset + step.Length - 1] == 0x30;

    public void Dispose()
    {
        _guest.Memory.MapChanged -= OnMapChanged;
        foreach (Entry e in _entries)
            e.Cluster?.Dispose();
    }
}
