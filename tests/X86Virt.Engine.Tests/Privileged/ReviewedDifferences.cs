using System.Text.RegularExpressions;

namespace X86Virt.Engine.Tests.Privileged;

/// <summary>Cases in which another processor model is known to be wrong, or free to differ.</summary>
/// <param name="Cases">Names of cases, all of them.</param>
/// <param name="Reason">Why, with the manual's section.</param>
internal sealed record ReviewedDifference(Regex Cases, string Reason)
{
    public bool Covers(string name) => Cases.IsMatch(name);
}

/// <summary>reviewed.txt: a pattern of names, a bar, the reason; lines that start with # say more.</summary>
internal static class ReviewedDifferences
{
    public static IReadOnlyList<ReviewedDifference> Read(params ReadOnlySpan<string> path)
        => [.. File.ReadLines(Path.Combine([AppContext.BaseDirectory, .. path]))
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split(" | ", 2))
            .Select(parts => new ReviewedDifference(new Regex($"^(?:{parts[0].Trim()})$"), parts[1].Trim()))];
}
