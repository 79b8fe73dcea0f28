using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>IN, OUT, INS, OUTS and who may use which port (AMD volume 3; volume 2, 12.2.4).</summary>
public unsafe class PortTests
{
    private const ulong TaskSegment = 0x6000;
    private const ushort BitMap = 0x80;

    /// <summary>A task whose bitmap ends with the byte of ports 0x100 to 0x107 and opens the ports given.</summary>
    private static void SetTask(BareCpu cpu, params int[] open)
    {
        *CpuState.Seg(cpu.State, Segment.Tr) = new SegmentRegister
        {
            Selector = 0x28, Base = TaskSegment, Limit = BitMap + 0x21, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB,
        };
        cpu.Memory.Write(TaskSegment + 0x66, BitMap);
        for (ulong i = 0; i <= 0x21; i++)
            cpu.Memory.Write(TaskSegment + BitMap + i, (byte)0xFF);
        foreach (int port in open)
        {
            ulong at = TaskSegment + BitMap + (ulong)port / 8;
            cpu.Memory.Write(at, (byte)(cpu.Memory.Read<byte>(at) & ~(1 << (port & 7))));
        }
    }

    [Fact]
    public void SizesAndPorts() => OnEveryEngine(64, cpu =>
    {
        cpu.Bus.PortValue = port => 0xAABB_0000u + port;
        cpu.State->Rax = ulong.MaxValue;
        cpu.State->Rdx = 0x1_0CF8;
        Assert.Null(cpu.Execute(64, a =>
        {
            a.@in(al, 0x60);
            a.mov(rbx, rax);
            a.@in(ax, dx);
            a.mov(rcx, rax);
            a.@in(eax, dx);
            a.@out(0x80, al);
            a.@out(dx, ax);
            a.@out(dx, eax);
        }, 8));
        Assert.Equal(0xFFFF_FFFF_FFFF_FF60, cpu.State->Rbx);
        Assert.Equal(0xFFFF_FFFF_FFFF_0CF8, cpu.State->Rcx);
        Assert.Equal(0xAABB_0CF8UL, cpu.State->Rax);
        Assert.Equal(["in 1 60 = 60", "in 2 cf8 = cf8", "in 4 cf8 = aabb0cf8", "out 1 80 = f8", "out 2 cf8 = cf8", "out 4 cf8 = aabb0cf8"],
            cpu.Bus.PortAccesses);
    });

    [Theory]
    [InlineData(0x60, 1, 3, true)] // Allowed by IOPL; the bitmap is not looked at.
    [InlineData(0x60, 1, 0, false)]
    [InlineData(0x64, 1, 0, true)]
    [InlineData(0x64, 2, 0, true)]
    [InlineData(0x65, 2, 0, false)] // One of the two ports is closed.
    [InlineData(0x67, 2, 0, false)]
    [InlineData(0x6F, 2, 0, true)] // Across bytes of the bitmap.
    [InlineData(0x100, 4, 0, true)]
    [InlineData(0x108, 1, 0, false)] // The last byte has no byte of ones behind it within the limit.
    [InlineData(0x200, 1, 0, false)]
    public void UserCodeNeedsIoplOrTheBitmap(ushort port, int size, int iopl, bool allowed) => OnEveryEngine(32, cpu =>
    {
        SetTask(cpu, 0x64, 0x65, 0x67, 0x6F, 0x70, 0x100, 0x101, 0x102, 0x103, 0x108);
        cpu.EnterUser();
        cpu.State->SystemFlags |= (uint)iopl << 12;
        cpu.State->Rdx = port;
        ExceptionRecord? fault = cpu.Execute(32, a =>
        {
            if (size == 1)
                a.@out(dx, al);
            else if (size == 2)
                a.@in(ax, dx);
            else
                a.@in(eax, dx);
        });
        if (allowed)
        {
            Assert.Null(fault);
            Assert.Single(cpu.Bus.PortAccesses);
            return;
        }
        RaisesGeneralProtection(fault);
        Assert.Empty(cpu.Bus.PortAccesses);
    });

    [Theory, InlineData(0x64, true), InlineData(0x60, false)]
    public void InVirtual8086ModeTheBitmapAloneDecides(byte port, bool allowed) => OnEveryEngine(32, cpu =>
    {
        SetTask(cpu, 0x64);
        cpu.EnterVirtual8086(iopl: 3);
        cpu.Memory.Write(BareCpu.CodeAddress, [0xE4, port]);
        cpu.State->Rip = 0;
        cpu.Cpu.SetDeadline(cpu.State->Retired + 1);
        cpu.Continue();
        Assert.Equal(allowed ? null : Vector.GeneralProtection, cpu.FirstFault);
        Assert.Equal(allowed ? 1 : 0, cpu.Bus.PortAccesses.Count);
    });

