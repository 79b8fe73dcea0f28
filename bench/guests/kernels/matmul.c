/* Product of two 64 by 64 matrices of doubles, two lanes at a time. */
#include <emmintrin.h>
#include "../kernels.h"

enum { SIZE = 64 };
static double a[SIZE][SIZE] __attribute__((aligned(16))), b[SIZE][SIZE] __attribute__((aligned(16))), c[SIZE][SIZE] __attribute__((aligned(16)));

void matmul_prepare(void)
{
    u64 state = 3;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (int)(next_random(&state) % 2001) / 1000.0 - 1;
            b[i][j] = (int)(next_random(&state) % 2001) / 1000.0 - 1;
        }
}

static void __attribute__((noinline)) multiply(void)
{
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j += 4) {
            __m128d low = _mm_setzero_pd(), high = _mm_setzero_pd();
            for (int k = 0; k < SIZE; k++) {
                __m128d x = _mm_set1_pd(a[i][k]);
                low = _mm_add_pd(low, _mm_mul_pd(x, _mm_load_pd(&b[k][j])));
                high = _mm_add_pd(high, _mm_mul_pd(x, _mm_load_pd(&b[k][j + 2])));
            }
            _mm_store_pd(&c[i][j], low);
            _mm_store_pd(&c[i][j + 2], high);
        }
}

u32 matmul(u32 n)
{
    double sum = 0;
    for (u32 i = 0; i < n; i++) {
        a[0][i % SIZE] = (int)(i % 7) * 0.5;
        multiply();
        sum += c[0][i % SIZE] + c[SIZE - 1][SIZE - 1];
    }
    return (u32)(int)(sum * 1000);
}
