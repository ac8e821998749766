// Drives the toy robots from user space, without a driver of their own: registers through the BARs that sysfs maps, programs of moves
// that the robots fetch from this program's memory by DMA, and interrupts: messages, a line, or none (userpci.h).
//
//   robotdrive [--poll|--line]
//
// Every Proseware robot (1234:5057) draws a house in one stroke, and the sun; every Contoso robot (1234:434f) fetches the three objects of
// its arena with its gripper and puts them down as a pyramid. All of them drive at once.
// The first line about a robot says how it interrupts: by messages where the guest has an IOMMU and vfio-pci, else by the line where it has
// uio_pci_generic, else not at all. --line and --poll leave out the better ways.
// Exit code: 0 every robot did it, 1 one did not or something failed, 2 there is no robot.
// Registers and layouts: devicemodels/DeviceModels.Robot/Proseware/proseware.md and Contoso/contoso.md.
#include <poll.h>
#include <stdarg.h>
#include <time.h>

#include "userpci.h"

enum { MaxRobots = 8, MaxMoves = 31, PatienceSeconds = 120, PollMilliseconds = 10, AnswerMilliseconds = 2000 };
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
    struct userpci pci;
    unsigned interrupts[MaxMessages], done, refused;
    unsigned phase, head;  // Proseware's completion queue
};

