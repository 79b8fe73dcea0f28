using System.Buffers.Binary;

namespace X86Virt.Engine.Tests.Privileged;

/// <summary>Where the privileged guest keeps what the processor reads, and the state of it that every case starts from.</summary>
internal static class GuestTables
{
    // Below 64 KiB, so that 16-bit code and stacks reach it.
    public const uint Landing = 0x5000, CodePage = 0x7000, UserStack = 0x9000, KernelStack = 0xA000, InnerStack = 0xB000, Ring1Stack = 0xC000;

    // The working copy, restored for every case.
    public const uint Tables = 0x20_0000, Size = 0x6000;
    public const uint Gdt = Tables, Idt = Tables + 0x400, TaskSegment = Tables + 0x800, OtherTask = Tables + 0x900, FaultTask = Tables + 0xA00, Ldt = Tables + 0xB00;
    public const uint PageDirectory = Tables + 0x1000, LowTable = Tables + 0x2000, TestTable = Tables + 0x3000, Data = Tables + 0x4000;

    /// <summary>Eight pages with different rights, all of them <see cref="Data"/> but for the second, which is the page behind it.</summary>
    public const uint TestPages = 0x4000_0000;

    public const ushort KernelCode = 0x08, KernelData = 0x10, UserCode = 0x1B, UserData = 0x23, TaskSelector = 0x28, OtherTaskSelector = 0x30,
        FaultTaskSelector = 0x38, LdtSelector = 0x40, KernelCode16 = 0x48, KernelData16 = 0x50, Conforming = 0x58, ExecuteOnly = 0x60, ReadOnly = 0x68,
        ExpandDown = 0x70, AbsentData = 0x78, CallGateUser = 0x80, CallGateKernel = 0x88, CallGateParameters = 0x90, CallGateAbsentCode = 0x98,
        TaskGate = 0xA0, CallGate16 = 0xA8, AbsentCode = 0xB0, Ring1Code = 0xB9, Ring1Data = 0xC1, CallGateConforming = 0xC8, Scratch = 0xD0,
        SmallCode = 0xD8, UserCode16 = 0xE3, UserData16 = 0xEB, CallGateRing1 = 0xF0, GdtLimit = 0xFF;

    public const int VectorCount = 0x42, FreeVector = 0x30, DoneVector = 0x40, OtherTaskVector = 0x41;

    public static ulong Segment(uint type, int dpl, uint address = 0, uint limit = 0xF_FFFF, uint flags = 0xC, bool present = true, bool system = false)
        => (limit & 0xFFFF) | (ulong)(address & 0xFF_FFFF) << 16 | (ulong)type << 40 | (system ? 0UL : 1UL << 44) | (ulong)dpl << 45 | (present ? 1UL << 47 : 0)
            | (ulong)(limit >> 16 & 0xF) << 48 | (ulong)flags << 52 | (ulong)(address >> 24) << 56;

    public static ulong Gate(uint type, int dpl, ushort selector, uint offset, int parameters = 0, bool present = true)
        => (offset & 0xFFFF) | (ulong)selector << 16 | (ulong)(uint)parameters << 32 | (ulong)type << 40 | (ulong)dpl << 45 | (present ? 1UL << 47 : 0) | (ulong)(offset >> 16) << 48;

