using System.Globalization;
using System.Management.Automation.Host;

namespace X86Virt.Shell.Host;

/// <summary>What the PowerShell engine knows of this program.</summary>
internal sealed class ShellHost : PSHost
{
    public override string Name => "X86Virt";
    public override Version Version { get; } = typeof(ShellHost).Assembly.GetName().Version ?? new Version(0, 1);
    public override Guid InstanceId { get; } = Guid.NewGuid();
    public override CultureInfo CurrentCulture => CultureInfo.CurrentCulture;
    public override CultureInfo CurrentUICulture => CultureInfo.CurrentUICulture;
    public override PSHostUserInterface UI { get; } = new ShellUserInterface();

    /// <summary>What "exit n" asked for.</summary>
    public int? ExitCode { get; private set; }
    public bool ExitRequested => ExitCode != null;

    public override void SetShouldExit(int exitCode) => ExitCode = exitCode;

    public override void EnterNestedPrompt() => throw new NotSupportedException("This shell has no nested prompts; use pwsh for them.");

    public override void ExitNestedPrompt() => throw new NotSupportedException("This shell has no nested prompts; use pwsh for them.");

    public override void NotifyBeginApplication()
    {
    }

    public override void NotifyEndApplication()
    {
    }
}
