/* Runs small guests under Linux's KVM and checks what comes of them: it is a hypervisor that this machine's processor has to serve. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum {
    RAM_SIZE = 4 << 20, CODE = 0x1000, TABLES = 0x2000, GDT = 0x5000, IDT = 0x6000, HANDLER = 0x7000, INVALID_OPCODE_HANDLER = 0x7100, STACK = 0x10000,
    SERIAL = 0x3F8, INVALID_OPCODE = 6, INTERRUPT = 0x31, MOST_EXITS = 3000,
};

struct machine {
    int vm, cpu;
    uint8_t *ram;
    struct kvm_run *run;
    char output[64];
    unsigned length, device_accesses, steps;
};

static int kvm, failures;

static int call(int file, unsigned long request, void *argument, const char *name)
{
    int result = ioctl(file, request, argument);
    if (result < 0) {
        printf("FAIL %s: %s\n", name, strerror(errno));
        exit(1);
    }
    return result;
}
#define CALL(file, request, argument) call(file, request, (void *)(argument), #request)

static void check(const char *name, const char *expected, const char *actual)
{
    int same = strcmp(expected, actual) == 0;
    printf(same ? "PASS %s\n" : "FAIL %s: expected '%s', got '%s'\n", name, expected, actual);
    failures += !same;
}

/* A machine with some RAM, and with KVM's own interrupt controllers and timer if wanted. */
static struct machine create(int chips)
{
    static struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 entries[100]; } leaves;
    struct machine m = { .vm = CALL(kvm, KVM_CREATE_VM, 0) };
    if (chips) {
        struct kvm_pit_config pit = { 0 };
        CALL(m.vm, KVM_CREATE_IRQCHIP, 0);
        CALL(m.vm, KVM_CREATE_PIT2, &pit);
    }
    m.ram = mmap(0, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = { .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)m.ram };
    CALL(m.vm, KVM_SET_USER_MEMORY_REGION, &region);
    m.cpu = CALL(m.vm, KVM_CREATE_VCPU, 0);
    leaves.head.nent = sizeof leaves.entries / sizeof *leaves.entries;
    CALL(kvm, KVM_GET_SUPPORTED_CPUID, &leaves);
    CALL(m.cpu, KVM_SET_CPUID2, &leaves);
    m.run = mmap(0, CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, m.cpu, 0);
    return m;
}

static void start(struct machine *m)
{
    struct kvm_regs registers = { .rip = CODE, .rsp = STACK, .rflags = 2 };
    CALL(m->cpu, KVM_SET_REGS, &registers);
}

/* The guest begins in real mode. */
static void real_mode(struct machine *m, const uint8_t *code, const uint8_t *end)
{
    struct kvm_sregs s;
    memcpy(m->ram + CODE, code, end - code);
    CALL(m->cpu, KVM_GET_SREGS, &s);
    s.cs.base = s.cs.selector = 0;
    CALL(m->cpu, KVM_SET_SREGS, &s);
    start(m);
}

/* The guest begins in 64-bit mode, its RAM mapped to itself and devices from 3 GiB on. Its handler counts in EBX; that of #UD halts with R11 in RAX. */
static void long_mode(struct machine *m, const uint8_t *code, const uint8_t *end)
{
    static const uint8_t count[] = { 0xFF, 0xC3, 0x50, 0xB0, 0x20, 0xE6, 0x20, 0x58, 0x48, 0xCF }, finish[] = { 0x4C, 0x89, 0xD8, 0xF4 };
    uint64_t *tables = (uint64_t *)(m->ram + TABLES), *gdt = (uint64_t *)(m->ram + GDT), *idt = (uint64_t *)(m->ram + IDT);
    tables[0] = (TABLES + 0x1000) | 7;
    tables[512] = (TABLES + 0x2000) | 7;
    tables[515] = 0xC0000087;
    tables[1024] = 0x87;
    tables[1025] = 0x200087;
    gdt[1] = 0x00AF9B000000FFFF;
    gdt[2] = 0x00CF93000000FFFF;
    for (int vector = 0; vector < 64; vector++)
        idt[vector * 2] = (vector == INVALID_OPCODE ? INVALID_OPCODE_HANDLER : HANDLER) | 8 << 16 | 0x8EULL << 40;
    memcpy(m->ram + HANDLER, count, sizeof count);
    memcpy(m->ram + INVALID_OPCODE_HANDLER, finish, sizeof finish);
    memcpy(m->ram + CODE, code, end - code);

    struct kvm_sregs s;
    CALL(m->cpu, KVM_GET_SREGS, &s);
    s.cr3 = TABLES;
    s.cr4 = 0x620;
    s.cr0 = 0x80050033;
    s.efer = 0x500;
    s.gdt.base = GDT;
    s.gdt.limit = 23;
    s.idt.base = IDT;
    s.idt.limit = 0x3FF;
    s.cs = (struct kvm_segment){ .limit = ~0u, .selector = 8, .present = 1, .type = 11, .s = 1, .l = 1, .g = 1 };
    s.ds = s.es = s.ss = s.fs = s.gs = (struct kvm_segment){ .limit = ~0u, .selector = 16, .present = 1, .type = 3, .s = 1, .db = 1, .g = 1 };
    CALL(m->cpu, KVM_SET_SREGS, &s);
    start(m);
}

