using System.Text;
using X86Virt.Guests;
using Xunit;

namespace X86Virt.Engine.Tests.Guests;

public sealed class CpioArchiveTests
{
    private static CpioArchive Sample()
    {
        var archive = new CpioArchive();
        archive.AddDirectory("bin");
        archive.AddProgram("bin/x", "hello"u8.ToArray());
        archive.AddLink("bin/y", "x");
        archive.AddDevice("console", 5, 1);
        return archive;
    }

    [Fact]
    public void WritesNewcEntries()
    {
        string text = Encoding.Latin1.GetString(Sample().ToArray());
        string file = text[text.IndexOf("bin/x", StringComparison.Ordinal)..];
        int header = text.IndexOf("bin/x", StringComparison.Ordinal) - 110;
        Assert.Equal(0, header % 4);
        Assert.Equal("070701" + "00000002" + "000081ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005" + "00000000" + "00000000" + "00000000" + "00000000" + "00000006" + "00000000", text.Substring(header, 110));
        Assert.StartsWith("bin/x\0hello\0\0\0070701", file, StringComparison.Ordinal);
        Assert.Contains("TRAILER!!!\0", text, StringComparison.Ordinal);
    }

    [Fact]
    public void IsTheSameEveryTime()
    {
        Assert.Equal(Sample().ToArray(), Sample().ToArray());
        Assert.Equal(Sample().ToGzip(), Sample().ToGzip());
    }

    [Fact]
    public void RefusesPathsThatLinuxCouldNotUnpack()
    {
        CpioArchive archive = Sample();
        Assert.Throws<ArgumentException>(() => archive.AddFile("/init", []));
        Assert.Throws<ArgumentException>(() => archive.AddFile("no/such", []));
        Assert.Throws<ArgumentException>(() => archive.AddFile("bin/x", []));
        Assert.Throws<ArgumentException>(() => archive.AddFile("", []));
    }
}
