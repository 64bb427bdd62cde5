/* SPDX-License-Identifier: Apache-2.0
 * A candidate for an upgrade looks at what is kept: any layout that it does not know is refused, in words. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout.h"
#include "daemon/main/layout_before.h"
#include "daemon/main/standby.h"
#include "daemon/stack/stack.h"

#define CONNS 64

static struct xt_handed h;
static struct xt_kept state;
static struct xt_app *app;
static struct xt_ledger *ledger;
static char err[256];

static void setup(void)
{
    const struct xt_app_cfg cfg = {.max_slots = 64, .max_sessions = 4, .arena = 1 << 24};
    int fd;
    memset(&h, 0, sizeof h);
    cr_assert_eq(xt_kept_new(&state, xt_stack_state_size(CONNS)), 0);
    *(struct xt_state_hdr *)state.stack = (struct xt_state_hdr){
        .magic = XT_STATE_MAGIC, .version = XT_STATE_VERSION, .record_size = sizeof(struct xt_conn)};
    cr_assert_eq(xt_app_new(&app, &cfg), 0);
    cr_assert_eq(xt_ledger_new(&ledger, &fd, 64), 0);
    cr_assert_eq(xt_handed_add(&h, "state", dup(state.fd)), 0);
    cr_assert_eq(xt_handed_add(&h, "global", dup(xt_app_global_fd(app))), 0);
    cr_assert_eq(xt_handed_add(&h, "l00010001", fd), 0);
}

static void teardown(void)
{
    xt_handed_free(&h);
    xt_ledger_close(ledger);
    xt_app_free(app);
    xt_kept_close(&state);
}

TestSuite(standby, .init = setup, .fini = teardown);

static void refused(const char *words)
{
    cr_expect_eq(xt_standby_check(&h, CONNS, 1, err, sizeof err), -EPROTO, "not refused: %s", words);
    cr_expect(strstr(err, words), "says %s, not %s", err, words);
}

/* `word` is another for once. */
static void other(uint32_t *word, const char *words)
{
    uint32_t was = *word;
    *word += 1000;
    err[0] = 0;
    refused(words);
    *word = was;
    cr_expect_eq(xt_standby_check(&h, CONNS, 1, err, sizeof err), 0, "%s", err);
}

Test(standby, what_it_knows_is_taken)
{
    cr_assert_eq(xt_standby_check(&h, CONNS, 1, err, sizeof err), 0, "%s", err);
    cr_expect_eq(h.n, 3);
    for (unsigned i = 0; i < h.n; i++)
        cr_expect_geq(h.item[i].fd, 0);
}

Test(standby, other_layouts_are_refused)
{
    struct xt_state_hdr *s = state.stack;
    char words[64];
    snprintf(words, sizeof words, "connections have layout %u", XT_STATE_VERSION + 1000);
    other(&s->version, words);
    other(&s->record_size, "layout");
    other(&state.page->version, "kept state has layout");
    other(&ledger->version, "clients have layout");
    other(&ledger->slot_size, "clients have layout");
    other(&ledger->magic, "layout of xtcpd's");
    other(&xt_app_global(app)->abi, "interface version");
}

static void refused_as(uint32_t *version, uint32_t is, const char *what)
{
    char words[64];
    uint32_t was = *version;
    *version = is;
    snprintf(words, sizeof words, "%s have layout %u", what, is);
    refused(words);
    *version = was;
}

/* n reads n-1: not n-2, and nothing that is newer than itself. */
Test(standby, one_release_back_and_no_further)
{
    struct xt_state_hdr *s = state.stack;
    refused_as(&s->version, XT_STATE_VERSION + 1, "connections");
    refused_as(&s->version, XT_STATE_BEFORE - 1, "connections");
    refused_as(&s->version, XT_STATE_BEFORE, "connections"); /* by its number, but not by its size */
    refused_as(&ledger->version, XT_LEDGER_VERSION + 1, "clients");
    refused_as(&ledger->version, XT_LEDGER_BEFORE - 1, "clients");
    cr_expect(XT_STATE_BEFORE + 1 == XT_STATE_VERSION || XT_STATE_BEFORE == XT_STATE_VERSION);
    cr_expect(XT_LEDGER_BEFORE + 1 == XT_LEDGER_VERSION || XT_LEDGER_BEFORE == XT_LEDGER_VERSION);

    struct xt_kept old;
    cr_assert_eq(xt_kept_new(&old, xt_layout_state_size(1, CONNS, 1)), 0);
    *(struct xt_state_hdr *)old.stack = (struct xt_state_hdr){
        .magic = XT_STATE_MAGIC, .version = XT_STATE_BEFORE, .record_size = sizeof(struct xt_conn_before)};
    xt_handed_replace(&h, "state", dup(old.fd));
    ledger->version = XT_LEDGER_BEFORE;
    ledger->slot_size = sizeof(struct xt_pslot_before);
    cr_expect_eq(xt_standby_check(&h, CONNS, 1, err, sizeof err), 0, "%s", err);
    cr_expect_eq(xt_standby_check(&h, CONNS + 1, 1, err, sizeof err), -EPROTO);
    cr_expect(strstr(err, "max-connections"), "%s", err);
    xt_kept_close(&old);
}

Test(standby, another_size_is_refused)
{
    cr_expect_eq(xt_standby_check(&h, CONNS + 1, 1, err, sizeof err), -EPROTO);
    cr_expect(strstr(err, "max-connections"), "%s", err);
}

Test(standby, what_is_missing_is_refused)
{
    xt_handed_drop(&h, "global");
    refused("interface version");
    xt_handed_drop(&h, "state");
    refused("no connections are kept");
}
