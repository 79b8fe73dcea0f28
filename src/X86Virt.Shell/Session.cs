using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Reflection;
using X86Virt.Shell.Host;
using X86Virt.Shell.Prompt;

namespace X86Virt.Shell;

/// <summary>One runspace on this thread, and the ways to run something in it.</summary>
internal sealed class Session : IDisposable
{
    private readonly ShellHost _host = new();
    private readonly Runspace _runspace;
    private PowerShell? _running;

    public Session(string? module)
    {
        InitialSessionState state = InitialSessionState.CreateDefault2();
        state.ImportPSModule(Path.Combine(AppContext.BaseDirectory, "Modules", "Microsoft.PowerShell.Utility"),
            Path.Combine(AppContext.BaseDirectory, "Modules", "Microsoft.PowerShell.Management"));
        if (module != null)
            state.ImportPSModule(module);
        _runspace = RunspaceFactory.CreateRunspace(_host, state);
        _runspace.ThreadOptions = PSThreadOptions.UseCurrentThread;
        _runspace.Open();
        Runspace.DefaultRunspace = _runspace;
        LetScriptsExit();
        Console.CancelKeyPress += OnCancel;
    }

    /// <summary>Runs what the command line asks for; the exit code of the process.</summary>
    public int Run(CommandLine line)
    {
        int code = 0;
        if (line.File != null)
            code = RunFile(line.File, line.Rest);
        else if (line.Command != null)
            code = RunText(line.Command);
        if (!line.NoExit || _host.ExitRequested)
            return _host.ExitCode ?? code;
        return new InteractivePrompt(this, _host).Run();
    }

    private int RunFile(string path, IReadOnlyList<string> arguments)
    {
        string full = Path.GetFullPath(path);
        if (!File.Exists(full))
        {
            _host.UI.WriteErrorLine($"The script '{path}' does not exist. {CommandLine.Usage}");
            return 64;
        }
        var command = new Command(full, isScript: false, useLocalScope: false);
        for (int i = 0; i < arguments.Count; i++)
            command.Parameters.Add(Argument(arguments[i]));
        using PowerShell shell = PowerShell.Create(_runspace);
        shell.Commands.AddCommand(command);
        bool ok = Invoke(shell);
        return _host.ExitCode ?? (ok ? LastExitCode() : 1);
    }

    private int RunText(string text)
    {
        bool ok = RunInteractive(text);
        return _host.ExitCode ?? (ok ? 0 : 1);
    }

    /// <summary>Runs text as typed at the prompt; false if it ended with an error.</summary>
    public bool RunInteractive(string text)
    {
        using PowerShell shell = PowerShell.Create(_runspace);
        shell.AddScript(text, useLocalScope: false);
        return Invoke(shell);
    }

    /// <summary>As pwsh takes the arguments of a script: "-Name", "-Name:value", or a value.</summary>
    private static CommandParameter Argument(string text)
    {
        bool named = text.Length > 1 && text[0] == '-' && (char.IsLetter(text[1]) || text[1] == '_' || text[1] == '?');
        if (!named)
            return new CommandParameter(null, text);
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
            return new CommandParameter(text, null);
        string value = text[(colon + 1)..];
        object typed = value.ToUpperInvariant() switch { "$TRUE" => true, "$FALSE" => false, _ => value };
        return new CommandParameter(text[..(colon + 1)], typed);
    }

    private bool Invoke(PowerShell shell)
    {
        shell.Commands.Commands[0].MergeMyResults(PipelineResultTypes.Error, PipelineResultTypes.Output);
        shell.AddCommand("Out-Default");
        _running = shell;
        try
        {
            shell.Invoke();
            return !shell.HadErrors || shell.InvocationStateInfo.State == PSInvocationState.Completed;
        }
        catch (PipelineStoppedException)
        {
            return false;
        }
        catch (RuntimeException e)
        {
            Show(e.ErrorRecord);
            return false;
        }
        finally
        {
            _running = null;
        }
    }

    /// <summary>Shows an error as the engine would have.</summary>
    private void Show(ErrorRecord error)
    {
        var shown = PSObject.AsPSObject(error);
        if (shown.Properties["writeErrorStream"] == null)
            shown.Properties.Add(new PSNoteProperty("writeErrorStream", true));
        using PowerShell shell = PowerShell.Create(_runspace);
        shell.AddCommand("Out-Default");
        shell.Invoke(new object[] { shown });
    }

    private int LastExitCode()
        => _runspace.SessionStateProxy.GetVariable("LASTEXITCODE") is int code ? code : 0;

    /// <summary>Values of an expression; nothing if it fails.</summary>
    public IReadOnlyList<PSObject> Evaluate(string text)
    {
        using PowerShell shell = PowerShell.Create(_runspace);
        shell.AddScript(text, useLocalScope: false);
        try
        {
            return shell.Invoke();
        }
        catch (RuntimeException)
        {
            return [];
        }
    }

    public CommandCompletion Complete(string input, int cursor)
    {
        using PowerShell shell = PowerShell.Create(_runspace);
        return CommandCompletion.CompleteInput(input, cursor, null, shell);
    }

    /// <summary>Without this, "exit n" in a script file would only set $LASTEXITCODE; there is no public switch for it.</summary>
    private void LetScriptsExit()
    {
        object? context = _runspace.GetType().GetProperty("ExecutionContext", BindingFlags.Instance | BindingFlags.NonPublic)?.GetValue(_runspace);
        context?.GetType().GetProperty("ScriptCommandProcessorShouldRethrowExit", BindingFlags.Instance | BindingFlags.NonPublic)?.SetValue(context, true);
    }

    /// <summary>Ctrl-C stops what runs, not the shell.</summary>
    private void OnCancel(object? sender, ConsoleCancelEventArgs e)
    {
        PowerShell? running = _running;
        if (running == null)
            return;
        e.Cancel = true;
        running.BeginStop(null, null);
    }

    public void Dispose()
    {
        Console.CancelKeyPress -= OnCancel;
        _runspace.Dispose();
    }
}
