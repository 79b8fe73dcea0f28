/* A stack machine with a computed jump an operation. A unit is a loop of 256 turns, ten operations each. */
#include "../kernels.h"

enum { PUSH, LOAD, STORE, ADD, SUB, XOR, SHIFT, JUMP_IF, END };

static const u8 program[] = {
    LOAD, 0, LOAD, 1, ADD, PUSH, 3, SHIFT, LOAD, 0, XOR, STORE, 0, /* a = (a + i) rotated by 3 ^ a */
    LOAD, 1, PUSH, 1, SUB, STORE, 1,                               /* i = i - 1 */
    LOAD, 1, JUMP_IF, 0,
    END,
};

static u32 __attribute__((noinline)) execute(const u8 *code, u32 variables[2])
{
    static const void *const operations[] = {&&push, &&load, &&store, &&add, &&sub, &&xor, &&shift, &&jump_if, &&end};
    u32 stack[16], *top = stack;
    const u8 *at = code;
#define NEXT goto *operations[*at++]
    NEXT;
push:
    *top++ = *at++;
    NEXT;
load:
    *top++ = variables[*at++];
    NEXT;
store:
    variables[*at++] = *--top;
    NEXT;
add:
    top--;
    top[-1] += *top;
    NEXT;
sub:
    top--;
    top[-1] -= *top;
    NEXT;
xor:
    top--;
    top[-1] ^= *top;
    NEXT;
shift:
    top--;
    top[-1] = top[-1] << (*top & 31) | top[-1] >> (-*top & 31);
    NEXT;
jump_if:
    at = *--top != 0 ? code + *at : at + 1;
    NEXT;
end:
    return variables[0];
#undef NEXT
}

u32 bytecode(u32 n)
{
    u32 variables[2] = {1, 0};
    for (u32 i = 0; i < n; i++) {
        variables[1] = 256;
        execute(program, variables);
    }
    return variables[0];
}
