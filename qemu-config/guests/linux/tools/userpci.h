// A PCI device driven by a program of its own: its first BAR, a page that it reaches by DMA, and its interrupts, in the best of three ways.
//
//   Messages  vfio-pci, where the kernel knows an IOMMU: MSI-X into eventfds; the IOMMU lets the device see the one page and nothing else.
//   Line      uio_pci_generic: INTA, which that driver masks in the COMMAND register and we unmask there (Linux's uio-howto).
//   Polled    no driver: the program looks into the page.
//
// Without vfio-pci the device gets the page's physical address (/proc/self/pagemap), which an IOMMU would refuse. Needs root. Every failure ends the program.
#ifndef USERPCI_H
#define USERPCI_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PageSize = 4096, MaxMessages = 4, VfioBus = 0x10000000 };

enum way { Polled, Line, Messages };

struct userpci {
    char address[32];
    enum way way;
    volatile uint8_t *registers; // NULL: through the device's file
    int device;                  // vfio's file of the device
    uint64_t offset;             // of the BAR in it
    volatile uint8_t *memory;    // the page
    uint64_t bus;                // its address as the device sees it
    unsigned signals;            // interrupts to wait for: 0 polled, 1 the line, MaxMessages
    int signal[MaxMessages];     // files that get readable
};

static void die(const char *what, const char *remedy)
{
    fprintf(stderr, "%s: %s: %s%s\n", program_invocation_short_name, what, strerror(errno), remedy);
    exit(1);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0) return -1;
    ssize_t n = write(fd, text, strlen(text));
    int problem = errno;
    close(fd);
    errno = problem;
    return n < 0 ? -1 : 0;
}

__attribute__((format(printf, 3, 4))) static const char *device_path(const struct userpci *d, char path[300], const char *format, ...)
{
    va_list values;
    int n = snprintf(path, 300, "/sys/bus/pci/devices/%s/", d->address);
    va_start(values, format);
    vsnprintf(path + n, 300 - (size_t)n, format, values);
    va_end(values);
    return path;
}

// ---- Registers. One call is one access of its width ----

static void no_access(const struct userpci *d) { die(d->address, "; the device does not answer"); }

static uint32_t get(const struct userpci *d, unsigned at, unsigned size)
{
    uint32_t value = 0;
    if (d->registers != NULL) return size == 2 ? *(volatile uint16_t *)(d->registers + at) : *(volatile uint32_t *)(d->registers + at);
    if (pread(d->device, &value, size, (off_t)(d->offset + at)) != (ssize_t)size) no_access(d);
    return value;
}

static void put(const struct userpci *d, unsigned at, uint32_t value, unsigned size)
{
    if (d->registers == NULL) {
        if (pwrite(d->device, &value, size, (off_t)(d->offset + at)) != (ssize_t)size) no_access(d);
    } else if (size == 2) {
        *(volatile uint16_t *)(d->registers + at) = (uint16_t)value;
    } else {
        *(volatile uint32_t *)(d->registers + at) = value;
    }
}

// ---- Memory that the device reads and writes. What hands an entry over is read first and written last ----

static uint32_t load(const struct userpci *d, unsigned at) { return __atomic_load_n((volatile uint32_t *)(d->memory + at), __ATOMIC_ACQUIRE); }
static void store(const struct userpci *d, unsigned at, uint32_t value)
{
    __atomic_store_n((volatile uint32_t *)(d->memory + at), value, __ATOMIC_RELEASE);
}

// The physical address of a page of ours.
static uint64_t physical(volatile void *page)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    if (fd < 0 || pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)page / PageSize * sizeof entry)) != sizeof entry) die("/proc/self/pagemap", "");
    close(fd);
    uint64_t address = (entry & ((1ULL << 55) - 1)) * PageSize;
    if (!(entry >> 63) || address == 0) { errno = EPERM; die("/proc/self/pagemap", "; run this as root"); }
    if (address >> 32) { errno = ERANGE; die("a locked page", "; a device may reach 4 GiB only: give the guest less memory"); }
    return address;
}

