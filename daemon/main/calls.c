/* SPDX-License-Identifier: Apache-2.0
 * The list: what a stack process does while it serves, and what libc does for that on one kernel or another. Files are only read (the
 * configuration, the database of groups); no program is run, no process looked into or made, no packet socket opened, no memory made
 * executable. */
#include "daemon/main/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/macros.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define MAX_NUMBER 512 /* of a system call, for its name */
#define PATIENCE_S 2

/* With any arguments. */
/* clang-format off */
static const int plain[] = {
    /* memory */
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    /* threads, signals, time */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(pause), SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    /* about itself and the machine */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(alarm), SCMP_SYS(getrandom), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    /* descriptors; unlink: without a keeper it takes its own socket away at the end */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat),
    SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(getdents64), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(eventfd2), SCMP_SYS(pipe2), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    /* sockets */
    SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(accept4), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(sendto),
    SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(recvfrom), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(shutdown),
};
/* What the sanitizers' runtime does as the process ends, to look for leaks. */
static const int sanitizers[] = {
    SCMP_SYS(ptrace), SCMP_SYS(wait4), SCMP_SYS(getdents), SCMP_SYS(clone), SCMP_SYS(prctl), SCMP_SYS(process_vm_readv), SCMP_SYS(getrusage),
};
/* clang-format on */

static int add_plain(scmp_filter_ctx f, const int *call, size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, call[i], 0);
    return rc;
}

/* With an argument that is as it should be. Two rules of a call are two ways to be let through. */
static int add_some(scmp_filter_ctx f)
{
    const scmp_datum_t self = (scmp_datum_t)getpid();
    const scmp_datum_t writes = O_ACCMODE | O_CREAT | O_TRUNC;
    const struct {
        int call;
        struct scmp_arg_cmp arg;
    } rules[] = {
        {SCMP_SYS(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX, 0)},
        {SCMP_SYS(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_INET, 0)},
        {SCMP_SYS(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK, 0)},
        {SCMP_SYS(socketpair), SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX, 0)},
        {SCMP_SYS(open), SCMP_A1_32(SCMP_CMP_MASKED_EQ, writes, O_RDONLY)},
        {SCMP_SYS(openat), SCMP_A2_32(SCMP_CMP_MASKED_EQ, writes, O_RDONLY)},
        {SCMP_SYS(mmap), SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(mprotect), SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)},
        {SCMP_SYS(sched_setaffinity), SCMP_A0_32(SCMP_CMP_EQ, 0, 0)}, /* a thread's own */
        {SCMP_SYS(kill), SCMP_A0_32(SCMP_CMP_EQ, self, 0)},
        {SCMP_SYS(tgkill), SCMP_A0_32(SCMP_CMP_EQ, self, 0)},
        {SCMP_SYS(prctl), SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME, 0)},
        {SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0, 0)}, /* asks only */
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, SIOCGIFHWADDR, 0)},
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, SIOCGIFFLAGS, 0)},
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, SIOCGIFMTU, 0)},
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, SIOCGIFINDEX, 0)},
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, FIONREAD, 0)},
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, FIONBIO, 0)},
        {SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, TCGETS, 0)},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < XT_ARRAY_LEN(rules); i++)
        if (!SANITIZED || (rules[i].call != SCMP_SYS(clone) && rules[i].call != SCMP_SYS(prctl)))
            rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, rules[i].call, 1, &rules[i].arg);
    return rc;
}

/* Refused with an error that libc is ready for: it makes threads the old way, and does without a module. */
static int add_refused(scmp_filter_ctx f)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mmap), 1,
                              SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    return rc;
}

static int add_all(scmp_filter_ctx f)
{
    int rc = add_plain(f, plain, XT_ARRAY_LEN(plain));
    if (rc == 0)
        rc = add_some(f);
    if (rc == 0)
        rc = add_refused(f);
    if (rc == 0 && SANITIZED)
        rc = add_plain(f, sanitizers, XT_ARRAY_LEN(sanitizers));
    return rc;
}

/* ---- another call ---- */

/* Made beforehand: a handler must not allocate. */
static char *names[MAX_NUMBER];

static void name_calls(void)
{
    for (int i = 0; i < MAX_NUMBER; i++)
        names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
}

static void on_violation(int sig, siginfo_t *si, void *context)
{
    int n = si->si_syscall;
    xt_log_error("system call %d (%s) is none that the stack process makes: it ends (seccomp = off lets it through)", n,
                 n >= 0 && n < MAX_NUMBER && names[n] ? names[n] : "?");
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
}

/* Where memory is short libseccomp 2.5 may go round in circles: SIGALRM ends the process then, and the keeper starts another one. */
int xt_calls_limit(void)
{
    alarm(PATIENCE_S);
    const struct sigaction sa = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO | SA_NODEFER};
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);
    if (!f)
        return -ENOMEM;
    if (SANITIZED)
        prctl(PR_SET_DUMPABLE, 1); /* or they could not look */
    name_calls();
    sigaction(SIGSYS, &sa, NULL);
    int rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS); /* not one thread alone */
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = add_all(f);
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: many calls are the same few */
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    alarm(0);
    return rc;
}