    /// <summary>The tables as every case finds them, descriptors marked accessed.</summary>
    /// <param name="handlers">Addresses of the handlers by vector.</param>
    /// <param name="otherTask">Where <see cref="OtherTask"/> starts.</param>
    /// <param name="faultTask">Where the task that takes double faults starts.</param>
    public static byte[] Build(Func<int, uint> handlers, uint otherTask, uint faultTask)
    {
        byte[] image = new byte[Size];
        void Put32(uint address, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan((int)(address - Tables)), value);
        void Put64(uint address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan((int)(address - Tables)), value);
        void Describe(ushort selector, ulong descriptor) => Put64(Gdt + (selector & 0xFFF8u), descriptor);

        Describe(KernelCode, Segment(0xB, 0));
        Describe(KernelData, Segment(3, 0));
        Describe(UserCode, Segment(0xB, 3));
        Describe(UserData, Segment(3, 3));
        Describe(TaskSelector, Segment(9, 0, TaskSegment, 0x98, 0, system: true));
        Describe(OtherTaskSelector, Segment(9, 0, OtherTask, 0x67, 0, system: true));
        Describe(FaultTaskSelector, Segment(9, 0, FaultTask, 0x67, 0, system: true));
        Describe(LdtSelector, Segment(2, 0, Ldt, 0x1F, 0, system: true));
        Describe(KernelCode16, Segment(0xB, 0, 0, 0xFFFF, 0));
        Describe(KernelData16, Segment(3, 0, 0, 0xFFFF, 0));
        Describe(Conforming, Segment(0xF, 0));
        Describe(ExecuteOnly, Segment(9, 3));
        Describe(ReadOnly, Segment(1, 3));
        Describe(ExpandDown, Segment(7, 3, 0, 0, 4));
        Describe(AbsentData, Segment(2, 3, present: false));
        Describe(CallGateUser, Gate(0xC, 3, KernelCode, Landing));
        Describe(CallGateKernel, Gate(0xC, 0, KernelCode, Landing));
        Describe(CallGateParameters, Gate(0xC, 3, KernelCode, Landing, 3));
        Describe(CallGateAbsentCode, Gate(0xC, 3, AbsentCode, Landing));
        Describe(TaskGate, Gate(5, 3, OtherTaskSelector, 0));
        Describe(CallGate16, Gate(4, 3, KernelCode, Landing, 2));
        Describe(AbsentCode, Segment(0xA, 0, present: false));
        Describe(Ring1Code, Segment(0xB, 1));
        Describe(Ring1Data, Segment(3, 1));
        Describe(CallGateConforming, Gate(0xC, 3, Conforming, Landing));
        Describe(SmallCode, Segment(0xB, 0, 0, 0xFFF, 4));
        Describe(UserCode16, Segment(0xB, 3, 0, 0xFFFF, 0));
        Describe(UserData16, Segment(3, 3, 0, 0xFFFF, 0));
        Describe(CallGateRing1, Gate(0xC, 3, Ring1Code, Landing, 1));
        Put64(Ldt + 8, Segment(3, 3));
        Put64(Ldt + 16, Segment(0xB, 3));

        for (int v = 0; v < VectorCount; v++)
            Put64(Idt + (uint)v * 8, Gate(0xE, v is 3 or 4 or >= 0x20 ? 3 : 0, KernelCode, handlers(v)));
        Put64(Idt + (uint)Processor.Vector.DoubleFault * 8, Gate(5, 0, FaultTaskSelector, 0));

        Put32(TaskSegment + 4, InnerStack);
        Put32(TaskSegment + 8, KernelData);
        Put32(TaskSegment + 12, Ring1Stack);
        Put32(TaskSegment + 16, Ring1Data);
        Put32(TaskSegment + 0x64, 0x88u << 16);
        // Interrupts 0 to 1Fh, 40h and 41h of virtual-8086 tasks, and ports 20h to 3Fh, are the kernel's.
        Put32(TaskSegment + 0x68, uint.MaxValue);
        Put32(TaskSegment + 0x70, 3);
        Put32(TaskSegment + 0x88 + 4, uint.MaxValue);
        Put32(TaskSegment + 0x98, uint.MaxValue);
        BuildTask(Put32, OtherTask, otherTask, 0xD000, PageDirectory);
        BuildTask(Put32, FaultTask, faultTask, 0xE000, PageDirectory);

        // The first 4 MiB to themselves: everything from 200000h on is the kernel's, and the stacks of inner levels are.
        Put32(PageDirectory, LowTable | 0x67);
        for (uint page = 0; page < 0x40_0000; page += 0x1000)
            Put32(LowTable + (page >> 12) * 4, page | (page < UserStack ? 0x67u : 0x63));
        Put32(PageDirectory + (TestPages >> 22) * 4, TestTable | 7);
        uint[] flags = [7, 7, 3, 5, 1, 0, 6, 4];
        for (uint i = 0; i < 8; i++)
            Put32(TestTable + i * 4, (i == 1 ? Data + 0x1000 : Data) | flags[i]);
        // 4 MiB pages: the user's, the kernel's, one with a reserved bit.
        Put32(PageDirectory + (TestPages >> 22) * 4 + 4, 0x87);
        Put32(PageDirectory + (TestPages >> 22) * 4 + 8, 0x83);
        Put32(PageDirectory + (TestPages >> 22) * 4 + 12, 0x87 | 1 << 21);
        for (uint i = 0; i < 0x2000; i += 4)
            Put32(Data + i, 0x0101_0101 * (i & 0x7F) + 0x1234_5678);
        return image;
    }

    private static void BuildTask(Action<uint, uint> put, uint task, uint start, uint stack, uint directory)
    {
        put(task + 0x1C, directory);
        put(task + 0x20, start);
        put(task + 0x24, 2);
        for (uint i = 0; i < 8; i++)
            put(task + 0x28 + i * 4, 0xA0A0_0000 + i);
        put(task + 0x38, stack);
        foreach (uint segment in (uint[])[0, 2, 3, 4, 5])
            put(task + 0x48 + segment * 4, KernelData);
        put(task + 0x4C, KernelCode);
        put(task + 0x60, LdtSelector);
    }
}
