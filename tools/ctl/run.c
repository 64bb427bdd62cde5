/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl run: a program with the preload library and the daemon's socket in its environment. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/xt_rules.h"
#include "tools/ctl/ctl.h"

#define PRELOAD "libxtcp-preload.so"

/* As execvp() finds it. */
static bool find_program(const char *name, char *out, size_t size)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/')) {
        snprintf(out, size, "%s", name);
        return access(out, F_OK) == 0;
    }
    for (const char *p = path ? path : "/usr/bin:/bin"; *p; p += strcspn(p, ":"), p += *p == ':') {
        int n = (int)strcspn(p, ":");
        snprintf(out, size, "%.*s%s%s", n, p, n ? "/" : "./", name);
        if (access(out, X_OK) == 0)
            return true;
    }
    return false;
}

/* $XTCP_PRELOAD, else beside xtcpctl as built, else where it is installed. */
static bool find_preload(char *out, size_t size)
{
    static const char *const places[] = {"/../../libclient/preload/" PRELOAD, "/../lib/" PRELOAD, "/" PRELOAD};
    const char *env = getenv("XTCP_PRELOAD");
    char dir[PATH_MAX], try[PATH_MAX + 64], real[PATH_MAX];
    if (env && *env) {
        snprintf(out, size, "%s", env);
        return access(out, R_OK) == 0;
    }
    ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);
    dir[n > 0 ? n : 0] = 0;
    if (strrchr(dir, '/'))
        *strrchr(dir, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(try, sizeof try, "%s%s", dir, places[i]);
        if (realpath(try, real)) {
            snprintf(out, size, "%s", real);
            return true;
        }
    }
    snprintf(out, size, "%s", XT_LIBDIR "/" PRELOAD);
    return access(out, R_OK) == 0;
}

/* Ours comes first, others stay. */
static void set_preload(const char *lib)
{
    const char *old = getenv("LD_PRELOAD");
    size_t size = strlen(lib) + (old ? strlen(old) : 0) + 2;
    char *value = malloc(size);
    if (!value)
        abort();
    bool there = old && strstr(old, lib);
    snprintf(value, size, "%s%s%s", there ? "" : lib, old && *old && !there ? ":" : "", old ? old : "");
    setenv("LD_PRELOAD", value, 1);
    free(value);
}

static int refuse(const char *program, const char *what, const char *why)
{
    if (strcmp(program, what) == 0)
        return ctl_fail(CTL_FAILED, "%s %s", program, why);
    return ctl_fail(CTL_FAILED, "%s is run by %s, which %s", program, what, why);
}

static int check_program(const char *program)
{
    char what[PATH_MAX];
    switch (ctl_elf_look(program, what, sizeof what)) {
    case CTL_ELF_STATIC:
        return refuse(program, what,
                      "is statically linked: a preload has no effect there; use a dynamically linked build");
    case CTL_ELF_SETID:
        return refuse(
            program, what,
            "is set-user-ID or set-group-ID: the dynamic linker ignores a preload there; run a copy without that bit");
    case CTL_ELF_CAPS:
        return refuse(program, what,
                      "has file capabilities: the dynamic linker ignores a preload there; run a copy without them");
    case CTL_ELF_FOREIGN:
        return refuse(program, what,
                      "is not of this machine's kind (64 bit, as the library is): a preload has no effect there");
    case CTL_ELF_GO:
        return refuse(program, what,
                      "is written in Go, which makes its system calls itself: a preload sees none of them");
    case CTL_ELF_DYNAMIC:
    case CTL_ELF_OTHER: /* exec will say what is wrong with it */
        break;
    }
    return CTL_OK;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int ctl_cmd_run(const struct ctl_options *opt, int argc, char **argv)
{
    char program[PATH_MAX], lib[PATH_MAX + 64], why[160];
    const char *rules = getenv("XTCP_RULES"), *fallback = getenv("XTCP_FALLBACK");
    if (argc && strcmp(argv[0], "--") == 0) {
        argc--;
        argv++;
    }
    if (!argc)
        return ctl_fail(CTL_USAGE, "run wants a program: xtcpctl run -- PROGRAM [ARGUMENT]...");
    if (!find_program(argv[0], program, sizeof program))
        return ctl_fail(CTL_NO_PROGRAM, "there is no program '%s'", argv[0]);
    if (access(program, X_OK) < 0 || is_folder(program))
        return ctl_fail(CTL_NOT_RUN, "%s may not be executed", program);
    if (rules && xt_rules_check(rules, why, sizeof why) < 0)
        return ctl_fail(CTL_USAGE, "XTCP_RULES, %s", why);
    int rc = check_program(program);
    if (rc != CTL_OK)
        return rc;
    if (!find_preload(lib, sizeof lib))
        return ctl_fail(CTL_FAILED, "%s is not there: name the library's place with $XTCP_PRELOAD", lib);
    if (!fallback || strcmp(fallback, "kernel") != 0) {
        int fd = ctl_connect(opt);
        if (fd < 0)
            return CTL_NO_DAEMON;
        close(fd);
    }
    set_preload(lib);
    setenv("XTCP_SOCKET", opt->socket, 1);
    execv(program, argv);
    return ctl_fail(errno == ENOENT ? CTL_NO_PROGRAM : CTL_NOT_RUN, "cannot run %s: %s", program, strerror(errno));
}
