using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Time-stamp counter, random numbers, TLB and cache invalidation, MONITOR and MWAIT (AMD volume 3).</summary>
public unsafe class ProcessorInstructionTests
{
    [Fact]
    public void TheTimeStampComesFromTheBus() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.TimeStamp = 0x1_2345_6789;
        cpu.State->TscAux = 0xABCD;
        cpu.State->Rax = cpu.State->Rdx = cpu.State->Rcx = ulong.MaxValue;
        Assert.Null(cpu.Execute(64, a => a.rdtsc()));
        Assert.Equal((0x2345_6789UL, 1UL), (cpu.State->Rax, cpu.State->Rdx));
        cpu.State->Rax = cpu.State->Rdx = 0;
        Assert.Null(cpu.Execute(64, a => a.rdtscp()));
        Assert.Equal((0x2345_6789UL, 1UL, 0xABCDUL), (cpu.State->Rax, cpu.State->Rdx, cpu.State->Rcx));
    });

    [Fact]
    public void TheKernelCanKeepTheTimeStampToItself()
    {
        foreach (byte[] instruction in new byte[][] { [0x0F, 0x31], [0x0F, 0x01, 0xF9] })
        {
            OnEveryEngine(64, cpu =>
            {
                cpu.State->Cr4 |= Cr4.Tsd;
                Assert.Null(cpu.Execute(instruction));
            });
            OnEveryEngine(64, cpu =>
            {
                cpu.State->Cr4 |= Cr4.Tsd;
                cpu.EnterUser();
                RaisesGeneralProtection(cpu.Execute(instruction));
            });
        }
    }

    [Fact]
    public void UserCodeCanAskWhichProcessorItRunsOn() => OnEveryEngine(64, cpu =>
    {
        cpu.State->TscAux = 0x1234;
        cpu.EnterUser();
        Assert.Null(cpu.Execute(64, a => a.rdpid(rax)));
        Assert.Equal(0x1234UL, cpu.State->Rax);
    });

    [Fact]
    public void ThereAreNoPerformanceCounters() => OnEveryEngine(64, cpu => RaisesGeneralProtection(cpu.Execute(64, a => a.rdpmc())));

    [Fact]
    public void RandomNumbersAreTheSameInEveryMachine()
    {
        var seen = new HashSet<ulong>();
        OnEveryEngine(64, cpu =>
        {
            cpu.State->StatusFlags = Flags.All;
            Assert.Null(cpu.Execute(64, a =>
            {
                a.rdrand(rax);
                a.rdseed(rbx);
            }, 2));
            Assert.Equal(Flags.Cf, cpu.State->StatusFlags);
            Assert.NotEqual(cpu.State->Rax, cpu.State->Rbx);
            seen.Add(cpu.State->Rax);
        });
        Assert.Single(seen);
    }

    [Fact]
    public void RandomNumbersHaveTheSizeOfTheirRegister() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rax = cpu.State->Rbx = ulong.MaxValue;
        Assert.Null(cpu.Execute(64, a =>
        {
            a.rdrand(ax);
            a.rdrand(ebx);
        }, 2));
        Assert.Equal(0xFFFF_FFFF_FFFFUL, cpu.State->Rax >> 16);
        Assert.Equal(0UL, cpu.State->Rbx >> 32);
    });

    [Fact]
    public void InvalidationIsForTheKernel()
    {
        byte[][] instructions = [[0x0F, 0x01, 0x38], [0x0F, 0x08], [0x0F, 0x09], [0x66, 0x0F, 0x38, 0x82, 0x00], [0xF4]];
        foreach (byte[] instruction in instructions)
        {
            OnEveryEngine(64, cpu =>
            {
                cpu.EnterUser();
                RaisesGeneralProtection(cpu.Execute(instruction));
            });
        }
    }

    /// <summary>A translation stays in force when its tables change, until it is flushed.</summary>
    [Theory]
    [InlineData("invlpg", true)]
    [InlineData("invlpg elsewhere", false)]
    [InlineData("mov cr3", true)]
    [InlineData("invpcid address", true)]
    [InlineData("invpcid elsewhere", false)]
    [InlineData("invpcid context", true)]
    [InlineData("invpcid all", true)]
    public void TranslationsGoWhenTheyAreFlushed(string how, bool gone) => OnEveryEngine(64, cpu =>
    {
        const ulong Page = 0x4000_0000, Descriptor = 0xA100;
        cpu.Memory.Write(0x2008, 0x83UL);
        cpu.Memory.Write(Data, 0x55UL);
        cpu.State->Rbx = Page + Data;
        Assert.Null(cpu.Execute(64, a => a.mov(rax, __[rbx])));
        Assert.Equal(0x55UL, cpu.State->Rax);

        cpu.Memory.Write(0x2008, 0UL);
        Assert.Null(cpu.Execute(64, a => a.mov(rax, __[rbx])));
        cpu.Memory.Write(Descriptor + 8, how.EndsWith("elsewhere", StringComparison.Ordinal) ? 0x8000_0000 : Page + Data);
        cpu.State->Rcx = how switch { "invpcid context" => 1UL, "invpcid all" => 2UL, _ => 0 };
        cpu.State->Rdx = cpu.State->Cr3;
        Assert.Null(cpu.Execute(64, a =>
        {
            if (how == "invlpg")
                a.invlpg(__[rbx]);
            else if (how == "invlpg elsewhere")
                a.invlpg(__[rbx + 0x4000_0000]);
            else if (how == "mov cr3")
                a.mov(cr3, rdx);
            else
                a.invpcid(rcx, __[Descriptor]);
        }));
        ExceptionRecord? fault = cpu.Execute(64, a => a.mov(rax, __[rbx]));
        if (gone || (fault != null && cpu.MayDropTranslations))
            Raises(Vector.PageFault, 0, fault);
        else
            Assert.Null(fault);
    });

    [Theory]
    [InlineData(4UL, 0UL, 0UL)] // No such type.
    [InlineData(2UL, 0x1000UL, 0UL)] // Reserved bits of the context.
    [InlineData(1UL, 1UL, 0UL)] // A context while there are none.
    [InlineData(0UL, 0UL, 0x8000_0000_0000UL)] // An address that is not canonical.
    public void InvpcidRefuses(ulong type, ulong context, ulong address) => OnEveryEngine(64, cpu =>
    {
        cpu.Memory.Write(Data, context);
        cpu.Memory.Write(Data + 8, address);
        cpu.State->Rcx = type;
        RaisesGeneralProtection(cpu.Execute(64, a => a.invpcid(rcx, __[Data])));
    });

    [Fact]
    public void InvlpgOfAnAddressThatIsNotCanonicalDoesNothing() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rax = 0x8000_0000_0000;
        Assert.Null(cpu.Execute(64, a => a.invlpg(__[rax])));
    });

    /// <summary>Prefixed and extended forms of instructions of processors without the extension.</summary>
    [Theory]
    [InlineData("F30F09")] // WBNOINVD is WBINVD.
    [InlineData("F30F1EFA")] // ENDBR64
    [InlineData("F3480F1EC8")] // RDSSPQ RAX
    [InlineData("0F1C00")] // CLDEMOTE
    public void WhatIsMissingIsAsBeforeItWasThere(string code) => OnEveryEngine(64, cpu =>
    {
        byte[] bytes = Convert.FromHexString(code);
        cpu.State->Rax = 0x8000_0000_0000;
        Assert.Null(cpu.Execute(bytes));
        Assert.Equal(BareCpu.CodeAddress + (ulong)bytes.Length, cpu.State->Rip);
        Assert.Equal(0x8000_0000_0000UL, cpu.State->Rax);
    });

    [Theory]
    [InlineData("unchanged", true)]
    [InlineData("changed", false)]
    [InlineData("not armed", false)]
    [InlineData("interrupts off", false)]
    public void AWaitIsAHaltUnlessTheLineChanged(string what, bool halts) => OnEveryEngine(64, cpu =>
    {
        CpuState* s = cpu.State;
        s->Rax = Data + 0x30;
        s->Rcx = s->Rdx = 0;
        if (what != "interrupts off")
            s->SystemFlags |= Flags.If;
        byte[] code = BareCpu.Assemble(64, a =>
        {
            if (what == "not armed")
                a.nop();
            else
                a.monitor();
            a.mov(ebx, 1);
            a.xchg(__[what == "changed" ? Data : Data + 64], rbx);
            a.mwait();
            a.nop();
        });
        Assert.Null(cpu.Execute(code, 5));
        Assert.Equal(halts, s->Halted);
        Assert.Equal(BareCpu.CodeAddress + (ulong)code.Length - (halts ? 1UL : 0), s->Rip);
    }, null, "Monitor");

    [Fact]
    public void WaitsHaveNoExtensionsAndNoUsers()
    {
        foreach (byte[] instruction in new byte[][] { [0x0F, 0x01, 0xC8], [0x0F, 0x01, 0xC9] })
        {
            OnEveryEngine(64, cpu =>
            {
                cpu.State->Rax = Data;
                cpu.State->Rcx = 1;
                RaisesGeneralProtection(cpu.Execute(instruction));
            }, null, "Monitor");
            OnEveryEngine(64, cpu =>
            {
                cpu.EnterUser();
                RaisesInvalidOpcode(cpu.Execute(instruction));
            }, null, "Monitor");
            OnEveryEngine(64, cpu => RaisesInvalidOpcode(cpu.Execute(instruction)), null, "-Monitor");
        }
    }

    [Fact]
    public void MonitorChecksItsAddressAsALoadDoes() => OnEveryEngine(64, cpu =>
    {
        cpu.Memory.Write(0x2008, 0UL);
        cpu.State->Rax = 0x4000_0000;
        cpu.State->Rcx = 0;
        Raises(Vector.PageFault, 0, cpu.Execute([0x0F, 0x01, 0xC8]));
    }, null, "Monitor");
}
