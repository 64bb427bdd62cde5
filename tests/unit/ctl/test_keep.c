/* SPDX-License-Identifier: Apache-2.0
 * What the keeper is told to hold and to forget: whatever the last word before a death was, its successor takes all that is held, or
 * knows that nobody will. A name that is held longer would be another one's later, and both be forgotten by it. */
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/ctl/keep.h"
#include "tests/unit/ctl/server.h"

static struct name {
    char text[XT_KEEP_NAME];
} names[16];
static unsigned held;

static bool is_held(char what)
{
    for (unsigned i = 0; i < held; i++)
        if (names[i].text[0] == what)
            return true;
    return false;
}

/* The end for reading is taken with the one for writing, so it is there whenever that is. */
static void check(void)
{
    cr_assert(is_held(XT_KEEP_READER) || !is_held(XT_KEEP_WRITER));
}

static int store(const char *name, int fd)
{
    cr_assert(held < sizeof names / sizeof names[0]);
    strcpy(names[held++].text, name);
    check();
    return 0;
}

static int forget(const char *name)
{
    for (unsigned i = 0; i < held;)
        if (strcmp(names[i].text, name) == 0)
            names[i] = names[--held];
        else
            i++;
    check();
    return 0;
}

/* A client with a waiter. */
static void start(struct liar *l)
{
    held = 0;
    ctl->cfg.keep.store = store;
    ctl->cfg.keep.forget = forget;
    liar_start(l);
    cr_assert(ask(l->fd, "waiter") > 0 && ok());
    xt_msg_anc_close(&anc);
    cr_assert(is_held(XT_KEEP_READER) && is_held(XT_KEEP_WRITER) && is_held(XT_KEEP_CONTROL));
}

TestSuite(keep, .init = server_setup, .fini = server_teardown);

Test(keep, nothing_is_held_of_who_is_gone)
{
    struct liar l;
    start(&l);
    liar_stop(&l);
    cr_expect(none_left());
    for (int i = 0; i < 50; i++)
        turn();
    cr_expect_eq(held, 0u);
}

static int take_nothing(void *arg, uint32_t id, char what, uint32_t n)
{
    return -1;
}

/* The last stack process died when the control connection was forgotten and the waiter was not. */
Test(keep, a_death_amid_forgetting)
{
    struct liar l;
    start(&l);
    xt_ctl_adopt(ctl, app->sessions[0], take_nothing, NULL);
    cr_expect_not(is_held(XT_KEEP_READER) || is_held(XT_KEEP_WRITER));
    liar_stop(&l);
    cr_expect(none_left());
}
