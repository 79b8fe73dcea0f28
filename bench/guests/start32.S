# From multiboot's protected mode to the same with segments of our own, paging (4 MiB pages, one to one) and SSE.
    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .code32
    .globl start
start:
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov $stack_end, %esp

    mov $page_directory, %edi
    mov $0x83, %eax                 # present, writable, 4 MiB
2:  mov %eax, (%edi)
    add $0x400000, %eax
    add $4, %edi
    cmp $page_directory + 4096, %edi
    jne 2b
    mov %cr4, %eax
    or $0x610, %eax                 # PSE, OSFXSR, OSXMMEXCPT
    mov %eax, %cr4
    mov $page_directory, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    and $~0xC, %eax                 # EM, TS
    or $0x80010022, %eax            # PG, WP, NE, MP
    mov %eax, %cr0
    fninit

    sub $12, %esp
    push %ebx
    call machine_main

    .data
    .balign 8
gdt:
    .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .bss
    .balign 4096
page_directory:
    .skip 4096
    .skip 65536
stack_end:

    .section .note.GNU-stack, "", @progbits
