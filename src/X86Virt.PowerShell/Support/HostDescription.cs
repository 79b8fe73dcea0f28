using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace X86Virt.PowerShell;

/// <summary>What a measurement depends on besides the guest.</summary>
internal static class HostDescription
{
    public static IReadOnlyList<KeyValuePair<string, string>> Read() =>
    [
        new("Processor", Processor()),
        new("Logical processors", Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture)),
        new("Memory", $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 20} MiB"),
        new("Operating system", $"{RuntimeInformation.OSDescription} ({RuntimeInformation.OSArchitecture})"),
        new("Runtime", RuntimeInformation.FrameworkDescription),
        new("X86Virt", typeof(HostDescription).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? ""),
        new("Date", DateTimeOffset.Now.ToString("yyyy-MM-dd HH:mm zzz", CultureInfo.InvariantCulture)),
    ];

    /// <summary>The brand string of CPUID leaves 80000002h to 80000004h where there is one.</summary>
    private static string Processor()
    {
        const int FirstLeaf = unchecked((int)0x8000_0002), LastLeaf = unchecked((int)0x8000_0004), Largest = unchecked((int)0x8000_0000);
        if (!X86Base.IsSupported || (uint)X86Base.CpuId(Largest, 0).Eax < unchecked((uint)LastLeaf))
            return RuntimeInformation.ProcessArchitecture.ToString();
        var name = new List<byte>();
        for (int leaf = FirstLeaf; leaf <= LastLeaf; leaf++)
        {
            (int a, int b, int c, int d) = X86Base.CpuId(leaf, 0);
            foreach (int register in (ReadOnlySpan<int>)[a, b, c, d])
                name.AddRange(BitConverter.GetBytes(register));
        }
        return Encoding.ASCII.GetString([.. name]).TrimEnd('\0').Trim();
    }
}
