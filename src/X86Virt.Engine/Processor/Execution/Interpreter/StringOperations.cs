using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>What a string instruction does with one element, and with a run of elements in host memory.</summary>
internal unsafe interface IStringOperation
{
    /// <summary>Has an operand at rSI.</summary>
    static abstract bool UsesSource { get; }

    /// <summary>Has an operand at ES:rDI.</summary>
    static abstract bool UsesDestination { get; }

    /// <summary>Writes the operand at ES:rDI.</summary>
    static abstract bool Writes { get; }

    /// <summary>REP stops on ZF, too (REPE, REPNE).</summary>
    static abstract bool Compares { get; }

    /// <summary>One element at the linear addresses; false after a fault.</summary>
    static abstract bool Element<T>(CpuState* s, Op* op, ulong source, ulong destination) where T : unmanaged;

    /// <summary>
    /// <paramref name="count"/> elements, the first at the host addresses and each next one <paramref name="step"/> bytes on. A comparison
    /// stops behind the element that ends it. Returns the elements done.
    /// </summary>
    static abstract ulong Run<T>(CpuState* s, Op* op, byte* source, byte* destination, ulong count, nint step) where T : unmanaged;
}

internal readonly unsafe struct Movs : IStringOperation
{
    public static bool UsesSource => true;
    public static bool UsesDestination => true;
    public static bool Writes => true;
    public static bool Compares => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Element<T>(CpuState* s, Op* op, ulong source, ulong destination) where T : unmanaged
        => LinearMemory.Read(s, op, source, out T value) && LinearMemory.Write(s, op, destination, value);

    public static ulong Run<T>(CpuState* s, Op* op, byte* source, byte* destination, ulong count, nint step) where T : unmanaged
    {
        ulong bytes = count * (ulong)sizeof(T);
        // Elements go one by one in step order: where the destination runs ahead into the source, what was copied is copied again.
        ulong ahead = step > 0 ? (ulong)(destination - source) : (ulong)(source - destination);
        if (ahead == 0 || ahead >= bytes)
        {
            nint back = step > 0 ? 0 : (nint)bytes - sizeof(T);
            Buffer.MemoryCopy(source - back, destination - back, bytes, bytes);
            return count;
        }
        for (ulong i = 0; i < count; i++, source += step, destination += step)
            Unsafe.WriteUnaligned(destination, Unsafe.ReadUnaligned<T>(source));
        return count;
    }
}

internal readonly unsafe struct Stos : IStringOperation
{
    public static bool UsesSource => false;
    public static bool UsesDestination => true;
    public static bool Writes => true;
    public static bool Compares => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Element<T>(CpuState* s, Op* op, ulong source, ulong destination) where T : unmanaged
        => LinearMemory.Write(s, op, destination, *(T*)&s->Rax);

    public static ulong Run<T>(CpuState* s, Op* op, byte* source, byte* destination, ulong count, nint step) where T : unmanaged
    {
        if (step < 0)
            destination += step * (nint)(count - 1);
        new Span<T>(destination, (int)count).Fill(*(T*)&s->Rax);
        return count;
    }
}

internal readonly unsafe struct Lods : IStringOperation
{
    public static bool UsesSource => true;
    public static bool UsesDestination => false;
    public static bool Writes => false;
    public static bool Compares => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Element<T>(CpuState* s, Op* op, ulong source, ulong destination) where T : unmanaged
    {
        if (!LinearMemory.Read(s, op, source, out T value))
            return false;
        Operand.SetRegister<T>(s, 0, Operand.Load<T>(&value));
        return true;
    }

    public static ulong Run<T>(CpuState* s, Op* op, byte* source, byte* destination, ulong count, nint step) where T : unmanaged
    {
        // Only the last element is left in the accumulator.
        Operand.SetRegister<T>(s, 0, Operand.Load<T>(source + step * (nint)(count - 1)));
        return count;
    }
}

internal readonly unsafe struct Cmps : IStringOperation
{
    public static bool UsesSource => true;
    public static bool UsesDestination => true;
    public static bool Writes => false;
    public static bool Compares => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Element<T>(CpuState* s, Op* op, ulong source, ulong destination) where T : unmanaged
    {
        if (!LinearMemory.Read(s, op, destination, out T b) || !LinearMemory.Read(s, op, source, out T a))
            return false;
        Cmp.Apply<T>(s, Operand.Load<T>(&a), Operand.Load<T>(&b));
        return true;
    }

    public static ulong Run<T>(CpuState* s, Op* op, byte* source, byte* destination, ulong count, nint step) where T : unmanaged
    {
        bool whileEqual = (op->Flags & OpFlags.Rep) != 0;
        ulong a, b, done = 0;
        do
        {
            a = Operand.Load<T>(source);
            b = Operand.Load<T>(destination);
            source += step;
            destination += step;
        }
        while (++done < count && a == b == whileEqual);
        Cmp.Apply<T>(s, a, b);
        return done;
    }
}

internal readonly unsafe struct Scas : IStringOperation
{
    public static bool UsesSource => false;
    public static bool UsesDestination => true;
    public static bool Writes => false;
    public static bool Compares => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Element<T>(CpuState* s, Op* op, ulong source, ulong destination) where T : unmanaged
    {
        if (!LinearMemory.Read(s, op, destination, out T b))
            return false;
        Cmp.Apply<T>(s, Operand.Register<T>(s, 0), Operand.Load<T>(&b));
        return true;
    }

    public static ulong Run<T>(CpuState* s, Op* op, byte* source, byte* destination, ulong count, nint step) where T : unmanaged
    {
        bool whileEqual = (op->Flags & OpFlags.Rep) != 0;
        ulong a = Operand.Register<T>(s, 0), b, done = 0;
        do
        {
            b = Operand.Load<T>(destination);
            destination += step;
        }
        while (++done < count && a == b == whileEqual);
        Cmp.Apply<T>(s, a, b);
        return done;
    }
}
