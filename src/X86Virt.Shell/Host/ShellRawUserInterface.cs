using System.Management.Automation.Host;

namespace X86Virt.Shell.Host;

/// <summary>The terminal's size and keys; harmless defaults where there is no terminal.</summary>
internal sealed class ShellRawUserInterface : PSHostRawUserInterface
{
    private const int DefaultWidth = 120, DefaultHeight = 50;

    public static int Width => Try(() => Console.IsOutputRedirected || Console.WindowWidth <= 0 ? DefaultWidth : Console.WindowWidth, DefaultWidth);

    private static T Try<T>(Func<T> ask, T otherwise)
    {
        try
        {
            return ask();
        }
        catch (Exception e) when (e is IOException or PlatformNotSupportedException)
        {
            return otherwise;
        }
    }

    public override ConsoleColor ForegroundColor { get => Console.ForegroundColor; set => Console.ForegroundColor = value; }
    public override ConsoleColor BackgroundColor { get => Console.BackgroundColor; set => Console.BackgroundColor = value; }
    public override Coordinates CursorPosition
    {
        get => Try(() => new Coordinates(Console.CursorLeft, Console.CursorTop), default);
        set => Console.SetCursorPosition(value.X, value.Y);
    }
    public override Coordinates WindowPosition { get; set; }
    public override int CursorSize { get; set; } = 25;
    public override Size BufferSize { get => WindowSize; set { } }
    public override Size WindowSize
    {
        get => new(Width, Try(() => Console.IsOutputRedirected || Console.WindowHeight <= 0 ? DefaultHeight : Console.WindowHeight, DefaultHeight));
        set { }
    }
    public override Size MaxWindowSize => WindowSize;
    public override Size MaxPhysicalWindowSize => WindowSize;
    public override bool KeyAvailable => !Console.IsInputRedirected && Console.KeyAvailable;
    public override string WindowTitle { get; set; } = "X86Virt";

    public override KeyInfo ReadKey(ReadKeyOptions options)
    {
        ConsoleKeyInfo key = Console.ReadKey((options & ReadKeyOptions.NoEcho) != 0);
        return new KeyInfo((int)key.Key, key.KeyChar, 0, true);
    }

    public override void FlushInputBuffer()
    {
        while (KeyAvailable)
            Console.ReadKey(true);
    }

    public override void SetBufferContents(Rectangle rectangle, BufferCell fill)
    {
        if (!Console.IsOutputRedirected)
            Console.Clear();
    }

    public override void SetBufferContents(Coordinates origin, BufferCell[,] contents) => throw new NotSupportedException("The screen cannot be written to as a buffer.");

    public override BufferCell[,] GetBufferContents(Rectangle rectangle) => throw new NotSupportedException("The screen cannot be read.");

    public override void ScrollBufferContents(Rectangle source, Coordinates destination, Rectangle clip, BufferCell fill)
        => throw new NotSupportedException("The screen cannot be scrolled.");
}
