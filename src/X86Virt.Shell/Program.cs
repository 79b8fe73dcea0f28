using X86Virt.Shell;

var arguments = CommandLine.Parse(args, out string? error);
if (arguments == null)
{
    Console.Error.WriteLine(error);
    return 64;
}
if (arguments.Help)
{
    Console.Out.WriteLine($"{CommandLine.Usage}\nWithout arguments it is a prompt. Get-Help about_X86Virt explains what can be done there.");
    return 0;
}
using var session = new Session(arguments.Module);
return session.Run(arguments);
