/* The loop of the binary translation paper: trial division of a prime. */
#include "../kernels.h"

static u32 __attribute__((noinline)) is_prime(u32 a)
{
    for (u32 i = 2; i < a; i++)
        if (a % i == 0)
            return 0;
    return 1;
}

u32 isprime(u32 n)
{
    u32 primes = 0;
    for (u32 i = 0; i < n; i++)
        primes += is_prime(2003 + (i & 1));
    return primes;
}
