/* SPDX-License-Identifier: Apache-2.0
 * A parsed packet script. README.md beside the scripts describes the language. */
#ifndef PKT_SCRIPT_H
#define PKT_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/packet/script/segtext.h"

#define PKT_ARGS 4
#define PKT_SETTINGS 24
#define PKT_FILES 8

enum pkt_kind { PKT_INJECT, PKT_EXPECT, PKT_NOTHING, PKT_CALL, PKT_STATE, PKT_INFO, PKT_ICMP, PKT_NEW };

struct pkt_event {
    enum pkt_kind kind;
    const char *file;
    int line;
    char *text;     /* as in the script, for reports */
    uint64_t at;    /* microseconds, absolute or since the event before */
    uint64_t slack; /* microseconds either way */
    bool relative;
    struct pkt_tmpl seg;  /* INJECT, EXPECT */
    char *args[PKT_ARGS]; /* the words: of a call its name first */
    int nargs;
    bool has_result;
    struct pkt_range result; /* of calls, where an errno is a negative number; of INFO; duration in us of NOTHING */
};

struct pkt_script {
    const char *path;
    char title[200];       /* first comment */
    char daemon_only[120]; /* why the core alone can't run it; "" when it can */
    char core_only[120];   /* why it can't run against the daemon; "" when it can */
    char differs[160];     /* why the kernel's TCP does something else; "" when it is to do the same */
    char settings[PKT_SETTINGS][2][32];
    int nsettings;
    bool isn_set; /* the script chooses sequence numbers itself */
    uint32_t own_isn, peer_isn;
    char *files[PKT_FILES]; /* itself and what it includes */
    int nfiles;
    struct pkt_event *events;
    int nevents, room;
};

/* Reads a script and what it includes. On failure prints FILE:LINE and the reason, and returns false. */
bool pkt_script_load(struct pkt_script *s, const char *path);
void pkt_script_free(struct pkt_script *s);

#endif
