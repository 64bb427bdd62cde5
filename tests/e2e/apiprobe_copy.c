/* SPDX-License-Identifier: Apache-2.0
 * Calls that move bytes between a socket and a file or pipe; SIGPIPE as it is raised. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static volatile sig_atomic_t pipes, pipe_code, pipe_mine, pipe_here;
static __thread int here;

static void on_pipe(int sig, siginfo_t *si, void *context)
{
    pipes++;
    pipe_code = si->si_code;
    pipe_mine = si->si_pid == getpid();
    pipe_here = here;
}

static void say_pipe(const char *name, long ret)
{
    say_ret(name, ret);
    say("  SIGPIPE: %d, code %d, from this process %d, in this thread %d", (int)pipes, (int)pipe_code, (int)pipe_mine,
        (int)pipe_here);
    pipes = pipe_here = 0;
}

static void *broken(void *arg)
{
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct mmsghdr mm[2] = {{.msg_hdr = m}, {.msg_hdr = m}};
    int n, fd = dial(&n), p[2], mem = memfd_create("apiprobe", 0);
    here = 1;
    if (pipe(p) < 0 || write(p[1], "ab", 2) != 2 || write(mem, "ab", 2) != 2)
        return NULL;
    shutdown(fd, SHUT_WR);
    say_pipe("broken write", write(fd, "x", 1));
    say_pipe("broken writev", writev(fd, &v, 1));
    say_pipe("broken send", send(fd, "x", 1, 0));
    say_pipe("broken send NOSIGNAL", send(fd, "x", 1, MSG_NOSIGNAL));
    say_pipe("broken sendto", sendto(fd, "x", 1, 0, NULL, 0));
    say_pipe("broken sendmsg", sendmsg(fd, &m, 0));
    say_pipe("broken sendmmsg", sendmmsg(fd, mm, 2, 0));
    say_pipe("broken sendmmsg NOSIGNAL", sendmmsg(fd, mm, 2, MSG_NOSIGNAL));
    say_pipe("broken pwritev2", pwritev2(fd, &v, 1, -1, 0));
    say_pipe("broken write of nothing", write(fd, "x", 0));
    say_pipe("broken send of nothing", send(fd, "x", 0, 0));
    say_pipe("broken OOB", send(fd, "x", 1, MSG_OOB));
    say_pipe("broken sendfile", sendfile(fd, mem, (off_t[]){0}, 2));
    say_pipe("broken sendfile from no file", sendfile(fd, -1, (off_t[]){0}, 2));
    say_pipe("broken splice", splice(p[0], NULL, fd, NULL, 2, 0));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say_pipe("fresh write", write(fd, "x", 1));
    say_pipe("fresh sendfile", sendfile(fd, mem, (off_t[]){0}, 2));
    close(fd);
    close(p[0]);
    close(p[1]);
    close(mem);
    return NULL;
}

static void sigpipes(void)
{
    struct sigaction sa = {.sa_sigaction = on_pipe, .sa_flags = SA_SIGINFO}, old;
    pthread_t t;
    sigaction(SIGPIPE, &sa, &old);
    pthread_create(&t, NULL, broken, NULL);
    pthread_join(t, NULL);
    sigaction(SIGPIPE, &old, NULL);
}

/* Without waiting, from an offset. */
static void files_at(int fd, int mem, const int p[2], int zero)
{
    off_t off = -1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_ret("sendfile at once", sendfile(fd, mem, (off_t[]){1}, 3));
    say_ret("sendfile at once, of nothing", sendfile(fd, mem, (off_t[]){0}, 0));
    say_ret("sendfile at once, behind the end", sendfile(fd, mem, (off_t[]){100}, 5));
    say_ret("sendfile at once, before the beginning", sendfile(fd, mem, &off, 5));
    say_ret("sendfile at once, from no file", sendfile(fd, -1, (off_t[]){0}, 5));
    say_ret("sendfile at once, of nothing from no file", sendfile(fd, -1, (off_t[]){0}, 0));
    say_ret("sendfile at once, from an end to write", sendfile(fd, p[1], (off_t[]){0}, 5));
    say_ret("sendfile at once, from a pipe", sendfile(fd, p[0], (off_t[]){0}, 5));
    say_ret("sendfile at once, of nothing from a pipe", sendfile(fd, p[0], (off_t[]){0}, 0));
    say_ret("sendfile at once, from a device", sendfile(fd, zero, (off_t[]){0}, 5));
    fcntl(fd, F_SETFL, 0);
}

