using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace X86Virt.Engine.Memory;

/// <summary>Zero-filled pages from the host, aligned to a page, committed lazily by the host's own paging.</summary>
public static unsafe partial class HostMemory
{
    private const int ReadWrite = 3;
    private const int PrivateAnonymousNoReserve = 0x4022;
    private const uint CommitReserve = 0x3000;
    private const uint ReleaseAll = 0x8000;
    private const uint PageReadWrite = 4;
    private const int DontNeed = 4, HugePages = 14;
    private const int PageSize = 0x1000;

    /// <summary>Allocates <paramref name="size"/> bytes; throws <see cref="InsufficientMemoryException"/> naming the size.</summary>
    public static byte* Allocate(ulong size)
    {
        void* pages = OperatingSystem.IsWindows()
            ? VirtualAlloc(null, (nuint)size, CommitReserve, PageReadWrite)
            : Mmap(null, (nuint)size, ReadWrite, PrivateAnonymousNoReserve, -1, 0);
        if (pages == null || (nint)pages == -1)
            throw new InsufficientMemoryException($"The host refused {size >> 20} MiB of memory. Give the machine less memory (-Memory).");
        return (byte*)pages;
    }

    /// <summary>Asks the host to back a range by large pages where it can: its own TLB covers more of it then.</summary>
    public static void PreferLargePages(byte* pages, ulong size)
    {
        if (OperatingSystem.IsLinux())
            _ = Madvise(pages, (nuint)size, HugePages);
    }

    public static void Free(byte* pages, ulong size)
    {
        if (OperatingSystem.IsWindows())
            VirtualFree(pages, 0, ReleaseAll);
        else
            _ = Munmap(pages, (nuint)size);
    }

    /// <summary>Copies bytes, those of an operand without a call.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy(byte* to, byte* from, int size)
    {
        if (size == sizeof(ulong))
            *(ulong*)to = *(ulong*)from;
        else if (size == sizeof(uint))
            *(uint*)to = *(uint*)from;
        else if (size == sizeof(byte))
            *to = *from;
        else
            Unsafe.CopyBlockUnaligned(to, from, (uint)size);
    }

    /// <summary>Makes pages zero again and gives what held them back to the host.</summary>
    public static void Discard(byte* pages, ulong size)
    {
        if (OperatingSystem.IsLinux() && Madvise(pages, (nuint)size, DontNeed) == 0)
            return;
        for (ulong done = 0; done < size; done += PageSize)
            NativeMemory.Clear(pages + done, PageSize);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Madvise(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Mmap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Munmap(void* address, nuint length);

    [LibraryImport("kernel32")]
    private static partial void* VirtualAlloc(void* address, nuint size, uint type, uint protection);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool VirtualFree(void* address, nuint size, uint type);
}