static void say(const struct robot *r, const char *format, ...)
{
    va_list values;
    printf("%s %s: ", r->model->name, r->pci.address);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void pause_for(int ms) { poll(NULL, 0, ms); }

static uint16_t get16(const struct robot *r, unsigned at) { return (uint16_t)get(&r->pci, at, 2); }
static uint32_t get32(const struct robot *r, unsigned at) { return get(&r->pci, at, 4); }
static void put16(const struct robot *r, unsigned at, uint16_t value) { put(&r->pci, at, value, 2); }
static void put32(const struct robot *r, unsigned at, uint32_t value) { put(&r->pci, at, value, 4); }

static const char *how(const struct robot *r)
{
    static const char *const names[] = { "polled", "interrupts (INTA, uio_pci_generic)", "interrupts (4 MSI-X messages, vfio-pci)" };
    return names[r->pci.way];
}

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
    say(r, "firmware %u.%u.%u, %s", version >> 24, version >> 16 & 255, version & 0xffff, how(r));
    put32(r, P_FAULTS, ~0u);
    put32(r, P_SENSEVT, ~0u);
    put32(r, P_INTSTS, ~0u);
    put32(r, P_INTEN, r->pci.way == Polled ? 0 : 0xf);
    put32(r, P_CONTROL, 3);
    put32(r, P_RING_BASE, (uint32_t)(r->pci.bus + Program));
    put32(r, P_RING_BASE + 4, (uint32_t)(r->pci.bus >> 32));
    put32(r, P_RING_SIZE, MaxMoves + 1);
    put32(r, P_CQ_BASE, (uint32_t)(r->pci.bus + Completions));
    put32(r, P_CQ_BASE + 4, (uint32_t)(r->pci.bus >> 32));
    put32(r, P_CQ_SIZE, QueueEntries);
    put32(r, P_TELE_BASE, (uint32_t)(r->pci.bus + Telemetry));
    put32(r, P_TELE_BASE + 4, (uint32_t)(r->pci.bus >> 32));
    put32(r, P_TELE_PERIOD, 50);
    put32(r, P_RING_CTRL, 1);
    for (unsigned i = 0; i < r->model->count; i++) {
        const struct move *m = &r->model->moves[i];
        unsigned at = Program + i * 16;
        store(&r->pci, at + 4, (uint32_t)m->first);
        store(&r->pci, at + 8, (uint32_t)m->second);
        store(&r->pci, at + 12, 0);
        store(&r->pci, at, m->opcode | 1u << 8 | (i + 1) << 16);
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
    if (!faults) return;
    r->refused++;
    say(r, "FAULTS 0x%x, RING_STATUS 0x%x", faults, get32(r, P_RING_STATUS));
}

static void proseware_collect(struct robot *r)
{
    for (;;) {
        unsigned at = Completions + r->head * 16;
        uint32_t last = load(&r->pci, at + 12);
        if (last >> 31 != r->phase) break;
        unsigned tag = last & 0xffff, result = last >> 16 & 255;
        const char *name = tag >= 1 && tag <= r->model->count ? r->model->moves[tag - 1].name : "?";
        if (result != 1 || tag != r->done + 1) {
            unsigned heading = load(&r->pci, at + 8) & 0xffff;
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
        uint32_t number = load(&r->pci, Telemetry);
        int l = (int)load(&r->pci, Telemetry + 8), rr = (int)load(&r->pci, Telemetry + 12);
        told = number % 2 == 0 && l == odometers[0] && rr == odometers[1] && load(&r->pci, Telemetry) == number;
        if (!told) pause_for(PollMilliseconds);
    } while (!told && milliseconds() < until);
    say(r, "telemetry block %u %s", load(&r->pci, Telemetry) / 2, told ? "says the same" : "DIFFERS");
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
    say(r, "firmware %x.%02x, %s", version >> 8, version & 255, how(r));
    get16(r, C_ERROR);
    put16(r, C_INDEX, C_EVENTS);
    get16(r, C_WINDOW);
    get16(r, C_CAUSE);
    put16(r, C_MASK, r->pci.way == Polled ? 0 : 0xf);
    put16(r, C_MODE, 3);
    put16(r, C_INDEX, C_TELE | AutoIncrement);
    put16(r, C_WINDOW, (uint16_t)(r->pci.bus + Telemetry));
    put16(r, C_WINDOW, (uint16_t)((r->pci.bus + Telemetry) >> 16));
    put16(r, C_WINDOW, 5);
    for (unsigned i = 0; i < r->model->count; i++) {
        const struct move *m = &r->model->moves[i];
        unsigned at = Program + i * 32;
        store(&r->pci, at + 4, i + 1 < r->model->count ? (uint32_t)r->pci.bus + at + 32 : 0);
        store(&r->pci, at + 8, (uint16_t)m->first | (uint32_t)m->second << 16);
        store(&r->pci, at + 0x1c, i + 1);
        store(&r->pci, at, m->opcode | 1u << 29 | 1u << 31);
    }
    put16(r, C_LISTLO, (uint16_t)r->pci.bus);
    put16(r, C_LISTHI, (uint16_t)(r->pci.bus >> 16));
    put16(r, C_DOORBELL, 1);
}

static void contoso_acknowledge(struct robot *r)
{
    uint16_t cause = get16(r, C_CAUSE); // cleared, and the line is down
    if (!(cause & 1)) return;
    r->refused++;
    say(r, "ERROR 0x%x, LISTST 0x%x", get16(r, C_ERROR), get16(r, C_LISTST));
}

static void contoso_collect(struct robot *r)
{
    for (uint32_t control; r->done < r->model->count && !((control = load(&r->pci, Program + r->done * 32)) >> 31); r->done++) {
        unsigned at = Program + r->done * 32, result = control >> 8 & 255;
        if (result == 1 && load(&r->pci, at + 0x1c) == r->done + 1) continue;
        r->refused++;
        say(r, "command %u (%s) FAILED with result 0x%x, encoders %d and %d", r->done + 1, r->model->moves[r->done].name, result,
            (int)load(&r->pci, at + 0x10), (int)load(&r->pci, at + 0x14));
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
        uint32_t number = load(&r->pci, Telemetry + 0x3c);
        unsigned slot = Telemetry + (number & 1) * 0x20;
        told = (int)load(&r->pci, slot) == left && (int)load(&r->pci, slot + 4) == right && load(&r->pci, Telemetry + 0x3c) == number;
        if (!told) pause_for(PollMilliseconds);
    } while (!told && milliseconds() < until);
    say(r, "telemetry record %u %s", load(&r->pci, Telemetry + 0x3c), told ? "says the same" : "DIFFERS");
    put16(r, C_INDEX, C_TELEPER);
    put16(r, C_WINDOW, 0);
    put16(r, C_MASK, 0);
    return good && told;
}

static const struct model models[] = {
    { "Proseware", 0x5057, picture, sizeof picture / sizeof *picture, proseware_start, proseware_acknowledge, proseware_collect, proseware_check },
    { "Contoso", 0x434f, pyramid, sizeof pyramid / sizeof *pyramid, contoso_start, contoso_acknowledge, contoso_collect, contoso_check },
};

// ---- Finding and driving them ----

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
            robots[count] = (struct robot){ .model = &models[m] };
            snprintf(robots[count++].pci.address, sizeof robots->pci.address, "%.30s", address);
        }
        free(names[i]);
    }
    free(names);
    return count;
}

