/* Calls and returns, 13529 a unit. Compiled without inlining, which would leave few of them. */
#include "../kernels.h"

static u32 __attribute__((noinline)) fibonacci(u32 n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

u32 fib(u32 n)
{
    u32 sum = 0;
    while (n-- != 0)
        sum += fibonacci(19);
    return sum;
}
