namespace X86Virt.Engine.Processor;

/// <summary>Bits of CR0 (AMD volume 2, 3.1.1).</summary>
public static class Cr0
{
    public const ulong Pe = 1, Mp = 2, Em = 4, Ts = 8, Et = 16, Ne = 32, Wp = 1 << 16, Am = 1 << 18, Nw = 1 << 29, Cd = 1 << 30, Pg = 1UL << 31;
}

/// <summary>Bits of CR4 (AMD volume 2, 3.1.3).</summary>
public static class Cr4
{
    public const ulong Vme = 1, Pvi = 2, Tsd = 4, De = 8, Pse = 16, Pae = 32, Mce = 64, Pge = 128, Pce = 256, Osfxsr = 512,
        Osxmmexcpt = 1 << 10, Umip = 1 << 11, La57 = 1 << 12, Fsgsbase = 1 << 16, Pcide = 1 << 17, Osxsave = 1 << 18,
        Smep = 1 << 20, Smap = 1 << 21;
}

/// <summary>Bits of EFER (AMD volume 2, 3.1.7).</summary>
public static class Efer
{
    public const ulong Sce = 1, Lme = 1 << 8, Lma = 1 << 10, Nxe = 1 << 11, Svme = 1 << 12, Ffxsr = 1 << 14;
}
