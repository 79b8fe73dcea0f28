using System.Runtime.InteropServices;
using X86Virt.Engine.Processor;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>
/// Whatever addresses a guest makes, it reaches its own memory and nothing else: not the host's, where the engine's state and code are, by any
/// linear or physical address, in any mode.
/// </summary>
public sealed unsafe class ProtectionTests : IDisposable
{
    private const ulong RamSize = 1 << 20;
    private const ulong Canary = 0x5AFE_C0DE_5AFE_C0DE;
    private const ulong Poison = 0x6666_6666_6666_6666;

    private readonly ulong* _host = (ulong*)NativeMemory.AlignedAlloc(0x2000, 0x1000);

    public ProtectionTests() => new Span<ulong>(_host, 0x2000 / sizeof(ulong)).Fill(Canary);

    public void Dispose() => NativeMemory.AlignedFree(_host);

    /// <summary>Edges of everything: RAM, pages, 4 GiB, canonical halves, and where the host has its things.</summary>
    private List<ulong> Addresses(BareCpu cpu)
    {
        var random = new Random(1);
        ulong[] edges = [0, 0x1000, RamSize, 1UL << 31, 1UL << 32, 1UL << 46, 1UL << 47, 1UL << 48, 1UL << 52, 1UL << 56, 1UL << 63,
            (ulong)cpu.State, (ulong)cpu.State + CpuState.TlbOffset, (ulong)cpu.State + CpuState.LookupOffset, (ulong)cpu.Memory.Block, (ulong)cpu.Memory.Block + RamSize, (ulong)_host];
        var addresses = new List<ulong>();
        foreach (ulong edge in edges)
        {
            for (int delta = -9; delta <= 8; delta++)
                addresses.Add(edge + (ulong)delta);
            // What would come to the edge if the addend of RAM were added.
            addresses.Add(edge - (ulong)cpu.Memory.Block);
        }
        for (int i = 0; i < 2000; i++)
            addresses.Add((ulong)random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64));
        for (int bit = 0; bit < 64; bit++)
            addresses.Add((1UL << bit) | 0x8000);
        return addresses;
    }

    private void HostIsUntouched() => Assert.Equal(-1, new Span<ulong>(_host, 0x2000 / sizeof(ulong)).IndexOfAnyExcept(Canary));

    /// <summary>Long mode with 4 GiB mapped to themselves and a window of 1 GiB pages onto physical addresses far beyond.</summary>
    [Fact]
    public void LinearAddressesInLongMode() => OnEveryEngine(64, cpu =>
    {
        byte[] code = BareCpu.Assemble(64, a => { a.mov(rax, __[rdi]); a.mov(__[rdi], rdx); a.add(__[rdi], rdx); a.movups(xmm0, __[rdi]); a.movups(__[rdi], xmm0); a.push(__qword_ptr[rdi]); });
        foreach (ulong address in Addresses(cpu))
            Run(cpu, code, address, 6);
    });

    [Theory, InlineData(32), InlineData(16)]
    public void LinearAddressesInOtherModes(int bitness) => OnEveryEngine(bitness, cpu =>
    {
        byte[] code = BareCpu.Assemble(bitness, a => { a.mov(eax, __[edi]); a.mov(__[edi], edx); a.add(__[edi], edx); a.mov(__[edi + edx * 8 + 0x7FFF_FFFF], edx); });
        foreach (ulong address in Addresses(cpu))
            Run(cpu, code, (uint)address, 4);
    });

    [Fact]
    public void StackPointers() => OnEveryEngine(64, cpu =>
    {
        byte[] code = BareCpu.Assemble(64, a => { a.mov(rsp, rdi); a.push(rdx); a.pop(rax); a.pushfq(); a.popfq(); a.call(rdi); });
        foreach (ulong address in Addresses(cpu))
            Run(cpu, code, address, 6);
    });

    [Fact]
    public void JumpsAndReturns() => OnEveryEngine(64, cpu =>
    {
        byte[] jump = BareCpu.Assemble(64, a => a.jmp(rdi)), @return = BareCpu.Assemble(64, a => { a.push(rdi); a.ret(); });
        foreach (ulong address in Addresses(cpu))
        {
            Run(cpu, jump, address, 2);
            Run(cpu, @return, address, 3);
        }
    });

    /// <summary>Every physical address that a page table can name, the host's addresses among them.</summary>
    [Fact]
    public void PhysicalAddresses() => OnEveryEngine(64, cpu =>
    {
        const ulong window = 0x40_0000_0000;
        byte[] code = BareCpu.Assemble(64, a => { a.mov(rax, __[rdi]); a.mov(__[rdi], rdx); a.mov(rax, __[rdi + 0xFFF]); a.mov(__[rdi + 0xFFF], rdx); });
        foreach (ulong address in Addresses(cpu))
        {
            cpu.Restart();
            // A page-directory-pointer entry for the window leads to the gigabyte of the address, bits above the processor's included.
            cpu.Memory.Write(0x2000 + (window >> 30 & 511) * 8, (address & 0x000F_FFFF_C000_0000) | 0x83);
            cpu.Memory.Write(0x1000 + (window >> 39) * 8, 0x2003UL);
            Go(cpu, code, window | (address & 0x3FFF_FFFF), 4);
        }
    });

    private void Run(BareCpu cpu, byte[] code, ulong address, int count)
    {
        cpu.Restart();
        Go(cpu, code, address, count);
    }

    private void Go(BareCpu cpu, byte[] code, ulong address, int count)
    {
        (cpu.State->Rdi, cpu.State->Rdx, cpu.State->Rax) = (address, Poison, 0);
        cpu.Run(code, count);
        Assert.NotEqual(Canary, cpu.State->Rax);
        HostIsUntouched();
    }
}
