// Drives the toy robots from user space, without a driver of their own: registers through the BARs that sysfs maps, programs of moves
// that the robots fetch from this program's memory by DMA, interrupts through uio_pci_generic.
//
//   robotdrive [--poll]
//
// Every Proseware robot (1234:5057) draws a house in one stroke, and the sun; every Contoso robot (1234:434f) fetches the three objects of
// its arena with its gripper and puts them down as a pyramid. All of them drive at once.
// Interrupts are the line (INTA): uio_pci_generic masks it in the COMMAND register and wakes us; we unmask it there. Where that driver is not
// loaded, or with --poll, the program looks into its own memory for completions instead; the first line about a robot says which.
// Needs root, and no IOMMU: a robot is given the physical address of a locked page (/proc/self/pagemap).
// Exit code: 0 every robot did it, 1 one did not or something failed, 2 there is no robot.
// Registers and layouts: devicemodels/DeviceModels.Robot/Proseware/proseware.md and Contoso/contoso.md.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MaxRobots = 8, MaxMoves = 31, PageSize = 4096, PatienceSeconds = 120, PollMilliseconds = 10, AnswerMilliseconds = 2000 };
// Where things are in a robot's page.
enum { Program = 0, Completions = 0x400, Telemetry = 0x800, QueueEntries = 8 };

struct move { const char *name; uint8_t opcode; int32_t first, second; };

struct robot;
struct model {
    const char *name;
    unsigned device;
    const struct move *moves;
    unsigned count;
    void (*start)(struct robot *);
    void (*acknowledge)(struct robot *);
    void (*collect)(struct robot *);
    int (*check)(struct robot *);
};

struct robot {
    const struct model *model;
    char address[32];
    volatile uint8_t *registers;
    volatile uint8_t *memory;
    uint64_t bus;          // the page's address as the robot sees it
    int uio;               // -1 when polled
    unsigned interrupts, done, refused;
    unsigned phase, head;  // Proseware's completion queue
};

static void say(const struct robot *r, const char *format, ...)
{
    va_list values;
    printf("%s %s: ", r->model->name, r->address);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
}

