namespace X86Virt.Engine.Memory;

/// <summary>A device that answers at guest-physical addresses.</summary>
public interface IMmioDevice
{
    /// <summary>Reads <paramref name="size"/> (1, 2, 4 or 8) bytes at <paramref name="offset"/> from where the device is mapped.</summary>
    ulong ReadMemory(ulong offset, int size);

    void WriteMemory(ulong offset, int size, ulong value);
}
