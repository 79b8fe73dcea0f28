/* Extended precision: multiply, add, divide and square root. A unit is a thousand turns. */
#include "../kernels.h"

u32 x87(u32 n)
{
    long double x = 0.5L, sum = 0;
    for (u32 i = 0; i < n * 1000; i++) {
        x = x * 3.7L * (1.0L - x);
        sum += __builtin_sqrtl(x) + x / (sum + 1.5L);
    }
    return (u32)(u64)(sum * 16);
}
