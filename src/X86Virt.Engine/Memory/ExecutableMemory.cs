using System.Runtime.InteropServices;

namespace X86Virt.Engine.Memory;

/// <summary>
/// Memory for host code that is made at run time: one range of pages seen twice, once to write and once to execute, so that no mapping is
/// ever both. Committed lazily by the host.
/// </summary>
/// <remarks>Linux is what is tested; the Windows half compiles and has not been run.</remarks>
public sealed unsafe partial class ExecutableMemory : IDisposable
{
    private const int ReadWrite = 3, ReadExecute = 5;
    private const int Shared = 1;
    private const uint CloseOnExec = 1;
    private const uint PageExecuteReadWrite = 0x40;
    private const uint FileMapWrite = 2, FileMapRead = 4, FileMapExecute = 0x20;

    private readonly nint _section;
    private bool _disposed;

    /// <summary>Reserves <paramref name="size"/> bytes, rounded up to whole pages.</summary>
    /// <exception cref="InsufficientMemoryException">The host refused the memory, or forbids executing it.</exception>
    public ExecutableMemory(long size)
    {
        Size = (size + 0xFFFF) & ~0xFFFFL;
        if (OperatingSystem.IsWindows())
        {
            _section = CreateFileMapping(-1, 0, PageExecuteReadWrite, (uint)(Size >> 32), (uint)Size, 0);
            WriteView = (byte*)MapViewOfFile(_section, FileMapWrite | FileMapRead, 0, 0, (nuint)Size);
            ExecuteView = (byte*)MapViewOfFile(_section, FileMapExecute | FileMapRead, 0, 0, (nuint)Size);
        }
        else
        {
            int file = MemfdCreate("x86virt-code", CloseOnExec);
            if (file >= 0 && Ftruncate(file, (nint)Size) == 0)
            {
                WriteView = Map(file, ReadWrite);
                ExecuteView = Map(file, ReadExecute);
            }
            if (file >= 0)
                _ = Close(file);
        }
        if (WriteView == null || ExecuteView == null)
        {
            Dispose();
            throw new InsufficientMemoryException(
                $"The host refused {Size >> 10} KiB of executable memory. Allow anonymous executable mappings (memfd, SELinux execmem), or use a processor model without vector instructions.");
        }
    }

    public long Size { get; }

    /// <summary>Where code is written: readable and writable, not executable.</summary>
    public byte* WriteView { get; private set; }

    /// <summary>Where the same bytes are executed: readable and executable, not writable.</summary>
    public byte* ExecuteView { get; private set; }

    /// <summary>The executable address of a byte of the write view.</summary>
    public byte* ToExecutable(byte* written) => ExecuteView + (written - WriteView);

    /// <summary>The writable address of a byte of the execute view.</summary>
    public byte* ToWritable(byte* executable) => WriteView + (executable - ExecuteView);

    private byte* Map(int file, int protection)
    {
        void* view = Mmap(null, (nuint)Size, protection, Shared, file, 0);
        return (nint)view == -1 ? null : (byte*)view;
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Unmap(WriteView);
        Unmap(ExecuteView);
        WriteView = ExecuteView = null;
        if (_section != 0)
            CloseHandle(_section);
    }

    private void Unmap(byte* view)
    {
        if (view == null)
            return;
        if (OperatingSystem.IsWindows())
            UnmapViewOfFile(view);
        else
            _ = Munmap(view, (nuint)Size);
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate")]
    private static partial int Ftruncate(int file, nint length);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Mmap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Munmap(void* address, nuint length);

    [LibraryImport("kernel32", EntryPoint = "CreateFileMappingW")]
    private static partial nint CreateFileMapping(nint file, nint attributes, uint protection, uint sizeHigh, uint sizeLow, nint name);

    [LibraryImport("kernel32")]
    private static partial void* MapViewOfFile(nint mapping, uint access, uint offsetHigh, uint offsetLow, nuint size);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool UnmapViewOfFile(void* view);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CloseHandle(nint handle);
}
