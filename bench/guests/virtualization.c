/* What a hardware VMM does for a guest, an operation a kernel: exits of each kind and misses of its page tables; and a guest that
   is a hypervisor itself, with AMD's SVM. 64-bit guests only. */
#include "exits.h"
#include "kernels.h"
#include "machine.h"

enum { PAGE = 4096, PRESENT_WRITABLE_USER = 7, CACHE_DISABLED = 0x10 };
enum { APIC_BASE = 0x1b, EFER = 0xc0000080, VM_HSAVE_PA = 0xc0010117, SVME = 1 << 12 };

/* The windows above the first GiB: one page of the local APIC's registers, and TABLES page tables that lead to one frame. */
#define WINDOW 0x40000000ull
#define MANY_PAGES 0x50000000ull
#define LOCAL_APIC 0xfee00000ull
enum { TABLES = 256, ENTRIES = 512, ANCHORS = 4, VERSION_REGISTER = 0x30 };

extern volatile u64 window_table[512], window_directory[512];
static volatile u64 tables[TABLES][ENTRIES] __attribute__((aligned(4096)));
static u8 frame[PAGE] __attribute__((aligned(4096)));

static u64 read_msr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static void write_msr(u32 msr, u64 value) { __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))); }

static u64 read_cr3(void)
{
    u64 cr3;
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    return cr3;
}

