# Handlers and loops of the system operations that C cannot express.
    .text
    .globl divide_error, page_fault, user_interrupt, user_exit, system_call_entry, empty_function, other_function
    .globl call_loop, user_interrupt_loop, system_call_loop, run_in_user_mode

# Goes on behind the division, which is "div ecx": two bytes.
divide_error:
    addq $2, (%rsp)
    iretq

page_fault:
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    mov %cr2, %rdi
    cld
    call map_page
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp                    # the error code
    iretq

user_interrupt:
    iretq

system_call_entry:
    sysretq

empty_function:
    ret
other_function:
    ret

# edi: how often
    .balign 16
call_loop:
    call empty_function
    dec %edi
    jnz call_loop
    ret

    .balign 16
user_interrupt_loop:
    int $0x80
    dec %edi
    jnz user_interrupt_loop
    int $0x81

    .balign 16
system_call_loop:
    syscall
    dec %edi
    jnz system_call_loop
    int $0x81

# A thousand instructions, to be copied to where they are executed. rdi: sixteen bytes of data; returns a number.
    .globl thousand_instructions, thousand_instructions_end
    .balign 8
thousand_instructions:
    .rept 100
    mov (%rdi), %eax
    add $0x1234, %eax
    mov %eax, %ecx
    shl $3, %ecx
    xor %ecx, %eax
    lea 8(%rax, %rcx, 2), %edx
    cmp %edx, %eax
    je 1f
    mov %edx, 8(%rdi)
1:  inc %esi
    .endr
    ret
    .balign 8
thousand_instructions_end:

# rdi: the loop, esi: how often. Comes back when the loop has left by interrupt 0x81.
run_in_user_mode:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, kernel_stack
    mov %rdi, %rax
    mov %esi, %edi
    pushq $0x23
    pushq $user_stack_end
    pushq $2                        # RFLAGS
    pushq $0x2B
    push %rax
    iretq

user_exit:
    mov kernel_stack, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .bss
    .balign 16
kernel_stack:
    .skip 16
    .skip 4096
user_stack_end:

    .section .note.GNU-stack, "", @progbits