// ---- The kernel's driver of the device ----

// Gives the device to a driver, or with NULL to none. Whether it has it: not where the kernel lacks the driver, or the driver refuses.
static int bind_driver(const struct userpci *d, const char *driver)
{
    char path[300], now[300];
    ssize_t n = readlink(device_path(d, path, "driver"), now, sizeof now - 1);
    now[n < 0 ? 0 : n] = 0;
    const char *has = n < 0 ? NULL : strrchr(now, '/') + 1;
    if (driver != NULL) {
        snprintf(path, sizeof path, "/sys/bus/pci/drivers/%s", driver);
        if (access(path, F_OK) < 0) return 0;
        if (has != NULL && strcmp(has, driver) == 0) return 1;
    }
    // A newline lets any driver have it again.
    if (write_file(device_path(d, path, "driver_override"), driver != NULL ? driver : "\n") < 0) die(path, "; run this as root");
    if (has != NULL && write_file(device_path(d, path, "driver/unbind"), d->address) < 0) die(path, "");
    if (driver == NULL) return 1;
    if (write_file("/sys/bus/pci/drivers_probe", d->address) < 0) die("/sys/bus/pci/drivers_probe", "");
    return access(device_path(d, path, "driver"), F_OK) == 0;
}

// Memory space and bus mastering in the COMMAND register, which the drivers leave to us. The configuration space begins at an offset of a file.
static void enable_memory(int fd, uint64_t config, const char *what)
{
    uint16_t command;
    if (pread(fd, &command, 2, (off_t)config + 4) != 2) die(what, "");
    command |= 6;
    if (pwrite(fd, &command, 2, (off_t)config + 4) != 2) die(what, "");
}

// ---- vfio-pci (Linux's vfio.rst) ----

// The device's IOMMU group, opened, or -1 where there is no IOMMU or no vfio-pci.
static int open_group(const struct userpci *d)
{
    char path[300], group[300], node[300];
    ssize_t n = readlink(device_path(d, path, "iommu_group"), group, sizeof group - 1);
    if (n < 0 || !bind_driver(d, "vfio-pci")) return -1;
    group[n] = 0;
    snprintf(node, sizeof node, "/dev/vfio/%s", strrchr(group, '/') + 1);
    int fd = open(node, O_RDWR | O_CLOEXEC);
    if (fd < 0) die(node, "; something else has the device or its group");
    return fd;
}

static void map_messages(struct userpci *d)
{
    struct { struct vfio_irq_set set; int fds[MaxMessages]; } vectors = { .set = {
        .argsz = sizeof vectors, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = MaxMessages } };
    for (d->signals = 0; d->signals < MaxMessages; d->signals++) {
        vectors.fds[d->signals] = d->signal[d->signals] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (d->signal[d->signals] < 0) die("eventfd", "");
    }
    if (ioctl(d->device, VFIO_DEVICE_SET_IRQS, &vectors) < 0) die(d->address, "; it has too few MSI-X messages");
}

static int open_vfio(struct userpci *d)
{
    int group = open_group(d);
    if (group < 0) return 0;
    int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (container < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0 || ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0)
        die("/dev/vfio/vfio", "; load vfio_iommu_type1");
    struct vfio_iommu_type1_dma_map map = { .argsz = sizeof map, .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)d->memory, .iova = VfioBus, .size = PageSize };
    if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0) die("mapping a page for the device", "");
    d->bus = VfioBus;
    d->device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, d->address);
    if (d->device < 0) die(d->address, "; vfio-pci does not have it");

    struct vfio_region_info bar = { .argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX },
                           config = { .argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX };
    if (ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &bar) < 0 || ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &config) < 0) die(d->address, "");
    d->offset = bar.offset;
    // A BAR smaller than a page shares it with others, and stays behind the file.
    if (bar.flags & VFIO_REGION_INFO_FLAG_MMAP && bar.size >= PageSize) {
        void *page = mmap(NULL, PageSize, PROT_READ | PROT_WRITE, MAP_SHARED, d->device, (off_t)bar.offset);
        if (page != MAP_FAILED) d->registers = page;
    }
    enable_memory(d->device, config.offset, d->address);
    map_messages(d);
    return 1;
}

