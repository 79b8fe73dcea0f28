using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;
using X86Virt.Engine;
using X86Virt.Engine.Processor;

namespace X86Virt.PowerShell;

/// <summary>Completes from a list of words.</summary>
public abstract class WordCompleter : IArgumentCompleter
{
    /// <summary>The words to choose from.</summary>
    protected abstract IEnumerable<string> Words { get; }

    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters)
    {
        var pattern = new WildcardPattern(wordToComplete.Trim('\'', '"') + "*", WildcardOptions.IgnoreCase);
        return Words.Where(w => pattern.IsMatch(w)).Select(w => new CompletionResult(Quoted(w), w, CompletionResultType.ParameterValue, w));
    }

    private static string Quoted(string word)
        => char.IsLetterOrDigit(word[0]) && word.All(c => char.IsLetterOrDigit(c) || c is '-' or '+' or '_' or '.') ? word : $"'{word.Replace("'", "''", StringComparison.Ordinal)}'";
}

/// <summary>Names of machines.</summary>
public sealed class MachineNameCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => MachineRegistry.All.Select(m => m.Name);
}

/// <summary>Names of registers.</summary>
public sealed class RegisterNameCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => RegisterSet.Names;
}

/// <summary>Names of machines, then of registers.</summary>
public sealed class MachineOrRegisterNameCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => MachineRegistry.All.Select(m => m.Name).Concat(RegisterSet.Names);
}

/// <summary>Names of processor models.</summary>
public sealed class ProcessorModelCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => ProcessorModels.Names;
}

/// <summary>Processor features, switched on and off.</summary>
public sealed class ProcessorFeatureCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => Enum.GetNames<ProcessorFeature>().SelectMany(f => new[] { $"+{f}", $"-{f}" });
}

/// <summary>Mnemonics of exceptions.</summary>
public sealed class ExceptionCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => ExceptionName.Mnemonics;
}

/// <summary>Names of keys.</summary>
public sealed class ConsoleKeyCompleter : WordCompleter
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Words => ConsoleKeys.Names;
}
