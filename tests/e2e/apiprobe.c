/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/apiprobe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *peer_addr, *own_addr;
int peer_port, own_port;
static int control = -1;

static void die(const char *what)
{
    fprintf(stderr, "apiprobe: %s: %s\n", what, strerror(errno));
    exit(2);
}

const char *events_text(unsigned events)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},   {POLLPRI, "PRI"},   {POLLOUT, "OUT"},    {POLLERR, "ERR"},
                 {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
    static char text[64];
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (events & names[i].bit) {
            strcat(text, text[0] ? "|" : "");
            strcat(text, names[i].name);
        }
    return text[0] ? text : "-";
}

void say_mask(const char *name, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP};
    poll(&p, 1, 0);
    say("%s: %s", name, events_text((unsigned short)p.revents));
}

void say_ret(const char *name, long ret)
{
    if (ret < 0)
        say("%s: %s", name, strerrorname_np(errno));
    else
        say("%s: %ld", name, ret);
}

void until(int fd, int events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    for (int i = 0; i < PATIENCE_MS; i++) {
        p.revents = 0;
        if (poll(&p, 1, i == 0 ? PATIENCE_MS : 1) < 0 || (p.revents & events) == events)
            return;
        if (i == 0 && p.revents == 0)
            break;
    }
    say("(waited in vain for %s)", events_text((unsigned)events));
}

static int is_asleep(pid_t tid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    const char *p = n > 0 ? strrchr(text, ')') : NULL;
    return p && p[2] == 'S';
}

void until_asleep(const _Atomic pid_t *tid)
{
    int calm = 0;
    for (int i = 0; i < PATIENCE_MS && calm < 5; i++) {
        calm = *tid && is_asleep(*tid) ? calm + 1 : 0;
        poll(NULL, 0, 1);
    }
    if (calm < 5)
        say("(it does not sleep)");
}

static struct sockaddr_in address(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
        die(ip);
    return a;
}

static int open_connection(void)
{
    struct sockaddr_in a = address(peer_addr, peer_port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        die("connect to the peer");
    return fd;
}

int peer(const char *fmt, ...)
{
    char line[128];
    size_t n = 0;
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    line[len++] = '\n';
    if (write(control, line, (size_t)len) != len)
        die("control connection");
    do {
        if (n == sizeof line || read(control, line + n, 1) != 1)
            die("control connection");
    } while (line[n++] != '\n');
    if (strncmp(line, "ok ", 3) != 0) {
        fprintf(stderr, "apiprobe: the peer says %.*s", (int)n, line);
        exit(2);
    }
    return atoi(line + 3);
}

int dial(int *n)
{
    int fd = open_connection();
    *n = peer("accept");
    return fd;
}

int listener(void)
{
    struct sockaddr_in a = address("0.0.0.0", own_port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 8) < 0)
        die("listen");
    return fd;
}

int peer_dials(void)
{
    return peer("connect %s %d", own_addr, own_port);
}

void settle(void)
{
    char c;
    int n, fd = dial(&n);
    peer("send %d 1", n);
    if (read(fd, &c, 1) != 1)
        die("settle");
    close(fd);
    peer("close %d", n);
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {
    {"states", probe_states},     {"io", probe_io},           {"epoll", probe_epoll},   {"misc", probe_misc},
    {"close", probe_close},       {"urgent", probe_urgent},   {"block", probe_block},   {"calls", probe_calls},
    {"copy", probe_copy},         {"async", probe_async},     {"ready", probe_ready},   {"mux", probe_mux},
    {"nest", probe_nest},         {"sets", probe_sets},       {"waits", probe_waits},   {"cancel", probe_cancel},
    {"opts", probe_opts},         {"notsent", probe_notsent}, {"unspec", probe_unspec}, {"linger", probe_linger},
    {"zerocopy", probe_zerocopy}, {"stamp", probe_stamp},     {"shared", probe_shared}, {"numbers", probe_numbers}};

static int usage(void)
{
    fprintf(stderr, "usage: apiprobe peer ADDR PORT | apiprobe run ADDR PORT OWN-ADDR OWN-PORT [KIND | -KIND]\n");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "peer") == 0)
        return probe_peer(argv[2], atoi(argv[3]));
    if (argc == 7 && strcmp(argv[1], "passed") == 0) {
        probe_passed_on(argv + 2);
        return 0;
    }
    if (argc < 6 || strcmp(argv[1], "run") != 0)
        return usage();
    peer_addr = argv[2];
    peer_port = atoi(argv[3]);
    own_addr = argv[4];
    own_port = atoi(argv[5]);
    signal(SIGPIPE, SIG_IGN);
    control = open_connection();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (argc == 6 || (argv[6][0] == '-') != (strcmp(argv[6] + (argv[6][0] == '-'), kinds[i].name) == 0))
            kinds[i].run();
    say("done");
    return 0;
}
