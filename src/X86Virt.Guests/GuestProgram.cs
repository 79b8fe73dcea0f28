using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace X86Virt.Guests;

/// <summary>
/// A program in the making, without a library: texts, then code. It begins with its arguments on the stack as Linux has them: their number, then where each is, the
/// program's name first. EBP is kept for the exit status.
/// </summary>
internal abstract class GuestProgram
{
    private readonly Label _fail, _misuse;
    private readonly Text _failed, _usage;

    /// <summary>A text and its final NUL.</summary>
    public readonly record struct Text(uint Address, int Length);

    /// <param name="dataAddress">Where the texts are.</param>
    /// <param name="failed">What to print where something fails.</param>
    /// <param name="usage">What to print for arguments that cannot be.</param>
    protected GuestProgram(uint dataAddress, string failed, string usage)
    {
        Data = new GuestData(dataAddress);
        _failed = Add(failed);
        _usage = Add(usage);
        _fail = Code.CreateLabel();
        _misuse = Code.CreateLabel();
    }

    public Assembler Code { get; } = new(64);

    protected GuestData Data { get; }

    /// <summary>Where to jump when something has failed: prints so and ends with 1.</summary>
    public Label Fail => _fail;

    /// <summary>Where to jump for wrong arguments: says what are right ones and ends with 2.</summary>
    public Label Misuse => _misuse;

    public Text Add(string text) => new(Data.Add(text), text.Length);

    public void Print(Text text)
    {
        Code.mov(esi, text.Address);
        Code.mov(edx, text.Length);
        Print();
    }

    /// <summary>Prints RAX, 16 hexadecimal digits, by way of the stack. Changes what <see cref="Print()"/> does.</summary>
    public void PrintHexadecimal()
    {
        const int Digits = 16;
        Label digit = Code.CreateLabel(), decimalDigit = Code.CreateLabel();
        Code.sub(rsp, Digits);
        Code.xor(ecx, ecx);
        Code.Label(ref digit);
        Code.rol(rax, 4);
        Code.mov(edx, eax);
        Code.and(edx, 15);
        Code.add(edx, '0');
        Code.cmp(edx, '9');
        Code.jbe(decimalDigit);
        Code.add(edx, 'a' - '9' - 1);
        Code.Label(ref decimalDigit);
        Code.mov(__byte_ptr[rsp + rcx], dl);
        Code.inc(ecx);
        Code.cmp(ecx, Digits);
        Code.jne(digit);
        Code.mov(rsi, rsp);
        Code.mov(edx, Digits);
        Print();
        Code.add(rsp, Digits);
    }

    /// <summary>Prints RDX characters at RSI. Changes RAX, RCX, RDX, RSI, RDI and R11.</summary>
    public abstract void Print();

    /// <summary>The address of so many bytes of memory, all 0, into R15.</summary>
    public abstract void GetMemory(int bytes);

    /// <summary>Ends with the status in EBP.</summary>
    protected abstract void End();

    /// <summary>The file that has this program.</summary>
    protected abstract byte[] Link();

    /// <summary>
    /// Where an argument is, or the default text if there are not so many, into <paramref name="text"/>. Before anything is pushed.
    /// </summary>
    public void ReadText(int argument, Text @default, AssemblerRegister64 text)
    {
        Label known = Code.CreateLabel();
        Code.mov(text, @default.Address);
        Code.cmp(__qword_ptr[rsp], argument + 1); // argc
        Code.jb(known);
        Code.mov(text, __qword_ptr[rsp + 8 + 8 * argument]);
        Code.Label(ref known);
    }

    /// <summary>
    /// Reads an argument, a decimal number, or the default text if there are not so many: its value into <paramref name="value"/>, its text into
    /// <paramref name="text"/>, the text's length into <paramref name="length"/>. Before anything is pushed. Changes RAX and RSI.
    /// </summary>
    public void ReadNumber(int argument, Text @default, AssemblerRegister64 value, AssemblerRegister64 text, AssemblerRegister64 length)
    {
        Label digit = Code.CreateLabel(), parsed = Code.CreateLabel();
        ReadText(argument, @default, text);
        Code.xor(value, value);
        Code.mov(rsi, text);
        Code.Label(ref digit);
        Code.movzx(eax, __byte_ptr[rsi]);
        Code.test(eax, eax);
        Code.jz(parsed);
        Code.sub(eax, '0');
        Code.cmp(eax, 9);
        Code.ja(_misuse);
        Code.imul(value, value, 10);
        Code.add(value, rax);
        Code.inc(rsi);
        Code.jmp(digit);
        Code.Label(ref parsed);
        Code.mov(length, rsi);
        Code.sub(length, text);
        Code.jz(_misuse);
    }

    /// <summary>The end: with status 0 from here, and the ways out for what went wrong.</summary>
    public byte[] Build()
    {
        Label fail = _fail, misuse = _misuse, end = Code.CreateLabel();
        Code.xor(ebp, ebp);
        Code.jmp(end);
        Code.Label(ref fail);
        Print(_failed);
        Code.mov(ebp, 1);
        Code.jmp(end);
        Code.Label(ref misuse);
        Print(_usage);
        Code.mov(ebp, 2);
        Code.Label(ref end);
        End();
        return Link();
    }
}
