// Reads and writes a PCI BAR through sysfs, for tests that speak to a device without its driver.
//
//   pciio 0000:00:03.0 BAR OFFSET WIDTH          print the value (WIDTH 1, 2, 4 or 8 bytes; 8 on memory BARs only)
//   pciio 0000:00:03.0 BAR OFFSET WIDTH VALUE    write it
// Numbers are decimal or 0x hexadecimal. The device must be enabled first: echo 1 > /sys/bus/pci/devices/BDF/enable.
// Each access is exactly one access of that width on the bus.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "pciio: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: pciio DOMAIN:BUS:SLOT.FUNCTION BAR OFFSET WIDTH [VALUE]\n");
        return 2;
    }
    char path[200];
    unsigned long bar = strtoul(argv[2], NULL, 0), width = strtoul(argv[4], NULL, 0);
    uint64_t offset = strtoull(argv[3], NULL, 0), value = argc == 6 ? strtoull(argv[5], NULL, 0) : 0;
    if (bar > 5 || (width != 1 && width != 2 && width != 4 && width != 8) || offset % width != 0) {
        fprintf(stderr, "pciio: BAR must be 0 to 5, WIDTH 1, 2, 4 or 8, OFFSET a multiple of WIDTH\n");
        return 2;
    }

    // The flags of the resource tell an I/O BAR (IORESOURCE_IO, 0x100) from memory: sysfs does the port access itself.
    unsigned long long start, end, flags = 0;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource", argv[1]);
    FILE *resources = fopen(path, "r");
    if (resources == NULL) return fail(path);
    for (unsigned long i = 0; i <= bar; i++)
        if (fscanf(resources, "%llx %llx %llx", &start, &end, &flags) != 3) return fail(path);
    fclose(resources);
    if (flags == 0 || offset + width > end - start + 1) {
        fprintf(stderr, "pciio: %s has no BAR%lu at 0x%llx\n", argv[1], bar, (unsigned long long)offset);
        return 1;
    }

    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource%lu", argv[1], bar);
    int fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0) return fail(path);
    if (flags & 0x100) {
        ssize_t n = argc == 6 ? pwrite(fd, &value, width, (off_t)offset) : pread(fd, &value, width, (off_t)offset);
        if (n != (ssize_t)width) return fail(path);
    } else {
        // Whole pages are mapped, and a small BAR may begin anywhere in one.
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), place = start % page + offset, skip = place % page;
        volatile uint8_t *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(place - skip));
        if (map == MAP_FAILED) return fail(path);
        volatile void *at = map + skip;
        if (argc == 6) {
            switch (width) {
            case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
            case 2: *(volatile uint16_t *)at = (uint16_t)value; break;
            case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
            default: *(volatile uint64_t *)at = value; break;
            }
        } else {
            switch (width) {
            case 1: value = *(volatile uint8_t *)at; break;
            case 2: value = *(volatile uint16_t *)at; break;
            case 4: value = *(volatile uint32_t *)at; break;
            default: value = *(volatile uint64_t *)at; break;
            }
        }
    }
    if (argc == 5) printf("0x%0*llx\n", (int)(2 * width), (unsigned long long)value);
    return 0;
}
