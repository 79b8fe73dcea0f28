/* The kernels on a bare PC: the first serial port, and isa-debug-exit. */
#include "machine.h"
#include "runtime.h"

enum { COM1 = 0x3f8, LINE_STATUS = COM1 + 5, TRANSMITTER_IDLE = 0x60, DEBUG_EXIT = 0xf4 };

void put_character(char c)
{
    while ((port_in(LINE_STATUS) & TRANSMITTER_IDLE) != TRANSMITTER_IDLE)
        ;
    port_out(COM1, (unsigned char)c);
}

void mark(void) { put_character('.'); }

void leave(int status)
{
    /* The last character is to get out. */
    while ((port_in(LINE_STATUS) & TRANSMITTER_IDLE) != TRANSMITTER_IDLE)
        ;
    port_out(DEBUG_EXIT, (unsigned char)status);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* Called with the address of the multiboot information. */
void machine_main(const unsigned *information)
{
    run_command(information[0] & 1 << 2 ? (const char *)(unsigned long)information[4] : "");
    leave(0);
}
