/* SPDX-License-Identifier: Apache-2.0
 * The system calls of short connections, by name and number: of the part of a program that comes after it is warm.
 *   calls count PROGRAM...          runs it and tells what it called between its two marks
 *   calls serve ADDR PORT N         accepts N connections, each a request and an answer, and before its first mark some more
 *   calls connect ADDR PORT N       the other end, one after the other, without blocking, in an epoll set */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM 4
#define MARK SYS_getpgid /* of a process that is not */
#define NOBODY 0x7ffffff0

static struct sockaddr_in address(char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    inet_pton(AF_INET, argv[0], &a.sin_addr);
    return a;
}

static void serve(char **argv)
{
    struct sockaddr_in a = address(argv);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n = atoi(argv[2]);
    char buf[64];
    if (bind(l, (struct sockaddr *)&a, sizeof a) < 0 || listen(l, 64) < 0)
        err(1, "listen");
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < WARM + n; i++) {
        if (i == WARM)
            getpgid(NOBODY);
        int fd = accept(l, NULL, NULL);
        if (fd < 0 || recv(fd, buf, sizeof buf, 0) <= 0 || send(fd, "answer", 6, 0) != 6 ||
            recv(fd, buf, sizeof buf, 0) != 0)
            err(1, "connection %d", i);
        close(fd);
    }
    getpgid(NOBODY);
}

static void await(int ep, int fd, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (epoll_ctl(ep, op, fd, &ev) < 0 || epoll_wait(ep, &ev, 1, 20000) != 1)
        err(1, "epoll");
}

static void connect_one(const struct sockaddr_in *a, int ep)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    char buf[64];
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) < 0 && errno != EINPROGRESS)
        err(1, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    await(ep, fd, EPOLL_CTL_ADD, EPOLLOUT);
    if (send(fd, "request", 7, 0) != 7)
        err(1, "send");
    await(ep, fd, EPOLL_CTL_MOD, EPOLLIN);
    if (recv(fd, buf, sizeof buf, 0) != 6)
        err(1, "recv");
    close(fd);
}

static void dial(char **argv)
{
    struct sockaddr_in a = address(argv);
    int ep = epoll_create1(EPOLL_CLOEXEC), n = atoi(argv[2]);
    for (int i = 0; i < WARM + n; i++) {
        if (i == WARM)
            getpgid(NOBODY);
        connect_one(&a, ep);
    }
    getpgid(NOBODY);
}

static void tell(const unsigned *calls)
{
    static const struct {
        const char *name;
        long n;
    } names[] = {{"socket", SYS_socket},   {"accept", SYS_accept},         {"accept4", SYS_accept4},
                 {"connect", SYS_connect}, {"close", SYS_close},           {"fcntl", SYS_fcntl},
                 {"dup3", SYS_dup3},       {"setsockopt", SYS_setsockopt}, {"recvfrom", SYS_recvfrom},
                 {"sendto", SYS_sendto},   {"epoll_ctl", SYS_epoll_ctl},   {"getsockopt", SYS_getsockopt}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (calls[names[i].n])
            fprintf(stderr, "%s %u\n", names[i].name, calls[names[i].n]);
}

static int count(char **argv)
{
    static unsigned calls[1024];
    struct __ptrace_syscall_info info;
    int status, counting = 0;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execvp(argv[0], argv);
        err(127, "%s", argv[0]);
    }
    waitpid(pid, &status, 0);
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    for (int sig = 0;;) {
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)sig);
        if (waitpid(pid, &status, 0) != pid || WIFEXITED(status) || WIFSIGNALED(status))
            break;
        sig = WSTOPSIG(status) == (SIGTRAP | 0x80) || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        if (sig || ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr >= 1024)
            continue;
        if (info.entry.nr == MARK && info.entry.args[0] == NOBODY)
            counting = !counting;
        calls[info.entry.nr] += (unsigned)counting;
    }
    tell(calls);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "count") == 0)
        return count(argv + 2);
    if (argc != 5)
        errx(2, "calls count PROGRAM... | calls serve|connect ADDR PORT N");
    if (strcmp(argv[1], "serve") == 0)
        serve(argv + 2);
    else
        dial(argv + 2);
    return 0;
}