static void flush(u64 cr3) { __asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory"); }

static u8 load(u64 address) { return *(volatile u8 *)address; }

static u32 model_specific_register(u32 n)
{
    u32 sum = 0;
    for (u32 i = 0; i < n; i++)
        sum += (u32)read_msr(APIC_BASE);
    return sum;
}

static void map_device(void) { window_table[0] = LOCAL_APIC | CACHE_DISABLED | PRESENT_WRITABLE_USER; }

static u32 device_memory(u32 n)
{
    u32 i;
    for (i = 0; i < n; i++)
        (void)*(volatile u32 *)(WINDOW + VERSION_REGISTER);
    return i;
}

/* Pages of RAM that nothing else is in, twice as many as a TLB of ours has room for, one after the other. */
static u32 touch(u32 n)
{
    enum { FIRST = 16 << 20, PAGES = 8192 };
    u32 sum = 0;
    for (u32 i = 0; i < n; i++)
        sum += load(FIRST + (u64)(i % PAGES) * PAGE);
    return sum;
}

/* Every page is read, so that all tables are in use and nothing of them is new to whoever keeps shadows; the last half of each table stays empty
   until it is filled, an entry at a time. */
static void map_many(void)
{
    for (u32 t = 0; t < TABLES; t++) {
        window_directory[(MANY_PAGES - WINDOW) / PAGE / ENTRIES + t] = (u64)tables[t] | PRESENT_WRITABLE_USER;
        for (u32 e = 0; e < ENTRIES / 2; e++)
            tables[t][e] = (u64)frame | PRESENT_WRITABLE_USER;
    }
    flush(read_cr3());
    for (u32 t = 0; t < TABLES; t++) {
        for (u32 e = 0; e < ENTRIES / 2; e++)
            load(MANY_PAGES + (u64)(t * ENTRIES + e) * PAGE);
    }
}

/* Empties the TLB, and uses one table after another; each time round another of its entries, from the given one on. */
static u32 use_tables(u32 n, u32 first, int stores, int loads)
{
    static u32 round;
    u64 cr3 = read_cr3();
    for (u32 i = 0; i < n; i++) {
        u32 t = i % TABLES, e = first + (i / TABLES + round) % (ENTRIES / 2 - ANCHORS);
        u64 pages = MANY_PAGES + (u64)t * ENTRIES * PAGE;
        flush(cr3);
        for (u32 a = 0; a < ANCHORS; a++)
            load(pages + a * PAGE);
        if (stores)
            tables[t][e] = (u64)frame | PRESENT_WRITABLE_USER;
        load(pages + (loads ? e : ANCHORS) * PAGE);
    }
    round += n / TABLES;
    return n;
}

static u32 use_table(u32 n) { return use_tables(n, ANCHORS, 0, 0); }
static u32 store_to_table(u32 n) { return use_tables(n, ENTRIES / 2, 1, 0); }
static u32 fill_table(u32 n) { return use_tables(n, ENTRIES / 2, 1, 1); }

/* The virtual machine control block (AMD volume 2, appendix B), as far as it is used here. */
static u8 control_block[PAGE] __attribute__((aligned(4096))), host_area[PAGE] __attribute__((aligned(4096))), guest_stack[PAGE];

#define FIELD(type, offset) (*(volatile type *)(control_block + (offset)))
enum { INTERCEPTS = 0x10, ASID = 0x58, NESTED_CONTROL = 0x90, NESTED_CR3 = 0xb0, SEGMENTS = 0x400, GDTR = 0x460, IDTR = 0x480 };
enum { GUEST_EFER = 0x4d0, GUEST_CR4 = 0x548, GUEST_CR3 = 0x550, GUEST_CR0 = 0x558, GUEST_RFLAGS = 0x570, GUEST_RIP = 0x578, GUEST_RSP = 0x5d8, GUEST_PAT = 0x668 };
enum { INTERCEPT_VMRUN = 1, INTERCEPT_VMMCALL = 2, CODE_64 = 0xa9b, DATA = 0xc93, POWER_ON_PAT = 0x00070406 };

void guest_loop(void);
__asm__("guest_loop: vmmcall\njmp guest_loop");

struct __attribute__((packed)) table_register { unsigned short limit; u64 base; };

static void set_segment(u32 offset, u32 selector, u32 attributes, u32 limit, u64 base)
{
    FIELD(u64, offset) = (u64)limit << 32 | attributes << 16 | selector;
    FIELD(u64, offset + 8) = base;
}

/* The guest is code of this program, in the mode that this program is in. */
static void prepare_guest(void)
{
    u64 cr0, cr4;
    struct table_register gdtr, idtr;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("sgdt %0" : "=m"(gdtr));
    __asm__ volatile("sidt %0" : "=m"(idtr));
    write_msr(EFER, read_msr(EFER) | SVME);
    write_msr(VM_HSAVE_PA, (u64)host_area);
    FIELD(u32, INTERCEPTS) = INTERCEPT_VMRUN | INTERCEPT_VMMCALL;
    FIELD(u32, ASID) = 1;
    for (u32 segment = 0; segment < 4; segment++)
        set_segment(SEGMENTS + segment * 16, segment == 1 ? 0x08 : 0x10, segment == 1 ? CODE_64 : DATA, ~0u, 0);
    set_segment(GDTR, 0, 0, gdtr.limit, gdtr.base);
    set_segment(IDTR, 0, 0, idtr.limit, idtr.base);
    FIELD(u64, GUEST_EFER) = read_msr(EFER);
    FIELD(u64, GUEST_CR0) = cr0;
    FIELD(u64, GUEST_CR3) = read_cr3();
    FIELD(u64, GUEST_CR4) = cr4;
    FIELD(u64, GUEST_RFLAGS) = 2;
    FIELD(u64, GUEST_RSP) = (u64)(guest_stack + PAGE);
    FIELD(u64, GUEST_PAT) = POWER_ON_PAT;
}

static void prepare_nested_guest(void)
{
    prepare_guest();
    FIELD(u64, NESTED_CONTROL) = 1;
    /* Our own tables are one to one, and open to users. */
    FIELD(u64, NESTED_CR3) = read_cr3();
}

static u32 run_guest(u32 n)
{
    u32 i;
    for (i = 0; i < n; i++) {
        FIELD(u64, GUEST_RIP) = (u64)guest_loop;
        __asm__ volatile("vmrun %%rax" : : "a"(control_block) : "memory");
    }
    return i;
}

const struct kernel kernels[] = {
    {"cpuid", 0, cpuid},
    {"in", 0, in_port},
    {"out", 0, out_port},
    {"rdmsr", 0, model_specific_register},
    {"mmio", map_device, device_memory},
    {"touch", 0, touch},
    {"tableuse", map_many, use_table},
    {"tablestore", map_many, store_to_table},
    {"tablefill", map_many, fill_table},
    {"vmrun", prepare_guest, run_guest},
    {"vmrunnested", prepare_nested_guest, run_guest},
    {0, 0, 0},
};
