/* SPDX-License-Identifier: Apache-2.0
 * Writes STATES.md from the state table: `xt-states` prints it, `xt-states --check FILE` compares FILE with it and fails when it
 * is stale. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/fsm.h"

static void table(FILE *f)
{
    fprintf(f, "| state | event | next state |\n| --- | --- | --- |\n");
    for (unsigned s = 0; s < XT_NSTATES; s++)
        for (unsigned e = 0; e < XT_FSM_NEVENTS; e++)
            if (xt_fsm_next(s, e) >= 0)
                fprintf(f, "| %s | %s | %s |\n", xt_state_name(s), xt_fsm_event_text(e),
                        xt_state_name((unsigned)xt_fsm_next(s, e)));
}

/* The ways to CLOSED by reset, abort and time-out would hide all else: the graph leaves them to the table. */
static int in_graph(unsigned from, unsigned event)
{
    if (xt_fsm_next(from, event) < 0)
        return 0;
    if (from == XT_TIME_WAIT && event == XT_FSM_TIMEOUT)
        return 1;
    return event != XT_FSM_RCV_RST && event != XT_FSM_ABORT && event != XT_FSM_TIMEOUT;
}

static void graph(FILE *f)
{
    fprintf(f, "```mermaid\nstateDiagram-v2\n    [*] --> CLOSED\n");
    for (unsigned s = 0; s < XT_NSTATES; s++)
        for (unsigned e = 0; e < XT_FSM_NEVENTS; e++)
            if (in_graph(s, e))
                fprintf(f, "    %s --> %s: %s\n", xt_state_name(s), xt_state_name((unsigned)xt_fsm_next(s, e)),
                        xt_fsm_event_text(e));
    fprintf(f, "```\n");
}

static void document(FILE *f)
{
    fprintf(
        f, "# The TCP states\n\n"
           "Made from the table in `daemon/tcp/fsm.c` by `tools/states`; a test fails when this file is stale.\n"
           "What is not listed is no transition: the segment or call is handled within the state.\n\n"
           "A listener stays in LISTEN: its child takes the way from LISTEN to SYN_RECV. A half-close in\n"
           "SYN_SENT, or in SYN_RECV with data queued, waits for ESTABLISHED and moves on from there.\n\n## Table\n\n");
    table(f);
    fprintf(f, "\n## Graph\n\nWithout the ways to CLOSED by reset, abort and failure.\n\n");
    graph(f);
}

static int check(const char *path, const char *want, size_t len)
{
    char *have = calloc(1, len + 2);
    FILE *f = fopen(path, "r");
    if (!f || !have) {
        perror(path);
        free(have);
        if (f)
            fclose(f);
        return 1;
    }
    size_t n = fread(have, 1, len + 1, f);
    int stale = n != len || memcmp(have, want, len) != 0;
    fclose(f);
    free(have);
    if (stale)
        fprintf(stderr, "%s is stale: build/daemon/tcp/xt-states > STATES.md mends it\n", path);
    return stale;
}

int main(int argc, char **argv)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f) {
        perror("states");
        return 1;
    }
    document(f);
    fclose(f);
    int rc = 0;
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        rc = check(argv[2], text, len);
    else
        rc = fwrite(text, 1, len, stdout) != len;
    free(text);
    return rc;
}
