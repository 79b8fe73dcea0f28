/* A mix of what ordinary programs do: records, pointers, strings, small calls, switches, a two-dimensional array. */
#include "../kernels.h"

enum kind { FIRST, SECOND, THIRD, FOURTH };

struct record {
    struct record *next;
    enum kind kind;
    int number;
    char text[31];
};

static struct record one, other;
static int table[50], matrix[50][50];
static const char text_a[31] = "DHRYSTONE-LIKE MIX, FIRST TEXT", text_b[31] = "DHRYSTONE-LIKE MIX, OTHER TEXT";

static void __attribute__((noinline)) copy_text(char *to, const char *from)
{
    while ((*to++ = *from++) != 0)
        ;
}

static int __attribute__((noinline)) compare_text(const char *a, const char *b)
{
    while (*a != 0 && *a == *b)
        a++, b++;
    return *a - *b;
}

static enum kind __attribute__((noinline)) classify(enum kind kind, int number)
{
    switch (kind) {
    case FIRST: return number > 100 ? SECOND : FOURTH;
    case SECOND: return THIRD;
    case THIRD: return number & 1 ? FIRST : FOURTH;
    default: return FIRST;
    }
}

static void __attribute__((noinline)) fill(int row, int value)
{
    int at = row + 5;
    table[at] = value;
    table[at + 1] = table[at];
    table[at + 30] = at;
    for (int i = at; i <= at + 1; i++)
        matrix[at][i] = at;
    matrix[at][at - 1]++;
    matrix[at + 12][at] = table[at];
}

static void __attribute__((noinline)) advance(struct record *record)
{
    struct record *next = record->next;
    *next = *record;
    next->number = record->number + 5;
    next->kind = classify(record->kind, next->number);
    next->next = record;
    if (compare_text(next->text, text_b) > 0)
        copy_text(next->text, text_b);
}

u32 dhrystone(u32 n)
{
    u32 sum = 0;
    one.next = &other;
    other.next = &one;
    one.kind = FIRST;
    one.number = 7;
    for (u32 i = 0; i < n; i++) {
        copy_text(one.text, i & 1 ? text_a : text_b);
        advance(&one);
        fill((int)(i % 8), other.number);
        if (compare_text(one.text, other.text) != 0)
            sum += (u32)other.number;
        one.kind = other.kind;
        one.number = (other.number * 3 - (int)i) / 2 & 0x3ff;
        for (int c = 'A'; c <= 'C' + (int)(i & 3); c++)
            if (classify((enum kind)(c & 3), one.number) == THIRD)
                sum ^= (u32)matrix[c - 'A' + 5][6];
        sum += (u32)(one.kind + one.number);
    }
    return sum;
}