/* Runs the guest until it halts or shuts down, and tells how: its output, RAX, and how often it accessed devices in memory and stepped. */
static void run(struct machine *m, const char *name, const char *expected)
{
    char result[256];
    struct kvm_regs registers;
    for (int exits = 0; exits < MOST_EXITS; exits++) {
        CALL(m->cpu, KVM_RUN, 0);
        switch (m->run->exit_reason) {
        case KVM_EXIT_IO: {
            char *data = (char *)m->run + m->run->io.data_offset;
            unsigned size = m->run->io.size * m->run->io.count;
            if (m->run->io.direction == KVM_EXIT_IO_IN)
                memset(data, 0x5A, size);
            else if (m->run->io.port == SERIAL && m->length + size < sizeof m->output) {
                memcpy(m->output + m->length, data, size);
                m->length += size;
            }
            continue;
        }
        case KVM_EXIT_MMIO:
            m->device_accesses++;
            memset(m->run->mmio.data, 0x11, m->run->mmio.is_write ? 0 : m->run->mmio.len);
            continue;
        case KVM_EXIT_IRQ_WINDOW_OPEN: {
            struct kvm_interrupt interrupt = { INTERRUPT };
            m->run->request_interrupt_window = 0;
            CALL(m->cpu, KVM_INTERRUPT, &interrupt);
            continue;
        }
        case KVM_EXIT_DEBUG:
            m->steps++;
            continue;
        default:
            CALL(m->cpu, KVM_GET_REGS, &registers);
            snprintf(result, sizeof result, "%s \"%s\" rax=%llx devices=%u steps=%u", m->run->exit_reason == KVM_EXIT_HLT ? "hlt"
                : m->run->exit_reason == KVM_EXIT_SHUTDOWN ? "shutdown" : "another exit", m->output, registers.rax, m->device_accesses, m->steps);
            check(name, expected, result);
            return;
        }
    }
    check(name, expected, "no end");
}

#define GUEST(name) extern const uint8_t name[], name##_end[]
GUEST(to_protected);
GUEST(paging);
GUEST(window);
GUEST(counted);
GUEST(timer);
GUEST(stepped);

