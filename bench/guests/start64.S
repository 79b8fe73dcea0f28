# From multiboot's protected mode into long mode: paging (2 MiB pages, 1 GiB one to one, user pages), SSE, our own segments.
# Above the first GiB, one table of 4 KiB pages (window_table) for the operations that change page tables.
    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .code32
    .globl start
start:
    mov $stack_end, %esp
    movl $page_directory_pointers + 7, page_map
    movl $page_directory + 7, page_directory_pointers
    movl $window_directory + 7, page_directory_pointers + 8
    movl $window_table + 7, window_directory
    mov $page_directory, %edi
    mov $0x87, %eax                 # present, writable, user, 2 MiB
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    cmp $page_directory + 4096, %edi
    jne 1b

    mov %cr4, %eax
    or $0x620, %eax                 # PAE, OSFXSR, OSXMMEXCPT
    mov %eax, %cr4
    mov $page_map, %eax
    mov %eax, %cr3
    mov $0xC0000080, %ecx           # EFER
    rdmsr
    or $0x101, %eax                 # LME, SCE
    wrmsr
    mov %cr0, %eax
    and $~0xC, %eax                 # EM, TS
    or $0x80010022, %eax            # PG, WP, NE, MP
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $0x08, $2f

    .code64
2:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov $stack_end, %rsp
    mov $task_state, %rax           # its base, in three pieces
    mov %ax, gdt + 0x32
    shr $16, %rax
    mov %al, gdt + 0x34
    mov %ah, gdt + 0x37
    mov $0x30, %eax
    ltr %ax
    fninit
    mov %ebx, %edi
    call machine_main

    .data
    .balign 8
# 08 code, 10 data, 18 32-bit user code (unused, SYSRET counts from it), 20 user data, 28 user code, 30 task state.
gdt:
    .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF, 0x00AFFB000000FFFF
    .quad 0x0000890000000067, 0
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .balign 8
task_state:
    .long 0
    .quad interrupt_stack_end       # RSP0
    .skip 92

    .bss
    .balign 4096
    .globl window_table, window_directory
page_map:
    .skip 4096
page_directory_pointers:
    .skip 4096
page_directory:
    .skip 4096
window_directory:
    .skip 4096
window_table:
    .skip 4096
    .skip 65536
stack_end:
    .skip 16384
interrupt_stack_end:

    .section .note.GNU-stack, "", @progbits
