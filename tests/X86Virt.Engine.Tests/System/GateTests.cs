using X86Virt.Engine.Processor;
using Xunit;
using static X86Virt.Engine.Tests.SystemInstructions.SystemBench;

namespace X86Virt.Engine.Tests.SystemInstructions;

/// <summary>Call gates and task switches in 32-bit protected mode (AMD volume 2, 4.11 and 12.3).</summary>
public unsafe class GateTests
{
    private const ulong Gdt = 0x7000, OldTask = 0x5000, NewTask = 0x5100, Target = 0x2_0000, KernelStack = 0xA000;

    /// <summary>08h kernel code, 10h kernel data, 18h old task (busy), 20h new task, 28h a call gate to <see cref="Target"/>, 30h user code.</summary>
    private static void SetTables(BareCpu cpu, int gateDpl)
    {
        CpuState* s = cpu.State;
        ulong[] descriptors =
        [
            0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF,
            0x67 | OldTask << 16 | 0x8BUL << 40, 0x67 | NewTask << 16 | 0x89UL << 40,
            (Target & 0xFFFF) | 8UL << 16 | 2UL << 32 | (0x8CUL | (ulong)gateDpl << 5) << 40 | (Target >> 16) << 48,
            0x00CF_FB00_0000_FFFF,
        ];
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = (uint)(descriptors.Length + 1) * 8 - 1 };
        for (int i = 0; i < descriptors.Length; i++)
            cpu.Memory.Write(Gdt + 8 + (ulong)i * 8, descriptors[i]);
        cpu.Memory.Write(OldTask + 4, (uint)KernelStack);
        cpu.Memory.Write(OldTask + 8, 0x10u);
        *CpuState.Seg(s, Segment.Tr) = new SegmentRegister { Selector = 0x18, Base = OldTask, Limit = 0x67, Attributes = SegmentAttributes.Present | (SegmentAttributes)0xB };
    }

    private static uint Stack(BareCpu cpu, int slot) => cpu.Memory.Read<uint>(cpu.State->Rsp + (ulong)slot * 4);

    // CALL or JMP ptr16:32 with an offset that gates and tasks do not look at.
    private static byte[] Far(byte opcode, byte selector) => [opcode, 0xEF, 0xBE, 0xAD, 0xDE, selector, 0];

    [Fact]
    public void ACallGateCopiesItsParametersToTheKernelStack() => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, gateDpl: 3);
        cpu.EnterUser();
        cpu.Memory.Write(BareCpu.StackTop, 0x2222_2222_1111_1111UL);
        Assert.Null(cpu.Execute(Far(0x9A, 0x28)));
        Assert.Equal((Target, KernelStack - 24, 0), (cpu.State->Rip, cpu.State->Rsp, cpu.State->Cpl));
        Assert.Equal((BareCpu.CodeAddress + 7, 0xBu), (Stack(cpu, 0), Stack(cpu, 1)));
        Assert.Equal((0x1111_1111u, 0x2222_2222u), (Stack(cpu, 2), Stack(cpu, 3)));
        Assert.Equal(((uint)BareCpu.StackTop, 0x13u), (Stack(cpu, 4), Stack(cpu, 5)));
    });

    [Fact]
    public void ACallGateOfTheKernelIsNotForUserCode() => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, gateDpl: 0);
        cpu.EnterUser();
        Raises(Vector.GeneralProtection, 0x28, cpu.Execute(Far(0x9A, 0x28)));
    });

    [Theory, InlineData(0x9A), InlineData(0xEA)]
    public void ATaskSwitchSavesOneTaskAndLoadsTheOther(byte opcode) => OnEveryEngine(32, cpu =>
    {
        SetTables(cpu, gateDpl: 0);
        bool call = opcode == 0x9A;
        cpu.State->Rbx = 0x1234_5678;
        uint[] image = [(uint)Target, 2, 0xA0, 0xC1, 0xD2, 0xB3, 0x8800, 0xB5, 0x56, 0xD7, 0x10, 8, 0x10, 0x10, 0, 0, 0];
        for (int i = 0; i < image.Length; i++)
            cpu.Memory.Write(NewTask + 0x20 + (ulong)i * 4, image[i]);
        Assert.Null(cpu.Execute(Far(opcode, 0x20)));

        CpuState* s = cpu.State;
        Assert.Equal((Target, 0xA0UL, 0xB3UL, 0x8800UL), (s->Rip, s->Rax, s->Rbx, s->Rsp));
        Assert.Equal((ushort)0x20, CpuState.Seg(s, Segment.Tr)->Selector);
        Assert.True((s->Cr0 & Cr0.Ts) != 0);
        Assert.Equal(call, (s->SystemFlags & Flags.Nt) != 0);
        Assert.Equal((BareCpu.CodeAddress + 7, 0x1234_5678u), (cpu.Memory.Read<uint>(OldTask + 0x20), cpu.Memory.Read<uint>(OldTask + 0x34)));
        Assert.Equal(call ? 0x18 : 0, cpu.Memory.Read<ushort>(NewTask));
        Assert.Equal((call ? 0x8B : 0x89, 0x8B), (cpu.Memory.Read<byte>(Gdt + 0x1D), cpu.Memory.Read<byte>(Gdt + 0x25)));
    });
}
