/* SPDX-License-Identifier: Apache-2.0
 * The configuration of xtcpd: one table of keys gives names (of the INI file, the flags and `xtcpctl config`), types, defaults,
 * ranges and help. A later setting of a key replaces an earlier one, but for lists, which grow.
 * Not thread-safe: an object belongs to one thread. */
#ifndef XT_CTL_CONFIG_H
#define XT_CTL_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/stack/stack.h"
#include "proto/xt_rules.h"

#define XT_CONFIG_PATH "/etc/xtcp/xtcpd.conf"
#define XT_CONFIG_TEXT_MAX 2048 /* bytes of a value as text, NUL included */

/* Effective values. Addresses in network byte order, times in microseconds, sizes in bytes. */
struct xt_config {
    char interface[IF_NAMESIZE];
    struct {
        uint32_t addr;
        uint8_t prefix; /* 0: not set */
    } address;
    uint32_t gateway; /* 0: none */
    uint8_t mac[6];   /* all zero: derived, see xt_netif_check() */
    uint16_t mtu;     /* 0: the interface's */
    struct xt_route routes[XT_MAX_ROUTES];
    uint32_t nroutes;
    struct {
        uint16_t min, max;
    } ports;
    uint8_t ttl;
    uint8_t source_route;

    char socket[108];
    char admin_group[64];
    char low_ports[256];
    uint32_t user_clients, user_sockets, user_connects; /* 0: see xt_config_quota() */
    uint64_t user_memory;
    char user[64];
    uint8_t seccomp, follow;
    uint64_t restart_backoff;
    char rules[XT_RULES_MAX];
    uint32_t max_connections, max_clients, max_sockets, max_orphans, overload_rate, somaxconn;
    uint32_t sndbuf, sndbuf_max, rcvbuf, rcvbuf_max, bufmax; /* powers of two */
    uint64_t buffer_idle;
    uint64_t arena;
    uint32_t spin, client_spin;
    uint32_t rx_mode; /* enum xt_pktio_rx_mode */
    uint32_t rx_frames, tx_frames;
    uint32_t shards;
    uint32_t log_level; /* enum xt_log_level */

    struct xt_tcp_cfg tcp; /* fields without a key are zero: see xt_config_stack() */
};

enum xt_setting_type {
    XT_SET_TEXT,     /* `width` bytes, NUL-terminated */
    XT_SET_CIDR,     /* a.b.c.d/n */
    XT_SET_IPV4,     /* a.b.c.d or none */
    XT_SET_MAC,      /* aa:bb:cc:dd:ee:ff or auto */
    XT_SET_ROUTE,    /* list: a.b.c.d/n,GATEWAY or a.b.c.d/n (on link) */
    XT_SET_RULES,    /* list: rules as in proto/xt_rules.h, with commas between */
    XT_SET_RANGE,    /* low-high, two uint16_t */
    XT_SET_COUNT,    /* a number */
    XT_SET_SIZE,     /* bytes, with K, M or G */
    XT_SET_POW2,     /* likewise, a power of two */
    XT_SET_DURATION, /* with us, ms, s, m or h; a bare 0 */
    XT_SET_BOOL,     /* on, off */
    XT_SET_CHOICE,   /* one of `choices`; stored as its place in the list */
};

struct xt_setting {
    const char *name;
    enum xt_setting_type type;
    uint16_t offset; /* in struct xt_config */
    uint16_t width;  /* bytes of the field */
    bool runtime;    /* may change while the daemon runs */
    bool zero_auto;  /* 0 is written "auto" */
    uint64_t min, max;
    const char *choices; /* names with '|' between; of a text: what --help shows for it, NULL: NAME */
    const char *def;     /* default as text; NULL: none, the key must be set; "": empty */
    const char *help;
};

/* The table; `*n` is its length. */
const struct xt_setting *xt_config_keys(size_t *n);
const struct xt_setting *xt_config_key(const char *name);

/* All defaults. */
void xt_config_default(struct xt_config *c);

/* Sets one key from text. Returns 0, -ENOENT (no such key) or -EINVAL, with one line for people in `err` that names the key. */
int xt_config_set(struct xt_config *c, const char *name, const char *value, char *err, size_t errlen);

/* The value as the text that xt_config_set() takes; list entries are separated by spaces. */
void xt_config_get(const struct xt_config *c, const struct xt_setting *k, char *out, size_t size);

/* Value parsing and formatting by type; as above without the name in `err`. */
int xt_value_parse(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen);
void xt_value_format(const struct xt_config *c, const struct xt_setting *k, char *out, size_t size);

/* Reads an INI file over `c`. Returns 0, -ENOENT (no such file), another errno of opening it, or -EINVAL; `err` says which line. */
int xt_config_load(struct xt_config *c, const char *path, char *err, size_t errlen);

/* What the command line asks for beside keys. */
struct xt_cmdline {
    const char *config; /* --config, or NULL */
    bool help, version, print_config, no_keeper;
};

/* First pass: only what selects a file or an action; keys are checked to exist. Second pass: keys over `c`.
 * Both return 0 or -EINVAL with one line in `err`. */
int xt_config_scan(struct xt_cmdline *cl, int argc, char **argv, char *err, size_t errlen);
int xt_config_args(struct xt_config *c, int argc, char **argv, char *err, size_t errlen);

/* Defaults, then the file (--config must exist, the default path may be missing), then flags. Returns as above. */
int xt_config_build(struct xt_config *c, const struct xt_cmdline *cl, int argc, char **argv, char *err, size_t errlen);

/* Settings that contradict each other, or are missing. Returns 0 or -EINVAL. */
int xt_config_check(const struct xt_config *c, char *err, size_t errlen);

void xt_config_print(const struct xt_config *c, FILE *f); /* as an INI file */
void xt_config_help(FILE *f);

/* What each user may have; what is automatic depends on the other limits, and the machine's memory. */
struct xt_quota;
void xt_config_quota(const struct xt_config *c, struct xt_quota *out);

/* The share of each shard's stack: `c` must have passed xt_config_check() and xt_netif_check(). */
void xt_config_stack(const struct xt_config *c, struct xt_stack_cfg *out);

#endif
