/* A kernel does n units of work and returns a checksum of them. The same source is timed as a host process and as a guest. */
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

struct kernel {
    const char *name;
    /* Not timed; null where nothing is to be made ready. */
    void (*prepare)(void);
    u32 (*run)(u32 n);
};

/* Ends with a null name. */
extern const struct kernel kernels[];

/* A linear congruential generator (Knuth's MMIX constants): the same numbers everywhere. */
static inline u32 next_random(u64 *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)(*state >> 33);
}
