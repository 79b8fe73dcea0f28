namespace X86Virt.Engine.Boot;

/// <summary>
/// What real-mode code finds where no firmware ran: the BIOS data area's memory size, interrupt services that all answer "not
/// supported", and a reset vector that resets the machine. Boot code of Xen and others asks the services about screens and disks, and
/// takes no for an answer; Linux with reboot=bios jumps to the vector.
/// </summary>
internal static class BiosData
{
    private const int VectorTableLength = 0x400, HandlerAddress = 0x500;

    // Where IBM's BIOS has its power-on entry, to which the reset vector jumps.
    private const ulong ResetVector = 0xF_FFF0, PowerOnEntry = 0xF_E05B;

    public static void Write(GuestLayout layout)
    {
        ulong lowEnd = Math.Min(layout.EndOfRam(0), 0xA_0000);
        if (lowEnd < 0x1000)
            return;

        // push bp; mov bp, sp; or word [bp+6], 1 (carry in the saved flags); pop bp; mov ah, 86h; iret
        ReadOnlySpan<byte> handler = [0x55, 0x89, 0xE5, 0x83, 0x4E, 0x06, 0x01, 0x5D, 0xB4, 0x86, 0xCF];
        byte[] page = new byte[0x600];
        for (int entry = 0; entry < VectorTableLength; entry += 4)
            GuestLayout.Put(page, entry, (uint)HandlerAddress);
        handler.CopyTo(page.AsSpan(HandlerAddress));
        if (lowEnd < 0xA_0000)
            GuestLayout.Put(page, 0x40E, (ushort)(lowEnd >> 4)); // segment of the extended data area
        GuestLayout.Put(page, 0x413, (ushort)(lowEnd >> 10));
        layout.Fill(0, page, (ulong)page.Length);

        // jmp f000:e05b, a date, and the model byte of a PC AT; there: mov al, 0feh; out 64h, al (pulse the reset line); hlt; jmp back
        ReadOnlySpan<byte> vector = [0xEA, 0x5B, 0xE0, 0x00, 0xF0, .. "01/01/26"u8, 0, 0xFC, 0];
        ReadOnlySpan<byte> reset = [0xB0, 0xFE, 0xE6, 0x64, 0xF4, 0xEB, 0xFD];
        layout.Fill(ResetVector, vector, (ulong)vector.Length);
        layout.Fill(PowerOnEntry, reset, (ulong)reset.Length);
    }
}
