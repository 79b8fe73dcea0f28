using System.Diagnostics;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace X86Virt.Engine.Tests.Differential;

/// <summary>The native process that executes instructions on the host processor (tests/oracle/oracle.c).</summary>
internal sealed unsafe class HostOracle : IDisposable
{
    /// <summary>"Auth", the first of the vendor's name in CPUID.</summary>
    private const int AuthenticAmd = 0x68747541;

    private readonly string _directory;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Process _process;
    private readonly byte* _shared;

    private HostOracle(string directory, int capacity)
    {
        _directory = directory;
        Capacity = capacity;
        long size = OracleLayout.CasesOffset + (long)capacity * (OracleLayout.CaseSize + OracleLayout.VectorSize);
        string path = Path.Combine(directory, "shared");
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Create, null, size);
        _view = _file.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _shared);
        _process = Process.Start(new ProcessStartInfo(Path.Combine(directory, "oracle"), [path, capacity.ToString()])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
    }

    /// <summary>Cases that one run can hold.</summary>
    public int Capacity { get; }

    /// <summary>What every instruction finds at <see cref="OracleLayout.Writable"/> and the read-only page behind.</summary>
    public Span<byte> Memory => new(_shared + OracleLayout.HeaderMemoryOffset, OracleLayout.MemorySize);

    public OracleCase* Case(int index) => (OracleCase*)(_shared + OracleLayout.CasesOffset + (long)index * OracleLayout.CaseSize);

    /// <summary>The XSAVE image before case <paramref name="index"/>, and <see cref="OracleLayout.VectorOutput"/> bytes on the one behind it.</summary>
    public byte* VectorState(int index)
        => _shared + OracleLayout.CasesOffset + (long)Capacity * OracleLayout.CaseSize + (long)index * OracleLayout.VectorSize;

    /// <summary>Why there can be no oracle here; null if there can.</summary>
    public static string? Unavailable
    {
        get
        {
            if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
                return "the host is not x64 Linux";
            (_, int ebx, _, _) = X86Base.CpuId(0, 0);
            if (ebx != AuthenticAmd)
                return "the host is not an AMD processor, whose undefined flags and choice of faults handlers reproduce";
            return File.Exists("/usr/bin/gcc") || File.Exists("/usr/local/bin/gcc") ? null : "gcc is not installed";
        }
    }

    /// <summary>Why the host executes no 16- and 32-bit code for user programs; null if it does.</summary>
    public static string? LegacyUnavailable => Unavailable ?? (s_runsLegacy.Value ? null : "the host runs no 16- and 32-bit user code");

    private static readonly Lazy<bool> s_runsLegacy = new(() =>
    {
        const byte Nop = 0x90;
        using HostOracle oracle = Start(2);
        for (int i = 0; i < 2; i++)
        {
            OracleCase* c = oracle.Case(i);
            (c->Bytes[0], c->Length, c->Mode, c->CodeOffset, c->Flags) = (Nop, 1, (byte)(16 << i), 0x800, 0x202);
            c->Gpr[4] = OracleLayout.Writable + 0x100;
        }
        try
        {
            oracle.Run(2);
        }
        catch (InvalidOperationException)
        {
            // The host's kernel has killed it for trying.
            return false;
        }
        return oracle.Case(0)->Outcome.Fault == OracleLayout.NoFault && oracle.Case(1)->Outcome.Fault == OracleLayout.NoFault;
    });

    /// <summary>Compiles and starts the oracle.</summary>
    public static HostOracle Start(int capacity)
    {
        string directory = Directory.CreateTempSubdirectory("x86virt-oracle").FullName;
        string source = Path.Combine(AppContext.BaseDirectory, "oracle.c");
        using Process compiler = Process.Start(new ProcessStartInfo("gcc",
            ["-O2", "-no-pie", "-fno-pie", "-fcf-protection=none", "-o", Path.Combine(directory, "oracle"), source])
        { RedirectStandardError = true })!;
        string errors = compiler.StandardError.ReadToEnd();
        compiler.WaitForExit();
        if (compiler.ExitCode != 0)
            throw new InvalidOperationException($"gcc cannot compile {source}: {errors}");
        return new HostOracle(directory, capacity);
    }

    /// <summary>Has the host execute the first <paramref name="count"/> cases.</summary>
    public void Run(int count)
    {
        *(int*)_shared = count;
        Stream input = _process.StandardInput.BaseStream;
        input.WriteByte(1);
        input.Flush();
        if (_process.StandardOutput.BaseStream.ReadByte() < 0)
        {
            int at = ((int*)_shared)[1];
            OracleCase* c = Case(at);
            _process.WaitForExit();
            throw new InvalidOperationException(
                $"The oracle died with exit code {_process.ExitCode} on case {at}: {c->Mode}-bit {Convert.ToHexString(new ReadOnlySpan<byte>(c->Bytes, c->Length))}.");
        }
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        Directory.Delete(_directory, true);
    }
}
