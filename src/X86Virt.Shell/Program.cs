using X86Virt.Shell;

var arguments = CommandLine.Parse(args, out string? error);
if (arguments == null)
{
    Console.Error.WriteLine(error);
    return 64;
}
using var session = new Session(arguments.Module);
return session.Run(arguments);
