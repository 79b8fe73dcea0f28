using X86Virt.Bench;

try
{
    Options options = Options.Parse(args);
    using var report = new Report(options.Table);
    return new Session(options, report).Run() ? 0 : 1;
}
catch (BenchmarkException e)
{
    Report.Complain(e.Message);
    return 2;
}