// ---- uio_pci_generic, sysfs ----

// Clears Interrupt Disable, which uio_pci_generic set when the line rose.
static void unmask(const struct userpci *d)
{
    char path[300];
    uint8_t high;
    int fd = open(device_path(d, path, "config"), O_RDWR);
    if (fd < 0 || pread(fd, &high, 1, 5) != 1) die(path, "");
    high &= (uint8_t)~4;
    if (pwrite(fd, &high, 1, 5) != 1) die(path, "");
    close(fd);
}

static int open_uio(struct userpci *d)
{
    char text[300];
    if (!bind_driver(d, "uio_pci_generic")) return 0;
    DIR *folder = opendir(device_path(d, text, "uio"));
    if (folder == NULL) return 0;
    int fd = -1;
    for (struct dirent *e; fd < 0 && (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, "uio", 3) != 0) continue;
        snprintf(text, sizeof text, "/dev/%s", e->d_name);
        fd = open(text, O_RDWR | O_CLOEXEC);
    }
    closedir(folder);
    if (fd < 0) return 0;
    d->signal[0] = fd;
    d->signals = 1;
    return 1;
}

static void open_sysfs(struct userpci *d)
{
    char path[300];
    unsigned long long start;
    if (d->way == Polled) {
        bind_driver(d, NULL);
        if (write_file(device_path(d, path, "enable"), "1") < 0) die(path, "; run this as root");
    }
    int fd = open(device_path(d, path, "config"), O_RDWR);
    if (fd < 0) die(path, "");
    enable_memory(fd, 0, path);
    close(fd);

    FILE *resources = fopen(device_path(d, path, "resource"), "r");
    if (resources == NULL || fscanf(resources, "%llx", &start) != 1) die(path, "");
    fclose(resources);
    fd = open(device_path(d, path, "resource0"), O_RDWR | O_SYNC);
    if (fd < 0) die(path, "; run this as root");
    volatile uint8_t *page = mmap(NULL, PageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) die(path, "");
    close(fd);
    d->registers = page + start % PageSize; // a small BAR may begin anywhere in a page, and whole pages are mapped
    d->bus = physical(d->memory);
}

// ---- All of them ----

// Opens the device at d->address, in the best way there is up to the one asked for.
static void open_device(struct userpci *d, enum way best)
{
    void *page = mmap(NULL, PageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (page == MAP_FAILED || mlock(page, PageSize) < 0) die("a locked page", "");
    memset(page, 0, PageSize);
    d->memory = page;
    d->way = Messages;
    if (best == Messages && open_vfio(d)) return;
    d->way = best >= Line && open_uio(d) ? Line : Polled;
    open_sysfs(d);
}

// The device may interrupt.
static void begin_interrupts(const struct userpci *d)
{
    if (d->way == Line) unmask(d);
}

// Takes the interrupts that wait in d->signal[i]: how many they were.
static unsigned take_signal(const struct userpci *d, unsigned i)
{
    if (d->way == Messages) {
        uint64_t count = 0;
        if (read(d->signal[i], &count, sizeof count) != sizeof count) die("reading an eventfd", "");
        return (unsigned)count;
    }
    uint32_t total;
    if (read(d->signal[i], &total, sizeof total) != sizeof total) die("reading from uio", "");
    return 1;
}

// What take_signal gave is handled.
static void end_signal(const struct userpci *d)
{
    if (d->way == Line) unmask(d);
}

#endif
