using System.Runtime.CompilerServices;

namespace X86Virt.Engine.Processor;

/// <summary>A condition code as a type, so that Jcc, SETcc and CMOVcc get one handler each with the test folded in.</summary>
internal interface ICondition
{
    static abstract bool Holds(uint status);
}

internal readonly struct Cc0 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 0);
}

internal readonly struct Cc1 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 1);
}

internal readonly struct Cc2 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 2);
}

internal readonly struct Cc3 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 3);
}

internal readonly struct Cc4 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 4);
}

internal readonly struct Cc5 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 5);
}

internal readonly struct Cc6 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 6);
}

internal readonly struct Cc7 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 7);
}

internal readonly struct Cc8 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 8);
}

internal readonly struct Cc9 : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 9);
}

internal readonly struct CcA : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 10);
}

internal readonly struct CcB : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 11);
}

internal readonly struct CcC : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 12);
}

internal readonly struct CcD : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 13);
}

internal readonly struct CcE : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 14);
}

internal readonly struct CcF : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(uint status) => Flags.Condition(status, 15);
}
