/* The kernels as a program of Linux, the host's or a guest's, without a library, so that guest and host run the same code. Every argument is a command. */
#include "runtime.h"

#ifdef __x86_64__
static long system_call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
enum { WRITE = 1, EXIT = 60, CLOCK_GETTIME = 228 };
__asm__(".text\n.globl _start\n_start: lea 16(%rsp), %rdi\nand $-16, %rsp\ncall run_commands");
#else
static long system_call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}
enum { WRITE = 4, EXIT = 1, CLOCK_GETTIME = 265 };
__asm__(".text\n.globl _start\n_start: lea 8(%esp), %eax\nand $-16, %esp\nsub $12, %esp\npush %eax\ncall run_commands");
#endif

void __attribute__((noreturn)) run_commands(const char *const *arguments);

void run_commands(const char *const *arguments)
{
    while (*arguments != 0)
        run_command(*arguments++);
    leave(0);
}

void put_character(char c) { system_call(WRITE, 1, (long)&c, 1); }

/* Processor time in nanoseconds. From outside it would be known to a clock tick only. */
void mark(void)
{
    enum { PROCESS_CPU_TIME = 2 };
    struct { long seconds, nanoseconds; } time = {0, 0};
    system_call(CLOCK_GETTIME, PROCESS_CPU_TIME, (long)&time, 0);
    put_character('[');
    put_hexadecimal((unsigned long long)time.seconds * 1000000000 + (unsigned long)time.nanoseconds, 16);
    put_character(']');
}

void leave(int status)
{
    for (;;)
        system_call(EXIT, status, 0, 0);
}