static void die(const char *what, const char *remedy)
{
    fprintf(stderr, "robotdrive: %s: %s%s\n", what, strerror(errno), remedy);
    exit(1);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void pause_for(int ms) { poll(NULL, 0, ms); }

static uint16_t get16(const struct robot *r, unsigned at) { return *(volatile uint16_t *)(r->registers + at); }
static uint32_t get32(const struct robot *r, unsigned at) { return *(volatile uint32_t *)(r->registers + at); }
static void put16(struct robot *r, unsigned at, uint16_t value) { *(volatile uint16_t *)(r->registers + at) = value; }
static void put32(struct robot *r, unsigned at, uint32_t value) { *(volatile uint32_t *)(r->registers + at) = value; }

// Memory that a robot writes. What hands an entry over is read first and written last.
static uint32_t load(const struct robot *r, unsigned at) { return __atomic_load_n((volatile uint32_t *)(r->memory + at), __ATOMIC_ACQUIRE); }
static void store(struct robot *r, unsigned at, uint32_t value) { __atomic_store_n((volatile uint32_t *)(r->memory + at), value, __ATOMIC_RELEASE); }

// ---- Proseware: a ring of descriptors and a completion queue, in millimetres and tenths of a degree ----

enum {
    P_ID = 0x000, P_VERSION = 0x004, P_CONTROL = 0x010, P_INTSTS = 0x018, P_INTEN = 0x01c, P_FAULTS = 0x020, P_SENSEVT = 0x024,
    P_ODO_L = 0x060, P_ODO_R = 0x064, P_HEADING = 0x068, P_RING_BASE = 0x100, P_RING_SIZE = 0x108, P_RING_TAIL = 0x110,
    P_CQ_BASE = 0x118, P_CQ_SIZE = 0x120, P_CQ_HEAD = 0x124, P_RING_CTRL = 0x128, P_RING_STATUS = 0x12c, P_TELE_BASE = 0x130, P_TELE_PERIOD = 0x138,
};
enum { P_DRIVE = 1, P_TURN, P_VELOCITY, P_STOP, P_PEN, P_LED, P_WAIT };

// A house drawn without lifting the pen: sides of 280 mm, diagonals of 396 mm, a roof of twice 198 mm. Then, 500 mm from it, the sun: wheels
// that differ by 360 mm/s go round once in two seconds.
static const struct move picture[] = {
    { "LED red", P_LED, 0xc2261b, 0 }, { "PEN down", P_PEN, 1, 0 },
    { "floor", P_DRIVE, 280, 500 }, { "TURN", P_TURN, 900, 500 }, { "right wall", P_DRIVE, 280, 500 }, { "TURN", P_TURN, 900, 500 },
    { "ceiling", P_DRIVE, 280, 500 }, { "TURN", P_TURN, -1350, 500 }, { "left roof", P_DRIVE, 198, 500 }, { "TURN", P_TURN, -900, 500 },
    { "right roof", P_DRIVE, 198, 500 }, { "TURN", P_TURN, -900, 500 }, { "diagonal", P_DRIVE, 396, 500 }, { "TURN", P_TURN, -1350, 500 },
    { "left wall", P_DRIVE, 280, 500 }, { "TURN", P_TURN, -1350, 500 }, { "diagonal", P_DRIVE, 396, 500 }, { "PEN up", P_PEN, 0, 0 },
    { "TURN", P_TURN, 900, 500 }, { "DRIVE", P_DRIVE, 500, 500 }, { "LED yellow", P_LED, 0xf5c211, 0 }, { "PEN down", P_PEN, 1, 0 },
    { "sun", P_VELOCITY, 140, 500 }, { "WAIT", P_WAIT, 2000, 0 }, { "STOP", P_STOP, 0, 0 }, { "PEN up", P_PEN, 0, 0 },
    { "TURN", P_TURN, -1350, 500 }, { "DRIVE", P_DRIVE, 300, 500 },
};

static void proseware_start(struct robot *r)
{
    if (get32(r, P_ID) != 0x42525750) { errno = ENODEV; die("Proseware's ID register", "; is memory decode on?"); }
    put32(r, P_CONTROL, 1 << 8);
    get32(r, P_CONTROL);
    uint32_t version = get32(r, P_VERSION);
    say(r, "firmware %u.%u.%u, %s", version >> 24, version >> 16 & 255, version & 0xffff, r->uio < 0 ? "polled" : "interrupts (INTA, uio_pci_generic)");
    put32(r, P_FAULTS, ~0u);
    put32(r, P_SENSEVT, ~0u);
    put32(r, P_INTSTS, ~0u);
    put32(r, P_INTEN, r->uio < 0 ? 0 : 0xf);
    put32(r, P_CONTROL, 3);
    put32(r, P_RING_BASE, (uint32_t)(r->bus + Program));
    put32(r, P_RING_BASE + 4, (uint32_t)(r->bus >> 32));
    put32(r, P_RING_SIZE, MaxMoves + 1);
    put32(r, P_CQ_BASE, (uint32_t)(r->bus + Completions));
    put32(r, P_CQ_BASE + 4, (uint32_t)(r->bus >> 32));
    put32(r, P_CQ_SIZE, QueueEntries);
    put32(r, P_TELE_BASE, (uint32_t)(r->bus + Telemetry));
    put32(r, P_TELE_BASE + 4, (uint32_t)(r->bus >> 32));
    put32(r, P_TELE_PERIOD, 50);
    put32(r, P_RING_CTRL, 1);
    for (unsigned i = 0; i < r->model->count; i++) {
        const struct move *m = &r->model->moves[i];
        unsigned at = Program + i * 16;
        store(r, at + 4, (uint32_t)m->first);
        store(r, at + 8, (uint32_t)m->second);
        store(r, at + 12, 0);
        store(r, at, m->opcode | 1u << 8 | (i + 1) << 16);
    }
    r->phase = 1;
    put32(r, P_RING_TAIL, r->model->count);
}

// Clear first, then look. The first access has to be the one that lowers the line: under TCG, QEMU takes it for the end of the interrupt,
// asks the robot again, and a line that is still up then would be seen by the guest after the robot has let go of it.
static void proseware_acknowledge(struct robot *r)
{
    put32(r, P_INTSTS, 0xf);
    uint32_t faults = get32(r, P_FAULTS);
    if (faults) say(r, "FAULTS 0x%x, RING_STATUS 0x%x", faults, get32(r, P_RING_STATUS));
}

static void proseware_collect(struct robot *r)
{
    for (;;) {
        unsigned at = Completions + r->head * 16;
        uint32_t last = load(r, at + 12);
        if (last >> 31 != r->phase) break;
        unsigned tag = last & 0xffff, result = last >> 16 & 255;
        const char *name = tag >= 1 && tag <= r->model->count ? r->model->moves[tag - 1].name : "?";
        if (result != 1 || tag != r->done + 1) {
            unsigned heading = load(r, at + 8) & 0xffff;
            r->refused++;
            say(r, "command %u (%s) FAILED with result %u at heading %u.%u", tag, name, result, heading / 10, heading % 10);
        }
        r->done++;
        r->head = (r->head + 1) % QueueEntries;
        if (r->head == 0) r->phase ^= 1;
        put32(r, P_CQ_HEAD, r->head);
    }
}

static int near(int value, int expected) { return abs(value - expected) <= 1; }

static int proseware_check(struct robot *r)
{
    // Micrometres. A degree turned is a millimetre a wheel.
    int left = 0, right = 0, velocities[2] = { 0, 0 };
    for (const struct move *m = r->model->moves; m < r->model->moves + r->model->count; m++) {
        if (m->opcode == P_DRIVE || m->opcode == P_TURN) {
            left += m->opcode == P_DRIVE ? m->first * 1000 : -m->first * 100;
            right += m->opcode == P_DRIVE ? m->first * 1000 : m->first * 100;
        } else if (m->opcode == P_VELOCITY) {
            velocities[0] = m->first;
            velocities[1] = m->second;
        } else if (m->opcode == P_WAIT) {
            left += velocities[0] * m->first;
            right += velocities[1] * m->first;
        }
    }
    int turned = (right - left) / 200 % 3600, facing = turned < 0 ? turned + 3600 : turned;
    int odometers[2] = { (int)get32(r, P_ODO_L), (int)get32(r, P_ODO_R) }, heading = (int)get32(r, P_HEADING);
    int good = near(odometers[0], left / 1000) && near(odometers[1], right / 1000) && heading == facing;
    say(r, "wheels %d and %d mm, expected %d and %d; heading %d.%d degrees, expected %d.%d", odometers[0], odometers[1], left / 1000, right / 1000,
        heading / 10, heading % 10, facing / 10, facing % 10);

    // The last block comes when the ring has ended, a moment after its last completion.
    int64_t until = milliseconds() + AnswerMilliseconds;
    int told = 0;
    do {
        uint32_t number = load(r, Telemetry);
        int l = (int)load(r, Telemetry + 8), rr = (int)load(r, Telemetry + 12);
        told = number % 2 == 0 && l == odometers[0] && rr == odometers[1] && load(r, Telemetry) == number;
        if (!told) pause_for(PollMilliseconds);
    } while (!told && milliseconds() < until);
    say(r, "telemetry block %u %s", load(r, Telemetry) / 2, told ? "says the same" : "DIFFERS");
    // Clearing RUN counts as an error and interrupts: nobody waits for that.
    put32(r, P_INTEN, 0);
    put32(r, P_TELE_PERIOD, 0);
    put32(r, P_RING_CTRL, 0);
    return good && told;
}

// ---- Contoso: a linked list of descriptors that come back, in encoder ticks of 0.25 mm ----

enum {
    C_CHIPID = 0x00, C_FWREV = 0x02, C_CAUSE = 0x04, C_MASK = 0x06, C_STATE = 0x08, C_ERROR = 0x0a, C_MODE = 0x0c, C_INDEX = 0x10, C_WINDOW = 0x12,
    C_LISTLO = 0x18, C_LISTHI = 0x1a, C_DOORBELL = 0x1c, C_LISTST = 0x1e, C_LATCH = 0x20,
    C_ENC = 0x10, C_HEADING = 0x14, C_EVENTS = 0x25, C_TELE = 0x50, C_TELEPER = 0x52, AutoIncrement = 0x8000,
};
enum { C_MOVE = 0x10, C_TURN = 0x11, C_GRIP = 0x20, C_LIGHT = 0x28 };

// From the start the objects are 300 mm ahead; 900 mm ahead and 250 mm to the right; 100 mm ahead and 450 mm to the left. The gripper
// reaches 100 mm ahead of the centre, and what it holds turns with the robot.
static const struct move pyramid[] = {
    { "LIGHT", C_LIGHT, 0x07e0, 0 },
    { "MOVE", C_MOVE, 800, 2000 }, { "GRIP close", C_GRIP, 1, 0 }, { "MOVE", C_MOVE, 2400, 2000 }, { "GRIP open", C_GRIP, 0, 0 },
    { "MOVE back", C_MOVE, -400, 2000 }, { "TURN", C_TURN, -0x4000, 2000 }, { "MOVE", C_MOVE, 1000, 2000 }, { "TURN", C_TURN, 0x4000, 2000 },
    { "MOVE", C_MOVE, 400, 2000 }, { "GRIP close", C_GRIP, 1, 0 }, { "TURN", C_TURN, 0x4000, 2000 }, { "MOVE", C_MOVE, 600, 2000 },
    { "GRIP open", C_GRIP, 0, 0 }, { "MOVE back", C_MOVE, -600, 2000 }, { "TURN", C_TURN, 0x4000, 2000 }, { "MOVE", C_MOVE, 2800, 2000 },
    { "TURN", C_TURN, -0x4000, 2000 }, { "MOVE", C_MOVE, 2400, 2000 }, { "GRIP close", C_GRIP, 1, 0 }, { "TURN", C_TURN, -0x4000, 2000 },
    { "MOVE", C_MOVE, 3000, 2000 }, { "TURN", C_TURN, -0x4000, 2000 }, { "MOVE", C_MOVE, 600, 2000 }, { "GRIP open", C_GRIP, 0, 0 },
    { "MOVE back", C_MOVE, -800, 2000 },
};

static void contoso_start(struct robot *r)
{
    if (get16(r, C_CHIPID) != 0x4f43) { errno = ENODEV; die("Contoso's CHIPID register", "; is memory decode on?"); }
    put16(r, C_MODE, 0x8000);
    get16(r, C_MODE);
    uint16_t version = get16(r, C_FWREV);
    say(r, "firmware %x.%02x, %s", version >> 8, version & 255, r->uio < 0 ? "polled" : "interrupts (INTA, uio_pci_generic)");
    get16(r, C_ERROR);
    put16(r, C_INDEX, C_EVENTS);
    get16(r, C_WINDOW);
    get16(r, C_CAUSE);
    put16(r, C_MASK, r->uio < 0 ? 0 : 0xf);
    put16(r, C_MODE, 3);
    put16(r, C_INDEX, C_TELE | AutoIncrement);
    put16(r, C_WINDOW, (uint16_t)(r->bus + Telemetry));
    put16(r, C_WINDOW, (uint16_t)((r->bus + Telemetry) >> 16));
    put16(r, C_WINDOW, 5);
    for (unsigned i = 0; i < r->model->count; i++) {
        const struct move *m = &r->model->moves[i];
        unsigned at = Program + i * 32;
        store(r, at + 4, i + 1 < r->model->count ? (uint32_t)r->bus + at + 32 : 0);
        store(r, at + 8, (uint16_t)m->first | (uint32_t)m->second << 16);
        store(r, at + 0x1c, i + 1);
        store(r, at, m->opcode | 1u << 29 | 1u << 31);
    }
    put16(r, C_LISTLO, (uint16_t)r->bus);
    put16(r, C_LISTHI, (uint16_t)(r->bus >> 16));
    put16(r, C_DOORBELL, 1);
}

static void contoso_acknowledge(struct robot *r)
{
    uint16_t cause = get16(r, C_CAUSE); // cleared, and the line is down
    if (cause & 1) say(r, "ERROR 0x%x, LISTST 0x%x", get16(r, C_ERROR), get16(r, C_LISTST));
}

static void contoso_collect(struct robot *r)
{
    for (uint32_t control; r->done < r->model->count && !((control = load(r, Program + r->done * 32)) >> 31); r->done++) {
        unsigned at = Program + r->done * 32, result = control >> 8 & 255;
        if (result == 1 && load(r, at + 0x1c) == r->done + 1) continue;
        r->refused++;
        say(r, "command %u (%s) FAILED with result 0x%x, encoders %d and %d", r->done + 1, r->model->moves[r->done].name, result,
            (int)load(r, at + 0x10), (int)load(r, at + 0x14));
    }
}

static int contoso_check(struct robot *r)
{
    // A circle is 1440 ticks a wheel.
    int expected[2] = { 0, 0 };
    uint16_t facing = 0;
    for (const struct move *m = r->model->moves; m < r->model->moves + r->model->count; m++) {
        if (m->opcode != C_MOVE && m->opcode != C_TURN) continue;
        expected[0] += m->opcode == C_MOVE ? m->first : -m->first * 1440 / 65536;
        expected[1] += m->opcode == C_MOVE ? m->first : m->first * 1440 / 65536;
        if (m->opcode == C_TURN) facing = (uint16_t)(facing + m->first);
    }
    uint16_t words[5];
    put16(r, C_LATCH, 1);
    put16(r, C_INDEX, C_ENC | AutoIncrement);
    for (int i = 0; i < 5; i++) words[i] = get16(r, C_WINDOW);
    int left = (int)(words[0] | (uint32_t)words[1] << 16), right = (int)(words[2] | (uint32_t)words[3] << 16);
    int good = near(left, expected[0]) && near(right, expected[1]) && words[4] == facing && !(get16(r, C_STATE) & 0x30);
    say(r, "encoders %d and %d, expected %d and %d; heading %u, expected %u; gripper %s", left, right, expected[0], expected[1], words[4], facing,
        get16(r, C_STATE) & 0x30 ? "NOT OPEN" : "open");

    int64_t until = milliseconds() + AnswerMilliseconds;
    int told = 0;
    do {
        uint32_t number = load(r, Telemetry + 0x3c);
        unsigned slot = Telemetry + (number & 1) * 0x20;
        told = (int)load(r, slot) == left && (int)load(r, slot + 4) == right && load(r, Telemetry + 0x3c) == number;
        if (!told) pause_for(PollMilliseconds);
    } while (!told && milliseconds() < until);
    say(r, "telemetry record %u %s", load(r, Telemetry + 0x3c), told ? "says the same" : "DIFFERS");
    put16(r, C_INDEX, C_TELEPER);
    put16(r, C_WINDOW, 0);
    put16(r, C_MASK, 0);
    return good && told;
}

static const struct model models[] = {
    { "Proseware", 0x5057, picture, sizeof picture / sizeof *picture, proseware_start, proseware_acknowledge, proseware_collect, proseware_check },
    { "Contoso", 0x434f, pyramid, sizeof pyramid / sizeof *pyramid, contoso_start, contoso_acknowledge, contoso_collect, contoso_check },
};

// ---- Linux ----

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

static void map_registers(struct robot *r)
{
    char path[300];
    unsigned long long start;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource", r->address);
    FILE *resources = fopen(path, "r");
    if (resources == NULL || fscanf(resources, "%llx", &start) != 1) die(path, "");
    fclose(resources);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", r->address);
    int fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0) die(path, "; run this as root");
    volatile uint8_t *page = mmap(NULL, PageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) die(path, "");
    close(fd);
    r->registers = page + start % PageSize; // a small BAR may begin anywhere in a page, and whole pages are mapped
}

