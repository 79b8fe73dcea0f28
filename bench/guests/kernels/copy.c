/* Copies of 16 KiB: by the processor's string instruction, and a machine word at a time. */
#include "../kernels.h"

enum { SIZE = 16384 };
static u8 from[SIZE] __attribute__((aligned(64))), to[SIZE] __attribute__((aligned(64)));

void copy_prepare(void)
{
    u64 state = 2;
    for (int i = 0; i < SIZE; i++)
        from[i] = (u8)next_random(&state);
}

static u32 sum(void)
{
    u32 sum = 0;
    for (int i = 0; i < SIZE; i++)
        sum = sum * 31 + to[i];
    return sum;
}

u32 repmovsb(u32 n)
{
    for (u32 i = 0; i < n; i++) {
        void *d = to;
        const void *s = from;
        unsigned long count = SIZE;
        from[i % SIZE]++;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
    }
    return sum();
}

u32 wordcopy(u32 n)
{
    for (u32 i = 0; i < n; i++) {
        from[i % SIZE]++;
        const unsigned long *s = (const unsigned long *)from;
        volatile unsigned long *d = (volatile unsigned long *)to;
        for (unsigned k = 0; k < SIZE / sizeof *s; k++)
            d[k] = s[k];
    }
    return sum();
}