    /// <summary>A breakpoint of the third kind traps behind the access, with debugging extensions on.</summary>
    [Theory, InlineData(0x62, 2, true), InlineData(0x60, 1, true), InlineData(0x64, 1, false)]
    public void PortsCanBeWatched(byte port, int size, bool hit) => OnEveryEngine(64, cpu =>
    {
        CpuState* s = cpu.State;
        s->Cr4 |= Cr4.De;
        s->Dr[0] = 0x60;
        // Enabled, input or output, four bytes.
        s->Dr[7] |= 1 | 0xE_0000;
        DebugRegisters.Changed(s);
        ExceptionRecord? fault = cpu.Execute(64, a =>
        {
            if (size == 1)
                a.@in(al, port);
            else
                a.@out(port, ax);
            a.nop();
        }, 2);
        Assert.Equal(hit, fault != null);
        Assert.Single(cpu.Bus.PortAccesses);
        if (hit)
        {
            Assert.Equal(Vector.Debug, fault!.Value.Vector);
            Assert.NotEqual(BareCpu.CodeAddress, fault.Value.Rip);
            Assert.Equal(1UL, s->Dr[6] & 0xF);
        }
    });

    [Fact]
    public void A16BitTaskHasNoBitmap() => OnEveryEngine(32, cpu =>
    {
        SetTask(cpu, 0x64);
        CpuState.Seg(cpu.State, Segment.Tr)->Attributes = SegmentAttributes.Present | (SegmentAttributes)0x3;
        cpu.EnterUser();
        RaisesGeneralProtection(cpu.Execute(32, a => a.@in(al, 0x64)));
    });

    [Fact]
    public void RepeatedInputFillsMemory() => OnEveryEngine(64, cpu =>
    {
        uint next = 0x1110;
        cpu.Bus.PortValue = _ => next++;
        cpu.State->Rdx = 0x1F0;
        cpu.State->Rcx = 3;
        cpu.State->Rdi = Data;
        long before = cpu.State->Retired;
        Assert.Null(cpu.Execute([0xF3, 0x66, 0x6D], 3));
        Assert.Equal(0x1112_1111_1110UL, cpu.Memory.Read<ulong>(Data));
        Assert.Equal((0UL, Data + 6), (cpu.State->Rcx, cpu.State->Rdi));
        Assert.Equal(BareCpu.CodeAddress + 3, cpu.State->Rip);
        Assert.Equal(3, cpu.State->Retired - before);
    });

    [Fact]
    public void RepeatedOutputCanGoDownAndThroughAnotherSegment() => OnEveryEngine(64, cpu =>
    {
        CpuState.Seg(cpu.State, Segment.Gs)->Base = 0x100;
        ModeChange.Update(cpu.Cpu);
        cpu.Memory.Write(Data + 0x100, 0x0403_0201u);
        cpu.State->SystemFlags |= Flags.Df;
        cpu.State->Rdx = 0xE9;
        cpu.State->Rcx = 2;
        cpu.State->Rsi = Data + 3;
        Assert.Null(cpu.Execute([0x65, 0xF3, 0x6E], 2));
        Assert.Equal(["out 1 e9 = 4", "out 1 e9 = 3"], cpu.Bus.PortAccesses);
        Assert.Equal(Data + 1, cpu.State->Rsi);
    });

    [Fact]
    public void ACountOfZeroDoesNothing() => OnEveryEngine(64, cpu =>
    {
        cpu.State->Rcx = 0;
        cpu.State->Rdi = Data;
        Assert.Null(cpu.Execute([0xF3, 0x6C]));
        Assert.Empty(cpu.Bus.PortAccesses);
        Assert.Equal(Data, cpu.State->Rdi);
    });

    [Fact]
    public void AddressesWrapAtTheirSize() => OnEveryEngine(32, cpu =>
    {
        cpu.Bus.PortValue = _ => 0x5A;
        cpu.State->Rdx = 0x60;
        cpu.State->Rcx = 0x1_0002;
        cpu.State->Rdi = 0xABCD_FFFF;
        // With 16-bit addresses CX counts.
        Assert.Null(cpu.Execute([0x67, 0xF3, 0x6C], 2));
        Assert.Equal((0x1_0000UL, 0xABCD_0001UL), (cpu.State->Rcx, cpu.State->Rdi));
        Assert.Equal((0x5A, 0x5A), (cpu.Memory.Read<byte>(0xFFFF), cpu.Memory.Read<byte>(0)));
    });

    [Fact]
    public void ADestinationThatFaultsLeavesTheDeviceAlone() => OnEveryEngine(64, cpu =>
    {
        cpu.Memory.Write(0x2008, 0UL);
        cpu.State->Rdx = 0x60;
        cpu.State->Rdi = 0x4000_0000;
        Raises(Vector.PageFault, 2, cpu.Execute([0x6D]));
        Assert.Empty(cpu.Bus.PortAccesses);
        Assert.Equal(0x4000_0000UL, cpu.State->Rdi);
    });

    [Fact]
    public void WithPermissionDeniedEvenACountOfZeroFaults() => OnEveryEngine(32, cpu =>
    {
        SetTask(cpu);
        cpu.EnterUser();
        cpu.State->Rcx = 0;
        RaisesGeneralProtection(cpu.Execute([0xF3, 0x6C]));
    });
}
