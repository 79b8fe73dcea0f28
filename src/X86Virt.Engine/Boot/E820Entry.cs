namespace X86Virt.Engine.Boot;

/// <summary>A range of guest-physical addresses as firmware reports it (ACPI, INT 15h E820h): type 1 is usable, 2 reserved, 3 ACPI tables, 4 ACPI NVS.</summary>
public readonly record struct E820Entry(ulong Address, ulong Length, uint Type)
{
    public const uint Usable = 1, Reserved = 2, AcpiReclaimable = 3, AcpiNvs = 4;
}
