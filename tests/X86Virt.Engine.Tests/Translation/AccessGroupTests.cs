using Iced.Intel;
using X86Virt.Engine.Processor;
using X86Virt.Engine.Tests.SystemInstructions;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Engine.Tests.Translation;

/// <summary>Groups of accesses that look in the TLB once: what becomes of them where that one look is not enough.</summary>
public unsafe class AccessGroupTests
{
    private const ulong Directory = 0x3000, Table = 0x5000, Window = 0x20_0000;

    /// <summary>4 KiB pages in the first 2 MiB, each to itself, and a table of their own for the next 2 MiB.</summary>
    private static void MapSmallPages(BareCpu cpu)
    {
        cpu.Memory.Write(0x2000, Directory | 3);
        cpu.Memory.Write(Directory, 0x4003UL);
        cpu.Memory.Write(Directory + 8, Table | 3);
        for (ulong page = 0; page < 512; page++)
            cpu.Memory.Write(0x4000 + page * 8, page << 12 | 3);
        cpu.Cpu.FlushTlb(keepGlobal: false);
    }

    [Fact]
    public void AStoreToATableThatBecameOneInTheMiddleOfAGroupIsNoticed() => SystemBench.OnEveryEngine(64, cpu =>
    {
        MapSmallPages(cpu);
        CpuState* s = cpu.State;
        cpu.Memory.Write(Table + 3 * 8, 0x40003UL);
        cpu.Memory.Write(0x40000, 0xAUL);
        cpu.Memory.Write(0x41000, 0xBUL);
        s->Rdi = Table + 2 * 8;
        s->Rsi = Window + 3 * 0x1000;
        s->Rdx = 0x41003;
        Assert.Null(cpu.Execute(64, a =>
        {
            // Too far away for the group; so that the page is in the TLB, and may be written.
            a.mov(__qword_ptr[rdi + 0x800], rax);
            a.mov(__qword_ptr[rdi], rax);
            a.mov(rcx, __[rsi]);
            a.mov(__qword_ptr[rdi + 8], rdx);
            a.invlpg(__[rsi]);
            a.mov(rbx, __[rsi]);
        }, 6));
        Assert.Equal((0xAUL, 0xBUL), (s->Rcx, s->Rbx));
    });

    [Theory, InlineData(0), InlineData(8), InlineData(12), InlineData(16), InlineData(24), InlineData(28)]
    public void AGroupMayLieAcrossTwoPages(int before) => SystemBench.OnEveryEngine(64, cpu =>
    {
        MapSmallPages(cpu);
        CpuState* s = cpu.State;
        // The next page is elsewhere in memory.
        cpu.Memory.Write(0x4000 + 0x51 * 8, 0x60003UL);
        ulong at = 0x51000 - (ulong)before;
        s->Rdi = at;
        Assert.Null(cpu.Execute(64, a =>
        {
            for (int i = 0; i < 4; i++)
                a.mov(__dword_ptr[rdi + i * 8], 0x101 * (i + 1));
            a.mov(eax, __dword_ptr[rdi + 24]);
            a.add(rdi, 8);
            a.add(eax, __dword_ptr[rdi]);
        }, 7));
        Assert.Equal(0x606UL, s->Rax);
        for (int i = 0; i < 4; i++)
        {
            ulong place = at + (ulong)i * 8;
            Assert.Equal(0x101u * (uint)(i + 1), cpu.Memory.Read<uint>(place < 0x51000 ? place : place - 0x51000 + 0x60000));
        }
    });

    [Theory, InlineData(8), InlineData(16), InlineData(24)]
    public void AFaultInAGroupIsThatOfItsAccess(int before) => SystemBench.OnEveryEngine(64, cpu =>
    {
        MapSmallPages(cpu);
        CpuState* s = cpu.State;
        cpu.Memory.Write(0x4000 + 0x51 * 8, 0UL);
        s->Rsp = 0x51000 - (ulong)before;
        ExceptionRecord? fault = cpu.Execute(64, a =>
        {
            for (int i = 0; i < 4; i++)
                a.pop(rax);
        }, 4);
        Assert.Equal((Vector.PageFault, 0x51000UL), (fault!.Value.Vector, fault.Value.Address!.Value));
        Assert.Equal(BareCpu.CodeAddress + (ulong)before / 8, fault.Value.Rip);
    });

    /// <summary>Values that registers hold are followed through copies, sums and the stack.</summary>
    [Theory, InlineData(64), InlineData(32)]
    public void PushesPopsAndFieldsOfAFrameAgree(int bitness) => SystemBench.OnEveryEngine(bitness, cpu =>
    {
        CpuState* s = cpu.State;
        s->Rax = 0x11;
        s->Rbx = 0x22;
        AssemblerRegister64 sp64 = rsp, bp64 = rbp;
        Assert.Null(cpu.Execute(bitness, a =>
        {
            if (bitness == 64)
            {
                a.push(rax);
                a.push(rbx);
                a.mov(bp64, sp64);
                a.sub(sp64, 0x20);
                a.mov(__qword_ptr[bp64 - 8], 0x33);
                a.lea(rsi, __[bp64 - 0x20]);
                a.mov(rcx, __qword_ptr[rsi + 0x18]);
                a.add(rcx, __qword_ptr[sp64 + 0x28]);
                a.leave();
                a.pop(rdx);
            }
            else
            {
                a.push(eax);
                a.push(ebx);
                a.mov(ebp, esp);
                a.sub(esp, 0x20);
                a.mov(__dword_ptr[ebp - 4], 0x33);
                a.lea(esi, __[ebp - 0x20]);
                a.mov(ecx, __dword_ptr[esi + 0x1C]);
                a.add(ecx, __dword_ptr[esp + 0x24]);
                a.leave();
                a.pop(edx);
            }
        }, 10));
        // LEAVE takes EBX's value for the frame pointer, POP what was pushed first.
        Assert.Equal((0x44UL, 0x22UL, 0x11UL), (s->Rcx, s->Rbp, s->Rdx));
        Assert.Equal(BareCpu.StackTop, s->Rsp);
    });
}
