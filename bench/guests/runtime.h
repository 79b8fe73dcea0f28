/* What a kernel runs on: the kernel of the host, or the bare machine. */
#pragma once

void put_character(char c);
void put_hexadecimal(unsigned long long value, int digits);
void __attribute__((noreturn)) leave(int status);

/* Marks a moment that is timed: a dot, which whoever reads it takes the time at, or the time itself in brackets, in hexadecimal. */
void mark(void);

/* Runs what a text such as "kernel=sha256 n=1000 passes=5" says: a mark before the first pass and one
   after each, then the sum of the checksums in hexadecimal. */
void run_command(const char *command);
