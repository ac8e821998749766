/*
 * The code of the interpreter's benchmark: one function without data or calls, so that its bytes run wherever they lie. Built alone, its
 * machine code is what the driver bench interprets; built with -DRIVAL, a program that runs those same bytes on the processor:
 *   rival CODE CALLS   prints nanoseconds a call
 */
#ifndef RIVAL
/* What drivers do: loads, stores, compares, shifts, loops over a buffer. */
__attribute__((ms_abi, section(".text.work"))) unsigned long long work(unsigned char *buffer, unsigned long long length)
{
    unsigned long long sum = 1469598103934665603ull;
    unsigned round, i;

    for (round = 0; round < 16; round++) {
        for (i = 0; i + 1 < length; i++) {
            unsigned char a = buffer[i], b = buffer[i + 1];

            if (a > b) {
                buffer[i] = b;
                buffer[i + 1] = a;
            }
            sum = (sum ^ buffer[i]) * 1099511628211ull;
            if (sum & 1) sum += (unsigned long long)a << (b & 15);
        }
        buffer[round] ^= (unsigned char)sum;
    }
    return sum;
}
#else
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    int file = count == 3 ? open(arguments[1], O_RDONLY) : -1, calls = count == 3 ? atoi(arguments[2]) : 0, i;
    void *code = file < 0 ? MAP_FAILED : mmap(0, 65536, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    unsigned long long __attribute__((ms_abi)) (*work)(unsigned char *, unsigned long long) = code;
    static unsigned char buffer[4096];
    struct timespec begin, end;

    if (code == MAP_FAILED || calls < 1) return 2;
    for (i = 0; i < (int)sizeof buffer; i++) buffer[i] = (unsigned char)(i * 7);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (i = 0; i < calls; i++) work(buffer, sizeof buffer);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.1f\n", ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / calls);
    return 0;
}
#endif
