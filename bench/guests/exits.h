/* The operations that every monitor of a hardware VMM intercepts, for both images that measure them. A unit is one operation. */
#pragma once

#include "kernels.h"
#include "machine.h"

enum { DIAGNOSTIC_PORT = 0x80 };

static u32 cpuid(u32 n)
{
    u32 i;
    for (i = 0; i < n; i++) {
        u32 a = 0, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    }
    return i;
}

static u32 in_port(u32 n)
{
    u32 i;
    for (i = 0; i < n; i++)
        port_in(DIAGNOSTIC_PORT);
    return i;
}

static u32 out_port(u32 n)
{
    u32 i;
    for (i = 0; i < n; i++)
        port_out(DIAGNOSTIC_PORT, (u8)i);
    return i;
}
