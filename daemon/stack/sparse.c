/* SPDX-License-Identifier: Apache-2.0
 * What a burst has made of boards and of what is seldom needed does not stay for good: pages that hold none in use go back to the system
 * (base/sparse.h). Nothing is looked for in the path of packets, nor while nothing comes out of use. */
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"

#define TURN (10 * XT_US_PER_S)
#define PAUSE (XT_US_PER_S / 200) /* between parts of a turn */

int xt_sparse_begin(struct xt_stack *s)
{
    uint32_t n = s->cfg.max_conns;
    int rc = xt_sparse_init(&s->sparse_seldoms, s->seldoms, XT_SELDOM_SIZE, n);
    return rc ? rc : xt_sparse_init(&s->sparse_boards, s->boards, sizeof *s->boards, xt_board_count(n));
}

void xt_sparse_end(struct xt_stack *s)
{
    xt_sparse_fini(&s->sparse_seldoms);
    xt_sparse_fini(&s->sparse_boards);
}

static void soon(struct xt_stack *s)
{
    if (xt_wheel_deadline(&s->misc, XT_TIMER_SPARSE) == UINT64_MAX)
        xt_wheel_set(&s->misc, XT_TIMER_SPARSE, s->now + TURN);
}

void xt_sparse_board(struct xt_stack *s, uint32_t board)
{
    xt_sparse_left(&s->sparse_boards, board);
    soon(s);
}

void xt_sparse_seldom(struct xt_stack *s, uint32_t i)
{
    xt_sparse_left(&s->sparse_seldoms, i);
    soon(s);
}

static bool board_in_use(void *arg, uint32_t i)
{
    const struct xt_stack *s = arg;
    return s->board_lent[i];
}

static bool seldom_in_use(void *arg, uint32_t i)
{
    const struct xt_stack *s = arg;
    return i < s->hdr->high_water && (s->conns[i].flags & XT_CONN_USED) && xt_seldom_begun(&s->conns[i]);
}

void xt_sparse_timer(struct xt_stack *s)
{
    bool again;
    if (!s->sparse_boards_done) {
        if (xt_sparse_turn(&s->sparse_boards, board_in_use, s, &s->sparse_again)) {
            xt_wheel_set(&s->misc, XT_TIMER_SPARSE, s->now + PAUSE);
            return;
        }
        s->sparse_boards_done = true;
    }
    if (xt_sparse_turn(&s->sparse_seldoms, seldom_in_use, s, &again)) {
        xt_wheel_set(&s->misc, XT_TIMER_SPARSE, s->now + PAUSE);
        return;
    }
    s->sparse_boards_done = false;
    if (again || s->sparse_again)
        xt_wheel_set(&s->misc, XT_TIMER_SPARSE, s->now + TURN);
}
