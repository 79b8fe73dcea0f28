#include "runtime.h"
#include "kernels.h"

static void put_text(const char *text)
{
    while (*text != 0)
        put_character(*text++);
}

void put_hexadecimal(u64 value, int digits)
{
    while (digits-- != 0)
        put_character("0123456789abcdef"[value >> digits * 4 & 15]);
}

/* The text behind "name=", or null. */
static const char *find_setting(const char *command, const char *name)
{
    for (const char *at = command; *at != 0; at++) {
        if (at != command && at[-1] != ' ')
            continue;
        const char *a = at, *b = name;
        while (*b != 0 && *a == *b)
            a++, b++;
        if (*b == 0 && *a == '=')
            return a + 1;
    }
    return 0;
}

static u32 number(const char *command, const char *name)
{
    const char *digits = find_setting(command, name);
    u32 value = 0;
    while (digits != 0 && *digits >= '0' && *digits <= '9')
        value = value * 10 + (u32)(*digits++ - '0');
    return value != 0 ? value : 1;
}

static const struct kernel *find_kernel(const char *wanted)
{
    for (const struct kernel *k = kernels; wanted != 0 && k->name != 0; k++) {
        const char *a = wanted, *b = k->name;
        while (*b != 0 && *a == *b)
            a++, b++;
        if (*b == 0 && (*a == 0 || *a == ' '))
            return k;
    }
    return 0;
}

void run_command(const char *command)
{
    const struct kernel *kernel = find_kernel(find_setting(command, "kernel"));
    u32 n = number(command, "n"), passes = number(command, "passes"), sum = 0;
    if (kernel == 0) {
        put_text("no such kernel: ");
        put_text(command);
        leave(1);
    }
    if (kernel->prepare != 0)
        kernel->prepare();
    mark();
    while (passes-- != 0) {
        sum += kernel->run(n);
        mark();
    }
    put_hexadecimal(sum, 8);
    put_character('\n');
}
