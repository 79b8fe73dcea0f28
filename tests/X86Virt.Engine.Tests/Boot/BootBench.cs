using System.Buffers.Binary;
using X86Virt.Engine.Boot;
using X86Virt.Engine.Memory;
using X86Virt.Engine.Processor;

namespace X86Virt.Engine.Tests.Boot;

/// <summary>A processor and memory to load into, without a board.</summary>
internal sealed unsafe class BootBench : IDisposable
{
    public const ulong LowRam = 0x9_FC00;

    public BootBench(ulong mebibytes = 64)
    {
        ulong size = mebibytes << 20;
        Memory = new PhysicalMemory(size);
        Memory.MapRam(0, size, 0);
        Cpu = new Cpu(Memory, Bus, new ProcessorModel());
        Target = new BootTarget(Memory, Cpu, [new(0, LowRam, 1), new(LowRam, 0x400, 2), new(0xF_0000, 0x1_0000, 2), new(0x10_0000, size - 0x10_0000, 1)], 0xF_0010);
    }

    public SerialBus Bus { get; } = new();
    public PhysicalMemory Memory { get; }
    public Cpu Cpu { get; }
    public BootTarget Target { get; }
    public CpuState* State => Cpu.State;

    public byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Memory.Read(address, bytes);
        return bytes;
    }

    public string Text(ulong address)
    {
        byte[] bytes = Read(address, 256);
        return System.Text.Encoding.ASCII.GetString(bytes, 0, Array.IndexOf(bytes, (byte)0));
    }

    public void Dispose()
    {
        Cpu.Dispose();
        Memory.Dispose();
    }

    /// <summary>A serial line that is always ready and isa-debug-exit; nothing else answers.</summary>
    public sealed class SerialBus : IProcessorBus
    {
        public Queue<byte> Input { get; } = new();
        public System.Text.StringBuilder Output { get; } = new();

        /// <summary>What the guest wrote to isa-debug-exit.</summary>
        public uint? Exit { get; private set; }
        public Dictionary<ushort, uint> Written { get; } = [];

        public uint ReadPort(ushort port, int size) => port switch
        {
            0x3FD => 0x60u | (Input.Count != 0 ? 1u : 0),
            0x3F8 => Input.TryDequeue(out byte b) ? b : 0u,
            _ => uint.MaxValue >> (32 - size * 8),
        };

        public void WritePort(ushort port, int size, uint value)
        {
            Written[port] = value;
            if (port == 0x3F8)
                Output.Append((char)(byte)value);
            if (port == 0xF4)
                Exit = value;
        }

        public bool InterruptPending => false;

        public byte AcknowledgeInterrupt() => 0xFF;

        public ulong TaskPriority { get; set; }

        public bool TryReadMsr(uint index, out ulong value, out bool fault)
        {
            (value, fault) = (0, false);
            return false;
        }

        public bool TryWriteMsr(uint index, ulong value, out bool fault)
        {
            fault = false;
            return false;
        }

        public ulong TimeStamp => 0;

        public bool TimeStampCountsInstructions => false;

        public void ProcessorShutdown()
        {
        }
    }
}

/// <summary>Kernel images made in memory, with fields that tests can bend.</summary>
internal static class Images
{
    public static void Put16(byte[] image, int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(at), (ushort)value);

