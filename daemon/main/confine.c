/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/confine.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/main/calls.h"
#include "daemon/main/caps.h"

#define OWN_NAME "xtcp"
/* systemd gives such numbers to services without a user of their own. */
#define FIRST_FREE 61739
#define LAST_FREE 65519

struct user {
    uid_t uid;
    gid_t gid;
};

static bool is_number(const char *text, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && *out < UINT32_MAX;
}

static bool by_name(const char *name, struct user *u)
{
    const struct passwd *p = getpwnam(name);
    if (p)
        *u = (struct user){p->pw_uid, p->pw_gid};
    return p != NULL;
}

static bool nobodys(struct user *u)
{
    uid_t id = FIRST_FREE;
    while (id <= LAST_FREE && getpwuid(id))
        id++;
    *u = (struct user){id, id};
    return id <= LAST_FREE;
}

static bool find(const char *text, struct user *u)
{
    unsigned long n;
    if (strcmp(text, "auto") == 0)
        return by_name(OWN_NAME, u) || nobodys(u);
    if (!is_number(text, &n))
        return by_name(text, u);
    *u = (struct user){(uid_t)n, (gid_t)n};
    return true;
}

int xt_confine_check(const struct xt_config *c, char *err, size_t errlen)
{
    struct user u;
    if (find(c->user, &u))
        return 0;
    snprintf(err, errlen, "there is no user '%s': set user to one that exists, or to a number", c->user);
    return -ENOENT;
}

static int become(const char *name)
{
    struct user u;
    int rc = find(name, &u) ? xt_caps_reduce_as(u.uid, u.gid) : -ENOENT;
    if (rc < 0)
        xt_log_error("cannot become user '%s': %s", name, strerror(-rc));
    return rc;
}

int xt_confine_user(const struct xt_config *c, bool own_user)
{
    if (own_user && geteuid() == 0)
        return become(c->user);
    if (xt_caps_reduce() < 0)
        xt_log_warn("the stack process keeps more capabilities than it needs: they cannot be given up");
    return 0;
}

void xt_confine_thread(void)
{
    if (xt_caps_drop() < 0)
        xt_log_warn("a thread keeps capabilities that it does not need: they cannot be given up");
}

int xt_confine_calls(const struct xt_config *c)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int rc = c->seccomp ? xt_calls_limit() : 0;
    if (rc < 0)
        xt_log_error("cannot limit system calls: %s (seccomp = off does without)", strerror(-rc));
    else
        xt_log_info("the stack process has uid %u and no capabilities; its system calls are %s", geteuid(),
                    c->seccomp ? "limited" : "not limited");
    return rc;
}
