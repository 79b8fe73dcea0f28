/*
 * Executes single instructions on the host processor and reports what they did: the oracle of the differential tests.
 *
 *     oracle FILE CASES
 *
 * FILE is mapped shared with the test process: a header, then cases (struct test_case). Each byte read from standard input starts a
 * run over the first header.count cases; one byte on standard output says that it is done.
 *
 * An instruction is put into the code page, with a jump behind it that leads back here; all else in the page is INT3. Whatever else
 * happens (a fault, a branch; a timer, if it loops) ends in a signal. Every instruction meets the same memory: a window that is restored behind it.
 * 32-bit code runs in the compatibility segment that Linux has, 16-bit code in segments of the LDT that start at the window.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

/* Must agree with OracleLayout.cs. */
#define WINDOW 0x10000000u   /* one page unmapped, two writable, one read-only, one unmapped */
#define WRITABLE (WINDOW + 0x1000)
#define WRITABLE_SIZE 0x2000
#define READ_ONLY (WRITABLE + WRITABLE_SIZE)
#define CODE 0x10020000u     /* one page, then an unmapped one; out of reach of 16-bit offsets from WINDOW */
#define TRAMPOLINE 0x10030000u  /* where the code behind an instruction jumps, so that it is the same in every process */
#define TRAMPOLINE_FAR (TRAMPOLINE + 16)
#define MAX_CHANGES 40
#define XSAVE_SIZE 832
#define ALTERNATE_SIZE (1 << 17)

struct change { uint64_t offset, value; };

struct test_case {
    uint8_t bytes[16];
    uint8_t length, mode, vector_state, pad;
    uint32_t code_offset;
    uint64_t gpr[16], flags;
    uint64_t out_gpr[16], out_flags, out_rip;
    uint32_t fault;           /* vector, or NO_FAULT */
    uint32_t error_code;
    uint64_t address;         /* CR2 of a page fault */
    uint64_t change_count;    /* quadwords of the writable pages that changed */
    struct change changes[MAX_CHANGES];
};

struct header {
    uint32_t count, done;
    uint8_t memory[WRITABLE_SIZE + 0x1000];
};

#define NO_FAULT 0xFFFFFFFFu
#define HANG 0xFFFFFFFEu     /* did not end; reported in place of a fault */
#define CASES_OFFSET 0x4000
#define CASE_SIZE 1024
#define VECTOR_OFFSET(index, count_max) (CASES_OFFSET + (uint64_t)(count_max) * CASE_SIZE + (uint64_t)(index) * 2048)
_Static_assert(sizeof(struct test_case) <= CASE_SIZE, "case too large");
_Static_assert(sizeof(struct header) <= CASES_OFFSET, "header too large");

/* Read and written by the assembler part. */
uint64_t in_gpr[16], in_flags, out_gpr[16], out_flags, saved_rsp, target;
struct { uint32_t offset; uint16_t selector; } __attribute__((packed)) far_target;
uint8_t xsave_in[XSAVE_SIZE + 64] __attribute__((aligned(64)));
uint8_t xsave_out[XSAVE_SIZE + 64] __attribute__((aligned(64)));
uint32_t use_vectors;
uint16_t stack_selector;

static sigjmp_buf escape;
static struct test_case *current;
static uint8_t *current_vectors;

void enter64(void), enter_far(void), leave64(void), leave_far(void);

