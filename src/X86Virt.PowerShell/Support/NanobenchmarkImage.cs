using X86Virt.Engine;
using X86Virt.Engine.Processor;
using X86Virt.Guests;

namespace X86Virt.PowerShell;

/// <summary>The nanobenchmark kernel in a file, as long as it is needed.</summary>
internal sealed class NanobenchmarkImage : IDisposable
{
    private const ulong Memory = 16 << 20;

    private static int s_files;

    private readonly string _path;

    public NanobenchmarkImage(int bits = 64)
    {
        // The guest gets the path in its command line and looks through that: names of digits, all of one length, take as many instructions.
        FileStream? file = null;
        do
        {
            _path = Path.Combine(Path.GetTempPath(), $"{Environment.ProcessId:D10}{Interlocked.Increment(ref s_files):D10}.bin");
            try
            {
                file = new FileStream(_path, FileMode.CreateNew);
            }
            catch (IOException) when (File.Exists(_path))
            {
            }
        }
        while (file == null);
        using (file)
            file.Write(Of(bits).Image);
    }

    public static BuiltInGuest Of(int bits) => bits == 32 ? BuiltInGuest.Nanobenchmark32 : BuiltInGuest.Nanobenchmark;

    public MachineConfiguration Configuration(EngineKind engine, PagingKind? paging)
        => new() { Name = "nanobenchmark", Engine = engine, Paging = paging, Kernel = _path, MemorySize = Memory };

    public static void Check(IEnumerable<string> operations)
    {
        if (operations.FirstOrDefault(o => !BuiltInGuest.NanobenchmarkOperations.Contains(o)) is { } unknown)
            throw new MachineException("UnknownNanobenchmark", $"There is no operation '{unknown}'. Choose from {string.Join(", ", BuiltInGuest.NanobenchmarkOperations)}.");
    }

    public void Dispose() => File.Delete(_path);
}
