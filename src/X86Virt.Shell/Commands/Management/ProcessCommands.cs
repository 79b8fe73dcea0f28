using System.Diagnostics;
using System.Management.Automation;

namespace X86Virt.Shell.Commands.Management;

[Cmdlet(VerbsCommon.Get, "Process")]
public sealed class GetProcessCommand : PSCmdlet
{
    [Parameter(Position = 0)] public string[] Name { get; set; } = ["*"];
    [Parameter] public int[] Id { get; set; } = [];

    protected override void ProcessRecord()
    {
        WildcardPattern[] patterns = [.. Name.Select(n => WildcardPattern.Get(n, WildcardOptions.IgnoreCase))];
        WriteObject(Id.Length > 0 ? Id.Select(Process.GetProcessById) : Process.GetProcesses().Where(p => patterns.Any(n => n.IsMatch(p.ProcessName))), true);
    }
}
