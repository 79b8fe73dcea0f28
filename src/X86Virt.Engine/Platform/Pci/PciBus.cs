using X86Virt.Engine.Memory;

namespace X86Virt.Engine.Platform;

/// <summary>
/// PCI bus 0 and configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2): an address in the dword at port 0xCF8, the register at
/// 0xCFC to 0xCFF. Only a whole dword at 0xCF8 is the address; narrower accesses pass through to the ISA bus, where the
/// chipset has its reset register.
/// </summary>
/// <param name="ports">Where I/O base address registers are decoded.</param>
/// <param name="memory">Where memory base address registers are decoded.</param>
/// <param name="behind">Who takes what is not the address.</param>
public sealed class PciBus(PortBus ports, PhysicalMemory memory, IPortDevice behind) : Device, IPortDevice
{
    public const ushort AddressPort = 0xCF8, DataPort = 0xCFC;

    /// <summary>Interrupt requests of the bus, PIRQA to PIRQD.</summary>
    public const int PirqCount = 4;

    private const uint Enable = 1U << 31, AddressMask = 0x80FF_FFFC;

    private readonly PciFunction?[] _functions = new PciFunction?[256];
    private readonly bool[] _asserting = new bool[256];
    private readonly int[] _pirqs = new int[PirqCount];
    private uint _address;

    public override string Name => "PCI bus";
    public override IReadOnlyList<PortRange> Ports { get; } = [new(AddressPort, 4, 4), new(DataPort, 4, 4)];
    public override IReadOnlyList<DeviceRegister> Registers => [new("Address", _address)];

    internal PortBus PortBus => ports;
    internal PhysicalMemory Memory => memory;

    /// <summary>The functions on the bus, by address.</summary>
    public IEnumerable<PciFunction> Functions => _functions.OfType<PciFunction>();

    /// <summary>An interrupt request changed: its number, and whether any function asserts it.</summary>
    public event Action<int, bool>? PirqChanged;

    /// <summary>Puts a function on the bus; throws <see cref="InvalidOperationException"/> where another one is.</summary>
    public void Attach(PciFunction function)
    {
        ref PciFunction? slot = ref _functions[function.Address.Index];
        if (slot != null)
            throw new InvalidOperationException($"PCI address {function.Address} is taken twice: by {slot.Name} and by {function.Name}. Move one of them.");
        slot = function;
        function.Bus = this;
    }

    /// <summary>The request that a pin is wired to; neighbouring devices are rotated, so that they share as little as can be.</summary>
    public static int PirqOf(PciAddress address, int pin) => (address.Device - 1 + pin - 1) & (PirqCount - 1);

    internal void SetInterrupt(PciFunction function, bool level)
    {
        ref bool asserting = ref _asserting[function.Address.Index];
        if (asserting == level)
            return;
        asserting = level;
        int pirq = PirqOf(function.Address, function.InterruptPin);
        int before = _pirqs[pirq];
        _pirqs[pirq] = before + (level ? 1 : -1);
        if ((before != 0) != (_pirqs[pirq] != 0))
            PirqChanged?.Invoke(pirq, level);
    }

    public override void Reset() => _address = 0;

    /// <summary>The function that the address selects, null if there is none: then the data reads as all ones.</summary>
    private PciFunction? Selected => (_address & Enable) != 0 && (_address >> 16 & 0xFF) == 0 ? _functions[_address >> 8 & 0xFF] : null;

    private int Offset(ushort port) => (int)(_address & 0xFC) | port & 3;

    public uint ReadPort(ushort port, int size)
    {
        if (port >= DataPort)
            return Selected?.ReadConfiguration(Offset(port), size) ?? uint.MaxValue >> (32 - size * 8);
        return size == 4 ? _address : behind.ReadPort(port, size);
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (port >= DataPort)
            Selected?.WriteConfiguration(Offset(port), size, value);
        else if (size == 4)
            _address = value & AddressMask;
        else
            behind.WritePort(port, size, value);
    }
}
