/* Loads that each wait for the one before, in random order, through what fits the first-level cache and what does not. */
#include "../kernels.h"

enum { LINE = 64, SMALL = 16 << 10, LARGE = 4 << 20 };

struct node {
    struct node *next;
    u32 value;
    char rest[LINE - sizeof(void *) - sizeof(u32)];
};

static struct node small[SMALL / LINE], large[LARGE / LINE];
static u32 order[LARGE / LINE];

/* One cycle through all nodes. */
static void link(struct node *nodes, u32 count)
{
    u64 state = 1;
    for (u32 i = 0; i < count; i++)
        order[i] = i;
    for (u32 i = count - 1; i > 0; i--) {
        u32 j = next_random(&state) % (i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (u32 i = 0; i < count; i++) {
        nodes[order[i]].next = &nodes[order[(i + 1) % count]];
        nodes[order[i]].value = i;
    }
}

void chase16k_prepare(void) { link(small, SMALL / LINE); }
void chase4m_prepare(void) { link(large, LARGE / LINE); }

static u32 walk(const struct node *node, u32 steps)
{
    u32 sum = 0;
    while (steps-- != 0) {
        sum += node->value;
        node = node->next;
    }
    return sum;
}

u32 chase16k(u32 n) { return walk(small, n * 1024); }
u32 chase4m(u32 n) { return walk(large, n * 1024); }
