/*
 * The rival: what two C programs cost that only pass messages of the same sizes over an AF_UNIX stream.
 *
 *   pingpong echo SOCKET            answers every 32-byte request with a 36-byte reply, no questions asked
 *   pingpong ask SOCKET COUNT       sends COUNT requests one by one; prints nanoseconds a round trip
 *   pingpong ask SOCKET COUNT vfio  the same, but the requests are real REGION_READs of 4 bytes at BAR 0, after VERSION
 *                                   and after enabling memory decode
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 32, REPLY = 36, VERSION = 1, REGION_READ = 9, REGION_WRITE = 10, CONFIG = 7 };

struct header { uint16_t id, command; uint32_t size, flags, error; };
struct access { struct header header; uint64_t offset; uint32_t region, count; uint8_t data[8]; };

static void die(const char *what)
{
    fprintf(stderr, "pingpong: %s: %s\n", what, errno ? strerror(errno) : "unexpected answer");
    exit(1);
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof at.sun_path) { errno = ENAMETOOLONG; die(path); }
    strcpy(at.sun_path, path);
    return at;
}

static void receive(int fd, void *buffer, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(fd, (char *)buffer + got, size - got, 0);
        if (n <= 0) die("recv");
        got += (size_t)n;
    }
}

static void transmit(int fd, const void *buffer, size_t size)
{
    if (send(fd, buffer, size, MSG_NOSIGNAL) != (ssize_t)size) die("send");
}

static void echo(const char *path)
{
    struct sockaddr_un at = address(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1)) die(path);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) die("accept");
        char buffer[REPLY] = { 0 };
        ssize_t n;
        while ((n = recv(fd, buffer, REQUEST, MSG_WAITALL)) == REQUEST) transmit(fd, buffer, REPLY);
        close(fd);
    }
}

static void negotiate(int fd)
{
    static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}";
    char message[sizeof(struct header) + 4 + sizeof json] = { 0 };
    struct header header = { .command = VERSION, .size = sizeof message };
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header + 4, json, sizeof json);
    transmit(fd, message, sizeof message);
    receive(fd, &header, sizeof header);
    char rest[4096];
    if (header.flags & 0x20 || header.size > sizeof rest) { errno = 0; die("VERSION"); }
    receive(fd, rest, header.size - sizeof header);
    /* COMMAND: memory and I/O decode on. */
    struct access write = { { 0, REGION_WRITE, 34, 0, 0 }, 4, CONFIG, 2, { 3, 0 } };
    transmit(fd, &write, 34);
    receive(fd, &header, sizeof header);
    if (header.flags & 0x20) { errno = 0; die("COMMAND"); }
    receive(fd, rest, header.size - sizeof header);
}

static int ask(const char *path, long count, int vfio)
{
    struct sockaddr_un at = address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at)) die(path);
    if (vfio) negotiate(fd);
    struct access request = { { 0, REGION_READ, REQUEST, 0, 0 }, 0, 0, 4, { 0 } };
    char reply[REPLY];
    struct timespec start, end;
    for (long i = -count / 10; i < count; i++) {
        if (i == 0) clock_gettime(CLOCK_MONOTONIC, &start);
        request.header.id = (uint16_t)i;
        transmit(fd, &request, REQUEST);
        receive(fd, reply, REPLY);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    struct header last;
    memcpy(&last, reply, sizeof last);
    if (vfio && (last.flags != 1 || last.size != REPLY)) { errno = 0; die("REGION_READ"); }
    printf("%.1f\n", ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / (double)count);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "echo")) echo(argv[2]);
    if (argc >= 4 && !strcmp(argv[1], "ask")) return ask(argv[2], atol(argv[3]), argc > 4);
    fprintf(stderr, "usage: pingpong echo SOCKET | ask SOCKET COUNT [vfio]\n");
    return 2;
}
