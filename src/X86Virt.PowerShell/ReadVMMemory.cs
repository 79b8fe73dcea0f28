using System.Management.Automation;
using System.Runtime.InteropServices;
using System.Text;
using X86Virt.Engine;

namespace X86Virt.PowerShell;

/// <summary>What Read-VMMemory makes of the bytes.</summary>
public enum MemoryFormat
{
    /// <summary>An array of bytes.</summary>
    Byte,

    /// <summary>An array of little-endian 16-bit numbers.</summary>
    UInt16,

    /// <summary>An array of little-endian 32-bit numbers.</summary>
    UInt32,

    /// <summary>An array of little-endian 64-bit numbers.</summary>
    UInt64,

    /// <summary>A string, UTF-8, up to the first 0.</summary>
    Text,

    /// <summary>Lines of 16 bytes in hexadecimal and as characters.</summary>
    Dump,
}

/// <summary>Reads guest memory.</summary>
/// <remarks>
/// <para>Addresses are linear, translated by the guest's page tables, unless -Physical is given. Reading disturbs nothing: no accessed bit is set, and no device is touched. Memory that is not there is the error NoMemoryAtAddress.</para>
/// </remarks>
/// <example>
/// <code>Read-VMMemory demo -Address 0x7c00 -Count 64 -As Dump</code>
/// <para>Shows memory in hexadecimal.</para>
/// </example>
/// <example>
/// <code>$bytes = Read-VMMemory demo -Address 0x7c00 -Count 512 -Physical</code>
/// <para>Gets an array of bytes from guest-physical memory.</para>
/// </example>
/// <example>
/// <code>Read-VMMemory demo -Address (Get-VMRegister demo RIP) -Count 2 -As UInt32</code>
/// <para>Reads numbers at the address in a register.</para>
/// </example>
[Cmdlet(VerbsCommunications.Read, "VMMemory", DefaultParameterSetName = ByName)]
[OutputType(typeof(byte[]), typeof(ushort[]), typeof(uint[]), typeof(ulong[]), typeof(string), typeof(MemoryLine))]
public sealed class ReadVMMemory : MachineCmdlet
{
    private const long MaximumBytes = 1 << 30;

    /// <summary>Where to read: a number, a hexadecimal string, or an object that has one: a register, an instruction, a breakpoint.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [AddressTransformation]
    public ulong Address { get; set; }

    /// <summary>How many bytes, or numbers with -As UInt16, UInt32, UInt64.</summary>
    [Parameter(Position = 2)]
    [Alias("Length")]
    [ValidateRange(1L, MaximumBytes)]
    public long Count { get; set; } = 16;

    /// <summary>What to make of the bytes.</summary>
    [Parameter]
    public MemoryFormat As { get; set; }

    /// <summary>The address is guest-physical.</summary>
    [Parameter]
    public SwitchParameter Physical { get; set; }

    /// <inheritdoc/>
    protected override void Process(VirtualMachine machine)
    {
        long length = Count * As switch { MemoryFormat.UInt16 => 2, MemoryFormat.UInt32 => 4, MemoryFormat.UInt64 => 8, _ => 1 };
        if (length > MaximumBytes)
            throw new MachineException("InvalidCount", $"{Count} numbers are {length} bytes; at most {MaximumBytes} can be read at once. Give a smaller -Count.");
        byte[] bytes = machine.ReadMemory(Address, (int)length, Physical ? AddressSpace.Physical : AddressSpace.Linear);
        if (As == MemoryFormat.Dump)
            WriteObject(MemoryLine.Of(Address, bytes), enumerateCollection: true);
        else
            WriteObject(Converted(bytes), enumerateCollection: false);
    }

    private object Converted(byte[] bytes) => As switch
    {
        MemoryFormat.UInt16 => MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(),
        MemoryFormat.UInt32 => MemoryMarshal.Cast<byte, uint>(bytes).ToArray(),
        MemoryFormat.UInt64 => MemoryMarshal.Cast<byte, ulong>(bytes).ToArray(),
        MemoryFormat.Text => Encoding.UTF8.GetString(bytes.AsSpan(0, bytes.AsSpan().IndexOf((byte)0) is >= 0 and var end ? end : bytes.Length)),
        _ => bytes,
    };
}
