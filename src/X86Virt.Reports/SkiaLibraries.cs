using System.Reflection;
using System.Runtime.InteropServices;

namespace X86Virt.Reports;

/// <summary>
/// Finds the native libraries of SkiaSharp in the folder of this assembly. The runtime looks there by itself only for what an application's
/// list of dependencies names, and a PowerShell module has none.
/// </summary>
internal static class SkiaLibraries
{
    public static void Resolve()
    {
        foreach (Assembly user in new[] { typeof(SkiaSharp.SKCanvas).Assembly, typeof(HarfBuzzSharp.Blob).Assembly })
        {
            try
            {
                NativeLibrary.SetDllImportResolver(user, Load);
            }
            catch (InvalidOperationException)
            {
                // Somebody else in the process sees to it.
            }
        }
    }

    private static nint Load(string name, Assembly user, DllImportSearchPath? path)
    {
        string folder = Path.GetDirectoryName(typeof(SkiaLibraries).Assembly.Location)!;
        string architecture = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
        string[] identifiers = OperatingSystem.IsWindows() ? [$"win-{architecture}"] : OperatingSystem.IsMacOS() ? ["osx"]
            : RuntimeInformation.RuntimeIdentifier.Contains("musl", StringComparison.Ordinal) ? [$"linux-musl-{architecture}"] : [$"linux-{architecture}"];
        string file = OperatingSystem.IsWindows() ? $"{name}.dll" : OperatingSystem.IsMacOS() ? $"{name}.dylib" : $"{name}.so";
        foreach (string candidate in identifiers.Select(i => Path.Combine(folder, "runtimes", i, "native", file)).Prepend(Path.Combine(folder, file)))
        {
            if (NativeLibrary.TryLoad(candidate, out nint library))
                return library;
        }
        return NativeLibrary.TryLoad(name, user, path, out nint found) ? found : 0;
    }
}