asm(".macro say character\n"
    "    mov $0x3F8, %dx\n"
    "    mov $\\character, %al\n"
    "    out %al, %dx\n"
    ".endm\n"

    ".code16\n"
    "to_protected:\n"
    "    say 'R'\n"
    "    xor %ax, %ax\n"
    "    mov %ax, %ds\n"
    "    mov %ax, %es\n"
    "    mov %ax, %ss\n"
    "    mov $0x8000, %sp\n"
    "    movw $handler - to_protected + 0x1000, 0x84\n"
    "    movw $0, 0x86\n"
    "    int $0x21\n"
    "    cpuid\n"
    "    mov $0x3F8, %dx\n"
    "    mov $text - to_protected + 0x1000, %si\n"
    "    mov $4, %cx\n"
    "    rep outsb\n"
    "    lgdtl pointer - to_protected + 0x1000\n"
    "    mov %cr0, %eax\n"
    "    or $1, %al\n"
    "    mov %eax, %cr0\n"
    "    ljmp $8, $protected - to_protected + 0x1000\n"
    ".code32\n"
    "protected:\n"
    "    mov $16, %eax\n"
    "    mov %ax, %ds\n"
    "    say 'P'\n"
    "    movl $0x12345678, 0xD0000000\n"
    "    mov 0xD0000004, %eax\n"
    "    hlt\n"
    ".code16\n"
    "handler:\n"
    "    say 'i'\n"
    "    iret\n"
    "text: .ascii \"text\"\n"
    ".align 8\n"
    "table: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF\n"
    "pointer: .word 23\n"
    "    .long table - to_protected + 0x1000\n"
    "to_protected_end:\n"

    ".code64\n"
    "paging:\n"
    "    say 'L'\n"
    "    mov $1, %eax\n"
    "    cpuid\n"
    "    rdtsc\n"
    "    mov $0x277, %ecx\n"
    "    rdmsr\n"
    "    mov %cr3, %rax\n"
    "    mov %rax, %cr3\n"
    "    invlpg (%rsp)\n"
    "    mov $0xD0000000, %r9d\n"
    "    movl $1, (%r9)\n"
    "    mov (%r9), %r10\n"
    "    xor %r11d, %r11d\n"
    "    mov $2000000, %ecx\n"
    "1:  add $3, %r11\n"
    "    mov %r11, 0x8000(%rip)\n"
    "    loop 1b\n"
    "    mov $0x200000, %edi\n"
    "2:  addl $1, (%rdi)\n"
    "    add (%rdi), %r11\n"
    "    add $4096, %edi\n"
    "    cmp $0x400000, %edi\n"
    "    jb 2b\n"
    "    ud2\n"
    "paging_end:\n"

    "window:\n"
    "    xor %ebx, %ebx\n"
    "    sti\n"
    "    nop\n"
    "3:  test %ebx, %ebx\n"
    "    jz 3b\n"
    "    cli\n"
    "    mov %ebx, %eax\n"
    "    hlt\n"
    "window_end:\n"

    "counted:\n"
    "    nop\n"
    "    mov %ebx, %eax\n"
    "    hlt\n"
    "counted_end:\n"

    "timer:\n"
    "    mov $0x11, %al\n"
    "    out %al, $0x20\n"
    "    mov $0x30, %al\n"
    "    out %al, $0x21\n"
    "    mov $4, %al\n"
    "    out %al, $0x21\n"
    "    mov $1, %al\n"
    "    out %al, $0x21\n"
    "    mov $0xFE, %al\n"
    "    out %al, $0x21\n"
    "    mov $0x34, %al\n"
    "    out %al, $0x43\n"
    "    mov $0x80, %al\n"
    "    out %al, $0x40\n"
    "    mov $0x10, %al\n"
    "    out %al, $0x40\n"
    "    xor %ebx, %ebx\n"
    "    sti\n"
    "4:  cmp $5, %ebx\n"
    "    jb 4b\n"
    "5:  hlt\n"
    "    cmp $10, %ebx\n"
    "    jb 5b\n"
    "    cli\n"
    "    say 'T'\n"
    "    xor %eax, %eax\n"
    "    push %rax\n"
    "    push %rax\n"
    "    lidt (%rsp)\n"
    "    ud2\n"
    "timer_end:\n"

    "stepped:\n"
    "    mov $7, %eax\n"
    "    cpuid\n"
    "    xor %eax, %eax\n"
    "    pushf\n"
    "    pop %rcx\n"
    "    and $0x100, %ecx\n"
    "    mov %ecx, %eax\n"
    "    hlt\n"
    "stepped_end:\n");

int main(void)
{
    setbuf(stdout, 0);
    kvm = open("/dev/kvm", O_RDWR);
    if (kvm < 0) {
        printf("FAIL /dev/kvm: %s\n", strerror(errno));
        return 1;
    }
    struct machine m = create(0);
    real_mode(&m, to_protected, to_protected_end);
    run(&m, "real and protected mode", "hlt \"RitextP\" rax=11111111 devices=2 steps=0");

    m = create(0);
    long_mode(&m, paging, paging_end);
    run(&m, "paging", "hlt \"L\" rax=5b8f80 devices=2 steps=0");

    m = create(0);
    long_mode(&m, window, window_end);
    m.run->request_interrupt_window = 1;
    run(&m, "an interrupt window", "hlt \"\" rax=1 devices=0 steps=0");

    m = create(0);
    long_mode(&m, counted, counted_end);
    CALL(m.cpu, KVM_NMI, 0);
    run(&m, "an NMI", "hlt \"\" rax=1 devices=0 steps=0");

    m = create(1);
    long_mode(&m, timer, timer_end);
    run(&m, "a timer, and a shutdown", "shutdown \"T\" rax=0 devices=0 steps=0");

    m = create(0);
    long_mode(&m, stepped, stepped_end);
    struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
    CALL(m.cpu, KVM_SET_GUEST_DEBUG, &debug);
    /* KVM steps by the guest's own TF, and lets it see that. */
    run(&m, "single steps", "hlt \"\" rax=100 devices=0 steps=7");
    return failures != 0;
}
