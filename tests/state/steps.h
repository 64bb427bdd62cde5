/* SPDX-License-Identifier: Apache-2.0
 * The steps that dialogues are made of, and the runner of a table of them: inject, expect, expect nothing, call, let time
 * pass. Each dialogue starts with a CLOSED connection (ISS 5000) and a peer (ISS 9000). */
#ifndef XT_TEST_STEPS_H
#define XT_TEST_STEPS_H

#include "daemon/tcp/due.h"
#include "tests/state/dialogue.h"

#define EXPECT(cond)           \
    do {                       \
        if (!(cond)) {         \
            d->failed = #cond; \
            return;            \
        }                      \
    } while (0)

/* Did a timer that was set for `gap` come after `us`? */
static inline bool is_gap(uint64_t us, uint64_t gap)
{
    return us >= gap && us < gap + XT_DUE_UNIT;
}

/* The peer sends a segment of `len` bytes; what was sent and seen before is forgotten. */
void from_peer(struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* The same with a window of its own. */
void from_peer_wnd(struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len, uint16_t wnd);
/* The peer acknowledges all that is out, with an empty segment. */
void peer_acks(struct dlg *d);

/* Exactly one segment was sent, and it is this one (`ack` counts with XT_TH_ACK only). */
bool sent(const struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack);
/* <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> */
bool sent_ack(const struct dlg *d);
/* Exactly one segment was sent, with `len` bytes from `seq` on. */
bool sent_data(const struct dlg *d, uint32_t seq, uint32_t len);

/* The application writes `n` letters; what was sent and seen before is forgotten. */
void app_writes(struct dlg *d, uint32_t n);
/* The application reads all there is, or `n` bytes of it. */
void app_reads(struct dlg *d, uint32_t n);

/* Moves the clock to the next deadline and runs the timer; false when none runs. */
bool next_timer(struct dlg *d);
/* Lets `us` pass; timers that fall due run. */
void pass(struct dlg *d, uint64_t us);

/* ESTABLISHED with a peer that negotiates the options of `syn` (XT_OPT_*) and offers `wnd` bytes. */
bool reach_with(struct dlg *d, uint8_t opts, uint16_t mss, uint16_t wnd);

struct step_test {
    const char *name;
    void (*run)(struct dlg *d);
};

/* Runs them all as TAP checks; returns the exit status. */
int run_steps(const struct step_test *tests, unsigned n);

#endif
