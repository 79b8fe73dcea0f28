#include "kernels.h"

#define KERNEL(name) u32 name(u32 n)
KERNEL(isprime);
KERNEL(sieve);
KERNEL(dhrystone);
KERNEL(sha256);
KERNEL(chase16k);
KERNEL(chase4m);
KERNEL(repmovsb);
KERNEL(wordcopy);
KERNEL(fib);
KERNEL(bytecode);
KERNEL(matmul);
KERNEL(x87);
void chase16k_prepare(void);
void chase4m_prepare(void);
void copy_prepare(void);
void matmul_prepare(void);

const struct kernel kernels[] = {
    {"isprime", 0, isprime},
    {"sieve", 0, sieve},
    {"dhrystone", 0, dhrystone},
    {"sha256", 0, sha256},
    {"chase16k", chase16k_prepare, chase16k},
    {"chase4m", chase4m_prepare, chase4m},
    {"repmovsb", copy_prepare, repmovsb},
    {"wordcopy", copy_prepare, wordcopy},
    {"fib", 0, fib},
    {"bytecode", 0, bytecode},
    {"matmul", matmul_prepare, matmul},
    {"x87", 0, x87},
    {0, 0, 0},
};
