namespace X86Virt.Engine.Boot;

/// <summary>
/// What real-mode code finds below 0x600 where no firmware ran: the BIOS data area's memory size, and interrupt services that all
/// answer "not supported". Boot code of Xen and others asks them about screens and disks, and takes no for an answer.
/// </summary>
internal static class BiosData
{
    private const int VectorTableLength = 0x400, HandlerAddress = 0x500;

    public static void Write(GuestLayout layout)
    {
        ulong lowEnd = Math.Min(layout.EndOfRam(0), 0xA_0000);
        if (lowEnd < 0x1000)
            return;

        // push bp; mov bp, sp; or word [bp+6], 1 (carry in the saved flags); pop bp; mov ah, 86h; iret
        ReadOnlySpan<byte> handler = [0x55, 0x89, 0xE5, 0x83, 0x4E, 0x06, 0x01, 0x5D, 0xB4, 0x86, 0xCF];
        byte[] page = new byte[0x600];
        for (int vector = 0; vector < VectorTableLength; vector += 4)
            GuestLayout.Put(page, vector, (uint)HandlerAddress);
        handler.CopyTo(page.AsSpan(HandlerAddress));
        if (lowEnd < 0xA_0000)
            GuestLayout.Put(page, 0x40E, (ushort)(lowEnd >> 4)); // segment of the extended data area
        GuestLayout.Put(page, 0x413, (ushort)(lowEnd >> 10));
        layout.Fill(0, page, (ulong)page.Length);
    }
}