static void lock_memory(struct robot *r)
{
    void *page = mmap(NULL, PageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (page == MAP_FAILED || mlock(page, PageSize) < 0) die("a locked page", "");
    memset(page, 0, PageSize);
    r->memory = page;
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    if (fd < 0 || pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)page / PageSize * sizeof entry)) != sizeof entry) die("/proc/self/pagemap", "");
    close(fd);
    r->bus = (entry & ((1ULL << 55) - 1)) * PageSize;
    if (!(entry >> 63) || r->bus == 0) { errno = EPERM; die("/proc/self/pagemap", "; run this as root"); }
    if (r->bus >> 32) { errno = ERANGE; die("a locked page", "; Contoso reaches 4 GiB: give the guest less memory"); }
}

static void enable(struct robot *r)
{
    char path[300];
    uint16_t command;
    if (r->uio < 0) {
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/enable", r->address);
        if (write_file(path, "1") < 0) die(path, "; run this as root");
    }
    // Memory space and bus mastering, which uio_pci_generic leaves to us.
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", r->address);
    int fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &command, 2, 4) != 2) die(path, "");
    command |= 6;
    if (pwrite(fd, &command, 2, 4) != 2) die(path, "");
    close(fd);
}

// Opens the robot's /dev/uioN, or returns -1 where uio_pci_generic does not have it.
static int open_uio(struct robot *r)
{
    char text[300];
    snprintf(text, sizeof text, "1234 %04x", r->model->device);
    // Fails when it was told before: then the robot is bound already.
    write_file("/sys/bus/pci/drivers/uio_pci_generic/new_id", text);
    snprintf(text, sizeof text, "/sys/bus/pci/devices/%s/uio", r->address);
    DIR *folder = opendir(text);
    if (folder == NULL) return -1;
    int fd = -1;
    for (struct dirent *e; fd < 0 && (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, "uio", 3) != 0) continue;
        snprintf(text, sizeof text, "/dev/%s", e->d_name);
        fd = open(text, O_RDWR | O_CLOEXEC);
    }
    closedir(folder);
    return fd;
}

