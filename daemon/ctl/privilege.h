/* SPDX-License-Identifier: Apache-2.0
 * Who may do what, by what the kernel says of the peer (SO_PEERCRED, SO_PEERGROUPS). Root may do everything. */
#ifndef XT_CTL_PRIVILEGE_H
#define XT_CTL_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/ctl/config.h"

struct xt_client;
struct xt_ctl;

#define XT_LOW_PORTS_MAX 16

/* The setting low-ports, names as numbers. */
struct xt_low_ports {
    bool all;
    unsigned nusers, ngroups;
    uid_t user[XT_LOW_PORTS_MAX];
    gid_t group[XT_LOW_PORTS_MAX];
};

/* "root", "all", "user NAME", "group NAME" with commas between; a name may be a number. Returns 0, or -EINVAL or -ENOENT with words in
 * `err`. Not thread-safe, as everything here that has names. */
int xt_low_ports_parse(const char *text, struct xt_low_ports *out, char *err, size_t errlen);

/* Are there all the users and groups that the settings name? Returns likewise. */
int xt_privilege_check(const struct xt_config *c, char *err, size_t errlen);
/* Puts these settings into effect. A name that is gone gives nobody a right; the log says so. */
void xt_privilege_apply(struct xt_ctl *c);

/* May the peer administer: as root, as who has started the daemon, as a member of the administrators' group? */
bool xt_privilege_admin(const struct xt_client *cl);
/* May its sockets have ports below 1024? */
bool xt_privilege_low_ports(const struct xt_client *cl);

#endif
