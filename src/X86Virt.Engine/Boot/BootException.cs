namespace X86Virt.Engine.Boot;

/// <summary>What is wrong with an image or a request to boot it.</summary>
public enum BootFailure
{
    /// <summary>The file cannot be read.</summary>
    Unreadable,
    Empty,

    /// <summary>The image is shorter than its own headers say.</summary>
    Truncated,

    /// <summary>No loader knows the format.</summary>
    Unrecognised,

    /// <summary>The format is known; a header field has a value that cannot be right.</summary>
    Invalid,

    /// <summary>The image is sound, but asks for something that is not provided.</summary>
    Unsupported,

    /// <summary>The machine's memory does not hold it.</summary>
    TooLarge,

    /// <summary>Two things would occupy the same memory.</summary>
    Overlap,
}

/// <summary>A guest could not be loaded. The message names the file, the trouble with its value, and the remedy.</summary>
public sealed class BootException(BootFailure failure, string file, string problem, string remedy, Exception? inner = null)
    : Exception($"{file}: {problem}. {remedy}", inner)
{
    public BootFailure Failure { get; } = failure;

    /// <summary>The image that the trouble is with.</summary>
    public string File { get; } = file;
}