    public static void Put32(byte[] image, int at, long value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), (uint)value);

    public static void Put64(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);

    /// <summary>Two set-up sectors and 4 KiB of code whose bytes count up.</summary>
    public static byte[] BzImage(int version = 0x20F, bool high = true)
    {
        byte[] image = new byte[3 * 512 + 0x1000];
        image[0x1F1] = 2;
        Put32(image, 0x1F4, 0x1000 / 16);
        Put16(image, 0x1FE, 0xAA55);
        image[0x200] = 0xEB;
        image[0x201] = 0x66;
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        Put16(image, 0x206, version);
        Put16(image, 0x20E, 0x200);
        "6.1.0-test (builder)"u8.CopyTo(image.AsSpan(0x400));
        image[0x211] = (byte)(high ? 1 : 0);
        Put32(image, 0x22C, 0x7FFF_FFFF);
        Put32(image, 0x230, 0x20_0000);
        image[0x234] = 1;
        Put16(image, 0x236, 1);
        Put32(image, 0x238, 2047);
        Put64(image, 0x258, 0x100_0000);
        Put32(image, 0x260, 0x20_0000);
        for (int i = 0; i < 0x1000; i++)
            image[3 * 512 + i] = (byte)i;
        return image;
    }

    /// <summary>One segment of 0x100 bytes, 0x400 in memory, with a multiboot header and a PVH note on request.</summary>
    public static byte[] Elf(bool is64, bool multiboot = false, bool pvh = false, ulong physical = 0x10_0000, ulong linear = 0xC010_0000)
    {
        byte[] image = new byte[0x1200];
        "\u007fELF"u8.CopyTo(image);
        image[4] = (byte)(is64 ? 2 : 1);
        image[5] = image[6] = 1;
        Put16(image, 16, 2);
        Put16(image, 18, is64 ? 62 : 3);
        int header = is64 ? 64 : 52, size = is64 ? 56 : 32;
        if (is64)
        {
            Put64(image, 24, linear + 0x10);
            Put64(image, 32, (ulong)header);
        }
        else
        {
            Put32(image, 24, (long)linear + 0x10);
            Put32(image, 28, header);
        }
        Put16(image, is64 ? 54 : 42, size);
        Put16(image, is64 ? 56 : 44, 2);
        WriteSegment(image, is64, header, 1, 0x1000, linear, physical, 0x100, 0x400);
        WriteSegment(image, is64, header + size, pvh ? 4 : 0, 0x180, 0, 0, 20, 20);
        Put32(image, 0x180, 4);
        Put32(image, 0x184, 4);
        Put32(image, 0x188, 18);
        "Xen\0"u8.CopyTo(image.AsSpan(0x18C));
        Put32(image, 0x190, (long)physical + 0x20);
        if (multiboot)
            WriteMultiboot(image, 0x200, 3);
        for (int i = 0; i < 0x100; i++)
            image[0x1000 + i] = (byte)(i ^ 0x5A);
        WriteSections(image, is64);
        return image;
    }

    private static void WriteSegment(byte[] image, bool is64, int at, int type, int offset, ulong linear, ulong physical, int fileSize, int memorySize)
    {
        Put32(image, at, type);
        if (is64)
        {
            Put64(image, at + 8, (ulong)offset);
            Put64(image, at + 16, linear);
            Put64(image, at + 24, physical);
            Put64(image, at + 32, (ulong)fileSize);
            Put64(image, at + 40, (ulong)memorySize);
            return;
        }
        Put32(image, at + 4, offset);
        Put32(image, at + 8, (long)linear);
        Put32(image, at + 12, (long)physical);
        Put32(image, at + 16, fileSize);
        Put32(image, at + 20, memorySize);
    }

    /// <summary>Two section headers at 0x1100: the null one and a string table of 8 bytes at 0x11F0.</summary>
    private static void WriteSections(byte[] image, bool is64)
    {
        int size = is64 ? 64 : 40, at = 0x1100 + size;
        Put32(image, at + 4, 3);
        if (is64)
        {
            Put64(image, 40, 0x1100);
            Put64(image, at + 24, 0x11F0);
            Put64(image, at + 32, 8);
        }
        else
        {
            Put32(image, 32, 0x1100);
            Put32(image, at + 16, 0x11F0);
            Put32(image, at + 20, 8);
        }
        Put16(image, is64 ? 58 : 46, size);
        Put16(image, is64 ? 60 : 48, 2);
        Put16(image, is64 ? 62 : 50, 1);
        "\0strtab\0"u8.CopyTo(image.AsSpan(0x11F0));
    }

    public static void WriteMultiboot(byte[] image, int at, uint flags)
    {
        Put32(image, at, 0x1BAD_B002);
        Put32(image, at + 4, flags);
        Put32(image, at + 8, (uint)-(0x1BAD_B002 + flags));
    }

    /// <summary>A multiboot image with addresses in its header at 0x40: loads from file offset 0x20 to 0x20_0000.</summary>
    public static byte[] MultibootByAddress()
    {
        byte[] image = new byte[0x300];
        WriteMultiboot(image, 0x40, 0x1_0003);
        Put32(image, 0x4C, 0x20_0020);
        Put32(image, 0x50, 0x20_0000);
        Put32(image, 0x54, 0x20_0200);
        Put32(image, 0x58, 0x20_0800);
        Put32(image, 0x5C, 0x20_0100);
        image[0x120] = 0xF4;
        return image;
    }
}