__asm__(
    ".text\n"
    /* Segment registers are left alone where 64-bit code is all that runs. */
    ".macro load_all far\n"
    "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "    mov %rsp, saved_rsp(%rip)\n"
    "    cmpl $0, use_vectors(%rip)\n"
    "    je 1f\n"
    "    mov $7, %eax; xor %edx, %edx; xrstor xsave_in(%rip)\n"
    "1:  pushq in_flags(%rip)\n"
    "    popfq\n"
    "    mov in_gpr+8(%rip), %rcx; mov in_gpr+16(%rip), %rdx; mov in_gpr+24(%rip), %rbx\n"
    "    mov in_gpr+40(%rip), %rbp; mov in_gpr+48(%rip), %rsi; mov in_gpr+56(%rip), %rdi\n"
    "    mov in_gpr+64(%rip), %r8; mov in_gpr+72(%rip), %r9; mov in_gpr+80(%rip), %r10; mov in_gpr+88(%rip), %r11\n"
    "    mov in_gpr+96(%rip), %r12; mov in_gpr+104(%rip), %r13; mov in_gpr+112(%rip), %r14; mov in_gpr+120(%rip), %r15\n"
    ".if \\far\n"
    "    mov stack_selector(%rip), %ss\n"
    ".endif\n"
    "    mov in_gpr+32(%rip), %rsp\n"
    "    mov in_gpr+0(%rip), %rax\n"
    ".endm\n"
    ".macro store_all far\n"
    "    mov %rax, out_gpr+0(%rip); mov %rcx, out_gpr+8(%rip); mov %rdx, out_gpr+16(%rip); mov %rbx, out_gpr+24(%rip)\n"
    "    mov %rsp, out_gpr+32(%rip); mov %rbp, out_gpr+40(%rip); mov %rsi, out_gpr+48(%rip); mov %rdi, out_gpr+56(%rip)\n"
    "    mov %r8, out_gpr+64(%rip); mov %r9, out_gpr+72(%rip); mov %r10, out_gpr+80(%rip); mov %r11, out_gpr+88(%rip)\n"
    "    mov %r12, out_gpr+96(%rip); mov %r13, out_gpr+104(%rip); mov %r14, out_gpr+112(%rip); mov %r15, out_gpr+120(%rip)\n"
    ".if \\far\n"
    "    mov $0x2b, %eax\n"
    "    mov %eax, %ss\n"
    ".endif\n"
    "    mov saved_rsp(%rip), %rsp\n"
    "    pushfq\n"
    "    popq out_flags(%rip)\n"
    "    pushq $2\n"
    "    popfq\n"
    "    cmpl $0, use_vectors(%rip)\n"
    "    je 1f\n"
    "    mov $7, %eax; xor %edx, %edx; xsave xsave_out(%rip)\n"
    "1:  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "    ret\n"
    ".endm\n"
    ".globl enter64, enter_far, leave64, leave_far\n"
    "enter64:\n"
    "    load_all 0\n"
    "    jmp *target(%rip)\n"
    "enter_far:\n"
    "    load_all 1\n"
    "    ljmp *far_target(%rip)\n"
    "leave64:\n"
    "    store_all 0\n"
    "leave_far:\n"
    "    store_all 1\n");

static void store_vectors(const uint8_t *area)
{
    if (use_vectors)
        memcpy(current_vectors + 1024, area, XSAVE_SIZE);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    static const int order[16] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    };
    ucontext_t *u = context;
    greg_t *r = u->uc_mcontext.gregs;
    struct test_case *c = current;
    (void)info;
    if (c == NULL && number == SIGVTALRM)
        return;
    if (c == NULL) {
        /* A mistake of our own. */
        signal(number, SIG_DFL);
        raise(number);
    }
    if (number == SIGVTALRM) {
        static const struct test_case *seen;
        if (seen != c) {
            seen = c;
            return;
        }
    }
    uint64_t rip = r[REG_RIP];
    uint64_t base = c->mode == 16 ? CODE : 0;
    for (int i = 0; i < 16; i++)
        c->out_gpr[i] = r[order[i]];
    c->out_flags = r[REG_EFL];
    c->out_rip = rip;
    c->fault = r[REG_TRAPNO];
    c->error_code = r[REG_ERR];
    c->address = r[REG_CR2];
    uint64_t start = CODE + c->code_offset;
    if (number == SIGVTALRM) {
        c->fault = HANG;
    } else if (c->fault == 3 && base + rip - 1 != start) {
        /* A branch to an INT3 of the code page. */
        c->out_rip = rip - 1;
        c->fault = NO_FAULT;
    } else if (c->fault == 14 && (c->error_code & 16) != 0 && base + rip != start) {
        /* A branch to where there is no code. */
        c->fault = NO_FAULT;
    }
    store_vectors((const uint8_t *)u->uc_mcontext.fpregs);
    siglongjmp(escape, 1);
}

static void put_code(const struct test_case *c)
{
    static uint32_t last_offset, last_length;
    uint8_t *page = (uint8_t *)(uintptr_t)CODE;
    memset(page + last_offset, 0xCC, last_length);
    uint8_t code[32];
    uint32_t length = c->length;
    memcpy(code, c->bytes, length);
    uint32_t back = c->mode == 64 ? TRAMPOLINE : TRAMPOLINE_FAR;
    if (c->mode == 64) {
        uint32_t relative = back - (CODE + c->code_offset + length + 5);
        code[length++] = 0xE9;
        memcpy(code + length, &relative, 4);
        length += 4;
    } else {
        if (c->mode == 16)
            code[length++] = 0x66;
        code[length++] = 0xEA;
        memcpy(code + length, &back, 4);
        code[length + 4] = 0x33;
        code[length + 5] = 0;
        length += 6;
    }
    if (c->code_offset + length > 0x1000)
        length = 0x1000 - c->code_offset;
    memcpy(page + c->code_offset, code, length);
    last_offset = c->code_offset;
    last_length = length;
}