static void files(void)
{
    char buf[64];
    off_t off = -1;
    int n, fd = dial(&n), p[2], mem = memfd_create("apiprobe", 0), zero = open("/dev/zero", O_RDONLY);
    if (pipe(p) < 0 || write(mem, "0123456789", 10) != 10)
        return;
    say_ret("sendfile of nothing", sendfile(fd, mem, (off_t[]){0}, 0));
    say_ret("sendfile before the beginning", sendfile(fd, mem, &off, 5));
    say_ret("sendfile from no file", sendfile(fd, -1, NULL, 5));
    say_ret("sendfile from an end to write", sendfile(fd, p[1], NULL, 5));
    say_ret("sendfile from a pipe", sendfile(fd, p[0], NULL, 5));
    say_ret("sendfile from a pipe at 0", sendfile(fd, p[0], (off_t[]){0}, 5));
    say_ret("sendfile from a device", sendfile(fd, zero, NULL, 5));
    say_ret("sendfile64", sendfile64(fd, mem, (off64_t[]){2}, 5));
    say_ret("sendfile to a file", sendfile(mem, fd, NULL, 5));
    say_ret("sendfile to a file, at 0", sendfile(mem, fd, (off_t[]){0}, 5));
    files_at(fd, mem, p, zero);
    peer("send %d 9", n);
    until(fd, POLLIN);
    say_ret("sendfile to a pipe", sendfile(p[1], fd, NULL, 3));
    say_ret("sendfile to a pipe, at 0", sendfile(p[1], fd, (off_t[]){0}, 3));
    say_ret("sendfile to no file", sendfile(-1, fd, NULL, 3));
    say_ret("copy_file_range to it", copy_file_range(mem, (off64_t[]){0}, fd, NULL, 3, 0));
    say_ret("copy_file_range from it", copy_file_range(fd, NULL, mem, NULL, 3, 0));
    say_ret("tee", tee(fd, p[1], 3, 0));
    say_ret("tee to it", tee(p[0], fd, 3, 0));
    say_ret("vmsplice", vmsplice(fd, (struct iovec[]){{buf, 3}}, 1, 0));
    say_ret("recv", recv(fd, buf, sizeof buf, MSG_DONTWAIT));
    close(p[0]);
    close(p[1]);
    close(mem);
    close(zero);
    close(fd);
    say("the peer reads %d", peer("eof %d", n));
}

static void spliced(void)
{
    char buf[64];
    off64_t at = 0;
    struct timeval soon = {.tv_usec = 20000};
    int n, fd = dial(&n), p[2], mem = memfd_create("apiprobe", 0);
    if (pipe(p) < 0)
        return;
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_ret("splice, nothing there", splice(fd, NULL, p[1], NULL, 9, 0));
    fcntl(fd, F_SETFL, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    say_ret("splice, NONBLOCK is the pipe's", splice(fd, NULL, p[1], NULL, 9, SPLICE_F_NONBLOCK));
    peer("send %d 9", n);
    until(fd, POLLIN);
    say_ret("splice with an offset", splice(fd, &at, p[1], NULL, 9, 0));
    say_ret("splice to the other's offset", splice(fd, NULL, p[1], &at, 9, 0));
    say_ret("splice unknown flag", splice(fd, NULL, p[1], NULL, 9, 0x100));
    say_ret("splice of nothing", splice(fd, NULL, p[1], NULL, 0, 0));
    say_ret("splice from the wrong end", splice(fd, NULL, p[0], NULL, 9, 0));
    say_ret("splice to a file", splice(fd, NULL, mem, NULL, 9, 0));
    say_ret("splice to itself", splice(fd, NULL, fd, NULL, 9, 0));
    say_ret("splice", splice(fd, NULL, p[1], NULL, 4, SPLICE_F_MOVE));
    say_ret("splice more", splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    say_ret("and back", splice(p[0], NULL, fd, NULL, 5, SPLICE_F_MORE));
    say_ret("and back, the rest", splice(p[0], NULL, fd, NULL, 100, SPLICE_F_MOVE));
    say_ret("and back, empty", splice(p[0], NULL, fd, NULL, 100, SPLICE_F_NONBLOCK));
    say_ret("and back, of nothing", splice(p[0], NULL, fd, NULL, 0, 0));
    say_ret("and back with an offset", splice(p[0], NULL, fd, &at, 5, 0));
    say_ret("and back from the wrong end", splice(p[1], NULL, fd, NULL, 5, 0));
    close(p[1]);
    say_ret("and back, the pipe's end", splice(p[0], NULL, fd, NULL, 100, 0));
    close(p[0]);
    say("the peer reads %d", peer("read %d 9", n));
    if (pipe(p) < 0)
        return;
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    say_ret("splice at the end", splice(fd, NULL, p[1], NULL, 9, 0));
    close(p[0]);
    say_ret("splice at the end to a broken pipe", splice(fd, NULL, p[1], NULL, 9, 0));
    close(p[1]);
    say_ret("read", read(fd, buf, sizeof buf));
    close(mem);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (pipe(p) < 0)
        return;
    say_ret("splice from a fresh socket", splice(fd, NULL, p[1], NULL, 9, 0));
    close(p[0]);
    close(p[1]);
    close(fd);
}

/* What was written before a close that resets has been sent. */
static void reset_after_write(void)
{
    struct linger now = {1, 0};
    int n, fd = dial(&n);
    say_ret("write", write(fd, "0123456789", 10));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    say_ret("close that resets", close(fd));
    say("the peer reads %d", peer("eof %d", n));
    fd = dial(&n);
    peer("send %d 4", n);
    until(fd, POLLIN);
    say_ret("write", write(fd, "0123456789", 10));
    say_ret("close with unread bytes", close(fd));
    say("the peer reads %d", peer("eof %d", n));
}

void probe_copy(void)
{
    sigpipes();
    files();
    spliced();
    reset_after_write();
}
