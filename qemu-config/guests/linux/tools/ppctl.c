// Drives a parallel port through ppdev, one step per argument, in order.
//
//   ppctl /dev/parport0 data=0x55 status? control=0x04 control? data? ...
//
//   data=V control=V          set the data lines, the control register (strobe 1, autofd 2, init 4, select 8)
//   data? status? control?    print a register as the port reads it
//   frob=MASK,V               change only the control lines in MASK
//   direction=in|out          turn the data lines round
//   mode=compat|nibble|byte|epp|ecp    negotiate this IEEE 1284 mode with the peripheral
//   id=nibble|byte|ecp        negotiate for the device ID in that mode, print it, go back to compatibility mode
//   write=TEXT                send TEXT in the current mode; \n, \r, \f, \e, \xHH are understood
//   read=COUNT                receive up to COUNT bytes in the current mode, print them in hexadecimal
//   irq=MILLISECONDS          wait for an interrupt; print how many came since the last time
//   exclusive                 first step only: claim the port for this process alone
// Exit status 1 and a line on standard error when a step fails.
#include <errno.h>
#include <fcntl.h>
#include <linux/parport.h>
#include <linux/ppdev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int port;
static const char *step;

static void fail(const char *what)
{
    fprintf(stderr, "ppctl: %s: %s\n", step, what);
    exit(1);
}

static void control(unsigned long request, void *argument)
{
    if (ioctl(port, request, argument) < 0) fail(strerror(errno));
}

static int mode_of(const char *name)
{
    static const struct { const char *name; int mode; } modes[] = {
        { "compat", IEEE1284_MODE_COMPAT }, { "nibble", IEEE1284_MODE_NIBBLE }, { "byte", IEEE1284_MODE_BYTE },
        { "epp", IEEE1284_MODE_EPP }, { "ecp", IEEE1284_MODE_ECP },
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(name, modes[i].name) == 0) return modes[i].mode;
    fail("no such mode");
    return 0;
}

static void print_register(const char *name, unsigned long request)
{
    unsigned char value;
    control(request, &value);
    printf("%s 0x%02x\n", name, value);
}

static void write_text(const char *text)
{
    unsigned char *bytes = malloc(strlen(text) + 1);
    size_t count = 0, done = 0;
    while (*text) {
        if (text[0] == '\\' && text[1] == 'x' && text[2] && text[3]) {
            char digits[3] = { text[2], text[3], 0 };
            bytes[count++] = (unsigned char)strtoul(digits, NULL, 16);
            text += 4;
        } else if (text[0] == '\\' && text[1]) {
            bytes[count++] = text[1] == 'n' ? '\n' : text[1] == 'r' ? '\r' : text[1] == 'f' ? '\f' : text[1] == 'e' ? 27 : (unsigned char)text[1];
            text += 2;
        } else {
            bytes[count++] = (unsigned char)*text++;
        }
    }
    while (done < count) {
        ssize_t n = write(port, bytes + done, count - done);
        if (n <= 0) fail(n < 0 ? strerror(errno) : "the peripheral takes no more");
        done += (size_t)n;
    }
    free(bytes);
    printf("wrote %zu\n", count);
}

static void read_bytes(size_t count)
{
    unsigned char *bytes = malloc(count + 1);
    ssize_t n = read(port, bytes, count);
    if (n < 0) fail(strerror(errno));
    printf("read %zd", n);
    for (ssize_t i = 0; i < n; i++) printf(" %02x", bytes[i]);
    putchar('\n');
    free(bytes);
}

static void print_id(const char *name)
{
    int mode = mode_of(name) | IEEE1284_DEVICEID, compat = IEEE1284_MODE_COMPAT;
    unsigned char bytes[65536];
    size_t count = 0, length = 2;
    if (strcmp(name, "nibble") == 0) mode = IEEE1284_DEVICEID;
    control(PPNEGOT, &mode);
    // The first two bytes are the length, themselves included, high byte first (IEEE 1284-2000, 7.6).
    while (count < length && count < sizeof bytes - 1) {
        ssize_t n = read(port, bytes + count, length - count);
        if (n <= 0) fail(n < 0 ? strerror(errno) : "the device ID ends early");
        count += (size_t)n;
        if (count >= 2) length = (size_t)bytes[0] << 8 | bytes[1];
    }
    bytes[count] = 0;
    printf("id %s\n", count > 2 ? (char *)bytes + 2 : "");
    control(PPNEGOT, &compat);
}

static void wait_irq(int milliseconds)
{
    struct pollfd events = { .fd = port, .events = POLLIN };
    int count = 0;
    if (poll(&events, 1, milliseconds) < 0) fail(strerror(errno));
    control(PPCLRIRQ, &count);
    printf("irq %d\n", count);
}

int main(int argc, char **argv)
{
    int first = 2;
    if (argc < 3) {
        fprintf(stderr, "usage: ppctl /dev/parportN STEP ... (see the source's head)\n");
        return 2;
    }
    step = argv[1];
    port = open(argv[1], O_RDWR);
    if (port < 0) fail(strerror(errno));
    if (strcmp(argv[2], "exclusive") == 0) {
        step = argv[2];
        control(PPEXCL, NULL);
        first = 3;
    }
    control(PPCLAIM, NULL);
    for (int i = first; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        unsigned char byte = value ? (unsigned char)strtoul(value + 1, NULL, 0) : 0;
        step = argv[i];
        if (value) value++;
        if (strncmp(step, "data=", 5) == 0) control(PPWDATA, &byte);
        else if (strncmp(step, "control=", 8) == 0) control(PPWCONTROL, &byte);
        else if (strcmp(step, "data?") == 0) print_register("data", PPRDATA);
        else if (strcmp(step, "status?") == 0) print_register("status", PPRSTATUS);
        else if (strcmp(step, "control?") == 0) print_register("control", PPRCONTROL);
        else if (strncmp(step, "frob=", 5) == 0) {
            char *second = strchr(value, ',');
            if (second == NULL) fail("write frob=MASK,VALUE");
            struct ppdev_frob_struct frob = { .mask = byte, .val = (unsigned char)strtoul(second + 1, NULL, 0) };
            control(PPFCONTROL, &frob);
        } else if (strncmp(step, "direction=", 10) == 0) {
            int in = strcmp(value, "in") == 0;
            control(PPDATADIR, &in);
        } else if (strncmp(step, "mode=", 5) == 0) {
            int mode = mode_of(value);
            control(PPNEGOT, &mode);
            if (mode != IEEE1284_MODE_COMPAT) control(PPSETMODE, &mode);
        } else if (strncmp(step, "id=", 3) == 0) print_id(value);
        else if (strncmp(step, "write=", 6) == 0) write_text(value);
        else if (strncmp(step, "read=", 5) == 0) read_bytes(strtoul(value, NULL, 0));
        else if (strncmp(step, "irq=", 4) == 0) wait_irq((int)strtoul(value, NULL, 0));
        else fail("no such step");
    }
    control(PPRELEASE, NULL);
    return 0;
}