static void take_interrupt(struct robot *r, unsigned i)
{
    r->interrupts[i] += take_signal(&r->pci, i);
    r->model->acknowledge(r);
    r->model->collect(r);
    end_signal(&r->pci);
}

// Until all robots are done, one has failed, or patience is at its end.
static void drive(struct robot *robots, unsigned count)
{
    int64_t until = milliseconds() + PatienceSeconds * 1000;
    for (unsigned busy = count; busy > 0 && milliseconds() < until;) {
        struct pollfd waits[MaxRobots * MaxMessages];
        unsigned signals = 0;
        int polled = 0;
        for (struct robot *r = robots; r < robots + count; r++) {
            for (unsigned i = 0; i < r->pci.signals; i++) waits[signals++] = (struct pollfd){ .fd = r->pci.signal[i], .events = POLLIN };
            polled |= r->pci.way == Polled;
        }
        if (poll(waits, signals, polled ? PollMilliseconds : 1000) < 0) die("poll", "");
        busy = signals = 0;
        for (struct robot *r = robots; r < robots + count; r++) {
            if (r->pci.way == Polled) r->model->collect(r);
            for (unsigned i = 0; i < r->pci.signals; i++) {
                if (waits[signals++].revents) take_interrupt(r, i);
            }
            busy += r->done < r->model->count && r->refused == 0;
        }
    }
}

static int report(struct robot *r)
{
    unsigned interrupts = 0;
    for (unsigned i = 0; i < MaxMessages; i++) interrupts += r->interrupts[i];
    if (r->done < r->model->count || r->refused > 0) {
        say(r, "FAILED after %u of %u commands and %u interrupts", r->done, r->model->count, interrupts);
        return 0;
    }
    if (r->pci.way == Messages)
        say(r, "%u commands done, messages %u %u %u %u", r->done, r->interrupts[0], r->interrupts[1], r->interrupts[2], r->interrupts[3]);
    else if (r->pci.way == Line) say(r, "%u commands done, %u interrupts", r->done, interrupts);
    else say(r, "%u commands done, seen by polling", r->done);
    return r->model->check(r);
}

int main(int argc, char **argv)
{
    static struct robot robots[MaxRobots];
    int good = 1;
    enum way best = argc == 2 && strcmp(argv[1], "--poll") == 0 ? Polled : argc == 2 && strcmp(argv[1], "--line") == 0 ? Line : Messages;
    if (argc > 2 || (argc == 2 && best == Messages)) {
        fprintf(stderr, "usage: robotdrive [--poll|--line]\n");
        return 2;
    }
    unsigned count = find_robots(robots);
    if (count == 0) {
        fprintf(stderr, "robotdrive: there is no robot (1234:5057 or 1234:434f) on this machine's PCI buses\n");
        return 2;
    }
    for (struct robot *r = robots; r < robots + count; r++) {
        open_device(&r->pci, best);
        r->model->start(r);
        begin_interrupts(&r->pci);
    }
    drive(robots, count);
    for (struct robot *r = robots; r < robots + count; r++) good &= report(r);
    printf("robotdrive: %s\n", good ? "all as expected" : "NOT as expected");
    return good ? 0 : 1;
}
