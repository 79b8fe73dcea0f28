using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace X86Virt.Bench;

/// <summary>Runs a program that marks the begin and end of each pass, and takes its processor time at each mark (see bench/guests/runtime.h).</summary>
internal static class TimedProcess
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(5);

    public static Process Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true };
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new BenchmarkException($"'{program}' cannot be run ({e.Message}).");
        }
    }

    /// <summary>Whether the host can execute a guest program of its own.</summary>
    public static bool CanRun(string program)
    {
        try
        {
            Run(program, ["kernel=isprime n=1 passes=1"]);
            return true;
        }
        catch (BenchmarkException)
        {
            return false;
        }
    }

    /// <summary>Ends a process that takes far too long, until disposed of.</summary>
    public static Timer Limit(Process process) => new(_ => process.Kill(entireProcessTree: true), null, _limit, Timeout.InfiniteTimeSpan);

    public static Run Run(string program, IEnumerable<string> arguments)
    {
        using Process process = Start(program, arguments);
        using Timer limit = Limit(process);
        List<double?> marks = [];
        var text = new StringBuilder();
        Stream output = process.StandardOutput.BaseStream;
        for (int c = output.ReadByte(); c >= 0; c = output.ReadByte())
        {
            switch (c)
            {
                case '.':
                    marks.Add(HostClock.OfProcess(process.Id));
                    break;
                case '[':
                    text.Clear();
                    break;
                case ']':
                    marks.Add(Convert.ToInt64(text.ToString(), 16));
                    text.Clear();
                    break;
                default:
                    text.Append((char)c);
                    break;
            }
        }
        process.WaitForExit();
        if (marks.Count < 2)
            throw new BenchmarkException($"'{program}' ended with exit code {process.ExitCode} and no result: '{text.ToString().Trim()}'.");
        double[] passes = [.. marks.Zip(marks.Skip(1), (from, to) => to - from).OfType<double>()];
        return new Run(passes, text.ToString().Trim());
    }
}
