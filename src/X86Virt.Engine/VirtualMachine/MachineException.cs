namespace X86Virt.Engine;

/// <summary>An action or a setting that a machine refuses; the message names the thing, the value and the remedy.</summary>
public sealed class MachineException(string errorId, string message) : Exception(message)
{
    /// <summary>Stable identifier, e.g. MachineNotRunning.</summary>
    public string ErrorId { get; } = errorId;
}
