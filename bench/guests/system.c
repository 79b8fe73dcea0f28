/* One sensitive operation a kernel, in a loop; 64-bit guests only. A unit is one operation. */
#include "exits.h"
#include "kernels.h"
#include "machine.h"

enum { WINDOW = 0x40000000, PAGE = 4096, PRESENT_WRITABLE_USER = 7, INTERRUPT_GATE = 0x8e, USER_GATE = 0xee };
enum { STAR = 0xc0000081, LSTAR = 0xc0000082, FMASK = 0xc0000084 };

struct gate {
    unsigned short offset_low, selector;
    u8 stack, type;
    unsigned short offset_middle;
    u32 offset_high, reserved;
};

static struct gate gates[256] __attribute__((aligned(16)));
static u8 frames[2][PAGE] __attribute__((aligned(4096))), code[PAGE] __attribute__((aligned(4096))), places[64][PAGE] __attribute__((aligned(4096)));
extern volatile u64 window_table[512];

/* In system_entry.S. */
void divide_error(void), page_fault(void), user_interrupt(void), user_exit(void), system_call_entry(void);
void empty_function(void), other_function(void);
void call_loop(u32 n), user_interrupt_loop(u32 n), system_call_loop(u32 n);
extern const u64 thousand_instructions[], thousand_instructions_end[];
void run_in_user_mode(void (*loop)(u32), u32 n);

static void set_gate(int vector, void (*handler)(void), u8 type)
{
    u64 offset = (u64)handler;
    gates[vector] = (struct gate){(unsigned short)offset, 0x08, 0, type, (unsigned short)(offset >> 16), (u32)(offset >> 32), 0};
}

static void write_msr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)));
}

static void prepare(void)
{
    struct __attribute__((packed)) { unsigned short limit; u64 base; } pointer = {sizeof gates - 1, (u64)gates};
    set_gate(0, divide_error, INTERRUPT_GATE);
    set_gate(14, page_fault, INTERRUPT_GATE);
    set_gate(0x80, user_interrupt, USER_GATE);
    set_gate(0x81, user_exit, USER_GATE);
    __asm__ volatile("lidt %0" : : "m"(pointer));
    write_msr(STAR, 0x18ull << 48 | 0x08ull << 32);
    write_msr(LSTAR, (u64)system_call_entry);
    write_msr(FMASK, 0x200);
    /* Interrupts may be enabled: both controllers are masked. */
    port_out(0x21, 0xff);
    port_out(0xa1, 0xff);
}

/* Handles a page fault of the kernels below: maps the page. */
void map_page(u64 address)
{
    window_table[address / PAGE % 512] = (u64)frames[address / PAGE & 1] | PRESENT_WRITABLE_USER;
}

static void invalidate(u64 address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

static u32 direct_call(u32 n)
{
    call_loop(n);
    return n;
}

static u32 indirect_call(u32 n)
{
    void (*volatile functions[2])(void) = {empty_function, other_function};
    for (u32 i = 0; i < n; i++)
        functions[i & 1]();
    return n;
}

static u32 mov_cr3(u32 n)
{
    u64 cr3;
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    for (u32 i = 0; i < n; i++)
        __asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
    return n;
}

static u32 mov_cr8(u32 n)
{
    for (u32 i = 0; i < n; i++)
        __asm__ volatile("mov %0, %%cr8" : : "r"((u64)(i & 15)));
    __asm__ volatile("mov %0, %%cr8" : : "r"(0ull));
    return n;
}

static u32 save_flags(u32 n)
{
    __asm__ volatile("sti");
    for (u32 i = 0; i < n; i++)
        __asm__ volatile("pushfq; cli; popfq" : : : "memory", "cc");
    __asm__ volatile("cli");
    return n;
}

static u32 invlpg(u32 n)
{
    for (u32 i = 0; i < n; i++)
        invalidate(WINDOW);
    return n;
}

static u32 remap(u32 n)
{
    u32 sum = 0;
    frames[0][0] = 1;
    frames[1][0] = 2;
    for (u32 i = 0; i < n; i++) {
        window_table[3] = (u64)frames[i & 1] | PRESENT_WRITABLE_USER;
        invalidate(WINDOW + 3 * PAGE);
        sum += *(volatile u8 *)(WINDOW + 3 * PAGE);
    }
    return sum;
}

static u32 system_call(u32 n)
{
    run_in_user_mode(system_call_loop, n);
    return n;
}

static u32 interrupt(u32 n)
{
    run_in_user_mode(user_interrupt_loop, n);
    return n;
}

static u32 divide(u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u32 a = i, d = 0;
        __asm__ volatile("div %2" : "+a"(a), "+d"(d) : "c"(0) : "cc");
    }
    return n;
}

static u32 fault(u32 n)
{
    u32 sum = 0;
    frames[0][1] = 3;
    frames[1][1] = 4;
    for (u32 i = 0; i < n; i++) {
        u32 page = 16 + i % 64;
        window_table[page] = 0;
        invalidate(WINDOW + page * PAGE);
        sum += *(volatile u8 *)(WINDOW + page * PAGE + 1ull);
    }
    return sum;
}

/* "mov eax, imm32; ret", the immediate written before each call. */
static u32 patch(u32 n)
{
    u32 sum = 0;
    code[0] = 0xb8;
    code[5] = 0xc3;
    for (u32 i = 0; i < n; i++) {
        *(volatile u32 __attribute__((aligned(1))) *)(code + 1) = i;
        sum += ((u32 (*)(void))(void *)code)();
    }
    return sum;
}

/* Code that is executed once and then replaced: what translating costs, and what forgetting a page's code does. */
static u32 new_code(u32 n)
{
    u32 sum = 0;
    for (u32 i = 0; i < n; i++) {
        u64 *to = (u64 *)places[i % 64];
        u32 data[4] = {i};
        for (const u64 *from = thousand_instructions; from != thousand_instructions_end; from++)
            *(volatile u64 *)to++ = *from;
        sum += ((u32 (*)(u32 *))(void *)places[i % 64])(data);
    }
    return sum;
}

/* One thing for a while and then another, of which a software VMM does the one better and a hardware VMM the other. */
static u32 phases(u32 n)
{
    enum { TURNS = 20000 };
    for (u32 i = 0; i < n; i++) {
        run_in_user_mode(system_call_loop, TURNS);
        in_port(TURNS);
    }
    return n;
}

const struct kernel kernels[] = {
    {"call", prepare, direct_call},
    {"indirectcall", prepare, indirect_call},
    {"in", prepare, in_port},
    {"out", prepare, out_port},
    {"cpuid", prepare, cpuid},
    {"movcr3", prepare, mov_cr3},
    {"movcr8", prepare, mov_cr8},
    {"saveflags", prepare, save_flags},
    {"invlpg", prepare, invlpg},
    {"remap", prepare, remap},
    {"syscall", prepare, system_call},
    {"int", prepare, interrupt},
    {"divide", prepare, divide},
    {"fault", prepare, fault},
    {"patch", prepare, patch},
    {"newcode", prepare, new_code},
    {"phases", prepare, phases},
    {0, 0, 0},
};