static void collect_changes(struct test_case *c, uint64_t *pristine)
{
    uint64_t *memory = (uint64_t *)(uintptr_t)WRITABLE;
    c->change_count = 0;
    for (int block = 0; block < WRITABLE_SIZE; block += 512) {
        if (memcmp((char *)memory + block, (char *)pristine + block, 512) == 0)
            continue;
        for (int i = block / 8; i < (block + 512) / 8; i++) {
            if (memory[i] == pristine[i])
                continue;
            if (c->change_count < MAX_CHANGES)
                c->changes[c->change_count] = (struct change){ (uint64_t)i * 8, memory[i] };
            c->change_count++;
            memory[i] = pristine[i];
        }
    }
}

static void run(struct test_case *c, uint8_t *vectors, struct header *h)
{
    put_code(c);
    memcpy(in_gpr, c->gpr, sizeof in_gpr);
    in_flags = c->flags;
    use_vectors = c->vector_state;
    current_vectors = vectors;
    if (use_vectors)
        memcpy(xsave_in, vectors, XSAVE_SIZE);
    current = c;
    if (sigsetjmp(escape, 0) == 0) {
        if (c->mode == 64) {
            target = CODE + c->code_offset;
            enter64();
        } else {
            far_target.offset = c->code_offset + (c->mode == 16 ? 0 : CODE);
            far_target.selector = c->mode == 16 ? 7 : 0x23;
            stack_selector = c->mode == 16 ? 15 : 0x2b;
            uint16_t data = stack_selector;
            __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(data));
            enter_far();
        }
        memcpy(c->out_gpr, out_gpr, sizeof out_gpr);
        c->out_flags = out_flags;
        c->out_rip = (c->mode == 16 ? 0 : CODE) + c->code_offset + c->length;
        c->fault = NO_FAULT;
        store_vectors(xsave_out);
    }
    __asm__ volatile("cld");
    if (c->mode != 64)
        __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"((uint16_t)0x2b));
    current = NULL;
    collect_changes(c, (uint64_t *)h->memory);
}

static void define_segment(unsigned number, uint32_t base, unsigned contents)
{
    struct user_desc d = { .entry_number = number, .base_addr = base, .limit = 0xFFFF, .contents = contents, .useable = 1 };
    syscall(SYS_modify_ldt, 1, &d, sizeof d);
}

static void map(uint32_t address, size_t size, int protection)
{
    if (mmap((void *)(uintptr_t)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
        perror("oracle: mmap");
        exit(1);
    }
}

static void put_jump(uint32_t address, void (*to)(void))
{
    uint64_t target_of_jump = (uintptr_t)to;
    memcpy((void *)(uintptr_t)address, "\xFF\x25\0\0\0", 6);
    memcpy((void *)(uintptr_t)(address + 6), &target_of_jump, sizeof target_of_jump);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: oracle FILE CASES\n");
        return 2;
    }
    uint64_t capacity = strtoull(argv[2], NULL, 10);
    int file = open(argv[1], O_RDWR);
    struct header *h = mmap(NULL, VECTOR_OFFSET(capacity, capacity), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || h == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    map(WRITABLE, WRITABLE_SIZE + 0x1000, PROT_READ | PROT_WRITE);
    map(CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
    memset((void *)(uintptr_t)CODE, 0xCC, 0x1000);
    map(TRAMPOLINE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
    put_jump(TRAMPOLINE, leave64);
    put_jump(TRAMPOLINE_FAR, leave_far);
    define_segment(0, CODE, 2);
    define_segment(1, WINDOW, 0);
    syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, (unsigned long)WINDOW);

    /* Above 4 GiB, where a stack pointer of 32-bit code never seems to be in it. */
    void *alternate = mmap(NULL, ALTERNATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = ALTERNATE_SIZE }, NULL);
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
    int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP, SIGVTALRM };
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);

    setitimer(ITIMER_VIRTUAL, &(struct itimerval){ .it_interval = { 1, 0 }, .it_value = { 1, 0 } }, NULL);
    char byte;
    while (read(0, &byte, 1) == 1) {
        mprotect((void *)(uintptr_t)READ_ONLY, 0x1000, PROT_READ | PROT_WRITE);
        memcpy((void *)(uintptr_t)WRITABLE, h->memory, sizeof h->memory);
        mprotect((void *)(uintptr_t)READ_ONLY, 0x1000, PROT_READ);
        for (h->done = 0; h->done < h->count; h->done++) {
            uint8_t *c = (uint8_t *)h + CASES_OFFSET + (uint64_t)h->done * CASE_SIZE;
            run((struct test_case *)c, (uint8_t *)h + VECTOR_OFFSET(h->done, capacity), h);
        }
        if (write(1, &byte, 1) != 1)
            return 1;
    }
    return 0;
}
