// The guest's end of the command channel: runs shell commands for the host over a serial line.
//
//   emulator-agent /dev/ttyS1
//
// One frame a line, printable ASCII only, so no line discipline or stray byte can change a frame unnoticed:
//   host to guest   @run ID BASE64        start `sh -c` with that command; ID is a decimal number of the host's choice
//                   @kill ID              SIGKILL to the command's whole process group
//                   @hello                ask for the greeting again
//   guest to host   @hello 1 RELEASE      protocol version and kernel release; also sent on start: whatever ran before is gone
//                   @out ID COUNT BASE64  COUNT bytes of the command's standard output and error, in the order written
//                   @exit ID STATUS       it ended: its exit status, or 128 + the number of the signal that ended it
//                   @error ID TEXT        it could not be started
// Anything else on the line is ignored up to the next newline. A command is over when its shell is: what background processes
// write after that is dropped.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { MaxCommands = 32, MaxLine = 128 * 1024, Chunk = 3 * 1024 };

struct command { unsigned long id; pid_t pid; int output; };

static struct command commands[MaxCommands];
static int line_fd;
static char line[MaxLine];
static size_t line_length;
static int line_overflows;

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void send_bytes(const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = write(line_fd, bytes, count);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) exit(1);
        bytes += n;
        count -= (size_t)n;
    }
}

static size_t encode(const uint8_t *from, size_t count, char *to)
{
    char *start = to;
    for (; count >= 3; from += 3, count -= 3) {
        *to++ = alphabet[from[0] >> 2];
        *to++ = alphabet[(from[0] & 3) << 4 | from[1] >> 4];
        *to++ = alphabet[(from[1] & 15) << 2 | from[2] >> 6];
        *to++ = alphabet[from[2] & 63];
    }
    if (count > 0) {
        uint8_t second = count == 2 ? from[1] : 0;
        *to++ = alphabet[from[0] >> 2];
        *to++ = alphabet[(from[0] & 3) << 4 | second >> 4];
        *to++ = count == 2 ? alphabet[(second & 15) << 2] : '=';
        *to++ = '=';
    }
    return (size_t)(to - start);
}

// Decodes in place; returns the number of bytes, or -1 when the text is no base64.
static ssize_t decode(char *text)
{
    size_t length = strlen(text), out = 0;
    uint32_t bits = 0;
    int have = 0;
    while (length > 0 && text[length - 1] == '=') length--;
    for (size_t i = 0; i < length; i++) {
        const char *at = strchr(alphabet, text[i]);
        if (at == NULL) return -1;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            text[out++] = (char)(bits >> have);
        }
    }
    return (ssize_t)out;
}

static void send_hello(void)
{
    struct utsname name;
    char text[200];
    uname(&name);
    // The leading newline ends whatever a predecessor was cut off in.
    send_bytes(text, (size_t)snprintf(text, sizeof text, "\n@hello 1 %s\n", name.release));
}

static void send_output(unsigned long id, const uint8_t *bytes, size_t count)
{
    static char text[64 + Chunk * 4 / 3 + 8];
    size_t at = (size_t)snprintf(text, 64, "@out %lu %zu ", id, count);
    at += encode(bytes, count, text + at);
    text[at++] = '\n';
    send_bytes(text, at);
}

// Passes on what is there to read, at most `limit` bytes. Returns 0 at the end of the output.
static int pass_output(struct command *c, size_t limit)
{
    uint8_t bytes[Chunk];
    while (limit > 0) {
        ssize_t n = read(c->output, bytes, limit < sizeof bytes ? limit : sizeof bytes);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (n == 0) return 0;
        send_output(c->id, bytes, (size_t)n);
        limit -= (size_t)n;
    }
    return 1;
}

static void close_output(struct command *c)
{
    if (c->output >= 0) close(c->output);
    c->output = -1;
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < MaxCommands; i++) {
            struct command *c = &commands[i];
            int waiting = 0;
            char text[64];
            if (c->pid != pid) continue;
            // Only what is in the pipe now: a background process may never stop writing.
            if (c->output >= 0 && ioctl(c->output, FIONREAD, &waiting) == 0) pass_output(c, (size_t)waiting);
            close_output(c);
            c->pid = 0;
            int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            send_bytes(text, (size_t)snprintf(text, sizeof text, "@exit %lu %d\n", c->id, code));
        }
}

static void start(unsigned long id, char *text)
{
    char message[100];
    int ends[2];
    struct command *c = NULL;
    for (int i = 0; i < MaxCommands && c == NULL; i++)
        if (commands[i].pid == 0) c = &commands[i];
    ssize_t length = decode(text);
    if (c == NULL || length < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        const char *why = c == NULL ? "too many commands at once" : length < 0 ? "not base64" : strerror(errno);
        send_bytes(message, (size_t)snprintf(message, sizeof message, "@error %lu %s\n", id, why));
        return;
    }
    text[length] = 0;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        send_bytes(message, (size_t)snprintf(message, sizeof message, "@error %lu %s\n", id, strerror(errno)));
        return;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *c = (struct command){ .id = id, .pid = pid, .output = ends[0] };
}

static void take_frame(char *frame)
{
    unsigned long id;
    int text = 0;
    if (sscanf(frame, "@run %lu %n", &id, &text) == 1 && text > 0) {
        start(id, frame + text);
    } else if (sscanf(frame, "@kill %lu", &id) == 1) {
        for (int i = 0; i < MaxCommands; i++)
            if (commands[i].pid > 0 && commands[i].id == id) kill(-commands[i].pid, SIGKILL);
    } else if (strcmp(frame, "@hello") == 0) {
        send_hello();
    }
}

static void take_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            line[line_length] = 0;
            if (!line_overflows) take_frame(line);
            line_length = 0;
            line_overflows = 0;
        } else if (line_length + 1 < sizeof line) {
            line[line_length++] = bytes[i];
        } else {
            line_overflows = 1;
        }
    }
}

int main(int argc, char **argv)
{
    struct termios mode;
    sigset_t child;
    if (argc != 2 || (line_fd = open(argv[1], O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 || tcgetattr(line_fd, &mode) < 0) {
        fprintf(stderr, "usage: emulator-agent TTY (%s)\n", strerror(errno));
        return 1;
    }
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    cfsetspeed(&mode, B115200);
    tcsetattr(line_fd, TCSANOW, &mode);

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    for (int i = 0; i < MaxCommands; i++) commands[i].output = -1;
    send_hello();

    for (;;) {
        struct pollfd polls[2 + MaxCommands] = { { .fd = line_fd, .events = POLLIN }, { .fd = children, .events = POLLIN } };
        // poll(2) skips the entries whose descriptor is -1.
        for (int i = 0; i < MaxCommands; i++) polls[2 + i] = (struct pollfd){ .fd = commands[i].output, .events = POLLIN };
        if (poll(polls, 2 + MaxCommands, -1) < 0) continue;
        if (polls[0].revents) {
            char bytes[4096];
            ssize_t n = read(line_fd, bytes, sizeof bytes);
            if (n > 0) take_bytes(bytes, (size_t)n);
            else if (n == 0 || errno != EINTR) return 1;
        }
        for (int i = 0; i < MaxCommands; i++)
            if (polls[2 + i].revents && commands[i].output == polls[2 + i].fd && !pass_output(&commands[i], Chunk)) close_output(&commands[i]);
        if (polls[1].revents) {
            struct signalfd_siginfo which;
            while (read(children, &which, sizeof which) > 0) {}
            reap();
        }
    }
}
