/* SPDX-License-Identifier: Apache-2.0
 * What ends a process whose system calls are limited, and what it says then. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/main/calls.h"
#include "daemon/main/uring.h"

static void *nothing(void *arg)
{
    return arg;
}

static void allowed(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
        _exit(3);
    int fd = open("/dev/null", O_RDONLY), s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (close(fd) < 0 || close(s) < 0)
        _exit(4);
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED || errno != EACCES)
        _exit(5);
}

static void writes_a_file(void)
{
    open("/dev/null", O_WRONLY);
}

static void opens_a_packet_socket(void)
{
    socket(AF_PACKET, SOCK_RAW, 0);
}

static void runs_a_program(void)
{
    execl("/bin/true", "true", NULL);
}

static void signals_another(void)
{
    kill(getppid(), 0);
}

static void changes_its_user(void)
{
    if (setuid(getuid()))
        _exit(6);
}

/* Its status; what it said in `said`. */
static int end_of(void (*act)(void), char *said, size_t size)
{
    int status, out[2];
    cr_assert_eq(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(out[1], STDERR_FILENO);
        if (xt_calls_limit() < 0)
            _exit(2);
        act();
        _exit(0);
    }
    close(out[1]);
    ssize_t n = read(out[0], said, size - 1);
    said[n > 0 ? n : 0] = 0;
    close(out[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

Test(calls, others_end_the_process)
{
    static const struct {
        void (*act)(void);
        const char *name;
    } others[] = {
        {writes_a_file, "(openat)"}, {opens_a_packet_socket, "(socket)"}, {runs_a_program, "(execve)"},
        {signals_another, "(kill)"}, {changes_its_user, "(setuid)"},
    };
    char said[512];
    cr_expect_eq(end_of(allowed, said, sizeof said), 0, "%s", said);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        int status = end_of(others[i].act, said, sizeof said);
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %#x", others[i].name, status);
        cr_expect(strstr(said, others[i].name), "%s: %s", others[i].name, said);
    }
}

/* ---- the ring ---- */

static struct io_uring ring;

static void make_ring(void)
{
    cr_assert_eq(xt_uring_open(&ring, 8), 0);
}

static void free_ring(void)
{
    io_uring_queue_exit(&ring);
}

/* What became of the request that was prepared. */
static int result(void)
{
    struct io_uring_cqe *cqe;
    cr_assert_eq(io_uring_submit_and_wait(&ring, 1), 1);
    cr_assert_eq(io_uring_peek_cqe(&ring, &cqe), 0);
    int rc = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return rc;
}

Test(ring, does_what_the_data_plane_asks_for, .init = make_ring, .fini = free_ring)
{
    int pair[2];
    char got[4];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    io_uring_prep_send(io_uring_get_sqe(&ring), pair[0], "data", 4, 0);
    cr_expect_eq(result(), 4);
    io_uring_prep_poll_multishot(io_uring_get_sqe(&ring), pair[1], POLLIN);
    cr_expect_eq(result(), POLLIN);
    io_uring_prep_recv(io_uring_get_sqe(&ring), pair[1], got, sizeof got, 0);
    cr_expect_eq(result(), 4);
    close(pair[0]);
    close(pair[1]);
}

Test(ring, refuses_other_requests, .init = make_ring, .fini = free_ring)
{
    char byte;
    int null = open("/dev/null", O_RDONLY);
    io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, "/dev/null", O_WRONLY, 0);
    cr_expect_eq(result(), -EACCES, "openat");
    io_uring_prep_read(io_uring_get_sqe(&ring), null, &byte, 1, 0);
    cr_expect_eq(result(), -EACCES, "read");
    io_uring_prep_socket(io_uring_get_sqe(&ring), AF_PACKET, SOCK_RAW, 0, 0);
    cr_expect_eq(result(), -EACCES, "socket");
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    cr_expect_eq(result(), -EACCES, "nop");
    close(null);
}

Test(ring, refuses_other_ways_and_registrations, .init = make_ring, .fini = free_ring)
{
    int null = open("/dev/null", O_RDONLY);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_poll_add(sqe, null, POLLIN);
    io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
    cr_expect_eq(result(), -EACCES, "by a kernel thread");
    cr_expect_eq(io_uring_register_files(&ring, &null, 1), -EACCES);
    close(null);
}
