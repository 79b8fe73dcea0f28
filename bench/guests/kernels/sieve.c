/* Sieve of Eratosthenes over bytes: stores with a stride, and a load a byte. */
#include "../kernels.h"

enum { SIZE = 16384 };
static u8 composite[SIZE];

u32 sieve(u32 n)
{
    u32 primes = 0;
    while (n-- != 0) {
        for (u32 i = 0; i < SIZE; i++)
            composite[i] = 0;
        for (u32 i = 2; i < SIZE; i++) {
            if (composite[i])
                continue;
            primes++;
            for (u32 j = i * 2; j < SIZE; j += i)
                composite[j] = 1;
        }
    }
    return primes;
}