static unsigned read_id(const char *address, const char *name)
{
    char path[300];
    unsigned value = 0;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", address, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%x", &value) != 1) value = 0;
    fclose(file);
    return value;
}

static unsigned find_robots(struct robot *robots)
{
    unsigned count = 0;
    struct dirent **names;
    int n = scandir("/sys/bus/pci/devices", &names, NULL, alphasort);
    if (n < 0) die("/sys/bus/pci/devices", "");
    for (int i = 0; i < n; i++) {
        const char *address = names[i]->d_name;
        for (size_t m = 0; m < sizeof models / sizeof *models && count < MaxRobots; m++) {
            if (read_id(address, "vendor") != 0x1234 || read_id(address, "device") != models[m].device) continue;
            robots[count] = (struct robot){ .model = &models[m], .uio = -1 };
            snprintf(robots[count++].address, sizeof robots->address, "%.30s", address);
        }
        free(names[i]);
    }
    free(names);
    return count;
}

// Clears Interrupt Disable, which uio_pci_generic set when the line rose (Linux's uio-howto, "uio_pci_generic").
static void unmask(const struct robot *r)
{
    char path[300];
    uint8_t high;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", r->address);
    int fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &high, 1, 5) != 1) die(path, "");
    high &= (uint8_t)~4;
    if (pwrite(fd, &high, 1, 5) != 1) die(path, "");
    close(fd);
}

