/* SPDX-License-Identifier: Apache-2.0
 * Rules for which TCP sockets of a program xtcp takes. One text for the daemon's configuration ("rules", handed to programs as they
 * attach), for $XTCP_RULES and for `xtcpctl rules`:
 *
 *   rule, rule, ...            the first that fits decides; $XTCP_RULES comes before the daemon's
 *   PLACE [listen|connect] [ADDRESS[/LENGTH]][:PORT[-PORT]] [by PROGRAM]
 *
 * PLACE is kernel, xtcp or both (of a listener on the wildcard address: reachable at xtcp's and at the kernel's addresses).
 * The address is the one bound or connected to, "*" any; a wildcard bind fits 0.0.0.0 and "*" only. PROGRAM may have "*" and "?".
 * Nothing here allocates or keeps state. */
#ifndef XT_RULES_H
#define XT_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XT_RULES_MAX 512       /* bytes of a text, NUL included */
#define XT_RULE_PROGRAM_MAX 64 /* of a program's name */

enum xt_place { XT_PLACE_KERNEL, XT_PLACE_XTCP, XT_PLACE_BOTH };

enum { XT_RULE_LISTEN = 1, XT_RULE_CONNECT = 2 };

struct xt_rule {
    enum xt_place place;
    unsigned calls;                    /* XT_RULE_* */
    uint32_t net, mask;                /* host byte order */
    uint16_t low, high;                /* ports */
    char program[XT_RULE_PROGRAM_MAX]; /* empty: any */
    const char *text;                  /* as it was written, `len` bytes */
    unsigned len;
};

/* A call to be decided. Addresses in host byte order. */
struct xt_rule_case {
    bool listen; /* else connect */
    uint32_t addr;
    uint16_t port;
    uint32_t own;                   /* the daemon's address */
    const char *program[2];         /* names of the program; the second may be NULL */
    bool (*is_host)(uint32_t addr); /* whether the kernel of this host owns an address; asked last, for connect only */
    const char *texts[2], *from[2]; /* rules (NULL: none) in their order, and what to call their origin */
};

/* Takes the next rule off *text. 1; 0: there is none; -EINVAL with one line in `err`, which begins with the place in `whole`. */
int xt_rule_next(const char *whole, const char **text, struct xt_rule *r, char *err, size_t errlen);

/* 0 or -EINVAL, as above. */
int xt_rules_check(const char *text, char *err, size_t errlen);

/* Who gets it. `why` says what decided it. A text is decided by as far as it is right. */
enum xt_place xt_rules_decide(const struct xt_rule_case *c, char *why, size_t size);

const char *xt_place_name(enum xt_place place);

#endif