static void take_interrupt(struct robot *r)
{
    uint32_t count;
    if (read(r->uio, &count, sizeof count) != sizeof count) die("reading from uio", "");
    r->interrupts++;
    r->model->acknowledge(r);
    r->model->collect(r);
    unmask(r);
}

int main(int argc, char **argv)
{
    static struct robot robots[MaxRobots];
    int polls = argc == 2 && strcmp(argv[1], "--poll") == 0, good = 1;
    if (argc > 2 || (argc == 2 && !polls)) {
        fprintf(stderr, "usage: robotdrive [--poll]\n");
        return 2;
    }
    unsigned count = find_robots(robots);
    if (count == 0) {
        fprintf(stderr, "robotdrive: there is no robot (1234:5057 or 1234:434f) on this machine's PCI buses\n");
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        struct robot *r = &robots[i];
        if (!polls) r->uio = open_uio(r);
        enable(r);
        map_registers(r);
        lock_memory(r);
        r->model->start(r);
        if (r->uio >= 0) unmask(r);
    }

    int64_t until = milliseconds() + PatienceSeconds * 1000;
    for (unsigned busy = count; busy > 0 && milliseconds() < until;) {
        struct pollfd waits[MaxRobots];
        int polled = 0;
        for (unsigned i = 0; i < count; i++) {
            waits[i] = (struct pollfd){ .fd = robots[i].uio, .events = POLLIN };
            polled |= robots[i].uio < 0;
        }
        // A descriptor of -1 is skipped.
        if (poll(waits, count, polled ? PollMilliseconds : 1000) < 0) die("poll", "");
        busy = 0;
        for (unsigned i = 0; i < count; i++) {
            if (robots[i].uio < 0) robots[i].model->collect(&robots[i]);
            else if (waits[i].revents) take_interrupt(&robots[i]);
            busy += robots[i].done < robots[i].model->count && robots[i].refused == 0;
        }
    }

    for (unsigned i = 0; i < count; i++) {
        struct robot *r = &robots[i];
        if (r->done < r->model->count || r->refused > 0) {
            say(r, "FAILED after %u of %u commands and %u interrupts", r->done, r->model->count, r->interrupts);
            good = 0;
            continue;
        }
        if (r->uio >= 0) say(r, "%u commands done, %u interrupts", r->done, r->interrupts);
        else say(r, "%u commands done, seen by polling", r->done);
        if (!r->model->check(r)) good = 0;
    }
    printf("robotdrive: %s\n", good ? "all as expected" : "NOT as expected");
    return good ? 0 : 1;
}
