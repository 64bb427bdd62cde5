/* SPDX-License-Identifier: Apache-2.0
 * Lines of a script to settings and events. */
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packet/script/script.h"

#define LINE_MAX_BYTES 512

struct source {
    struct pkt_script *s;
    const char *file;
    int line, depth;
};

static bool load(struct pkt_script *s, const char *path, int depth);

static bool fail(const struct source *in, const char *why, const char *what)
{
    printf("%s:%d: %s: '%s'\n", in->file, in->line, why, what);
    return false;
}

static char *trim(char *p)
{
    p += strspn(p, " \t");
    size_t n = strlen(p);
    while (n > 0 && strchr(" \t\n", p[n - 1]))
        p[--n] = 0;
    return p;
}

static struct pkt_event *event_new(struct pkt_script *s)
{
    if (s->nevents == s->room) {
        s->room = s->room ? 2 * s->room : 32;
        s->events = realloc(s->events, (size_t)s->room * sizeof *s->events);
        if (!s->events)
            abort();
    }
    struct pkt_event *e = &s->events[s->nevents++];
    memset(e, 0, sizeof *e);
    return e;
}

static uint64_t seconds(const char *text, char **end)
{
    return (uint64_t)(strtod(text, end) * 1e6 + 0.5);
}

/* "EAGAIN" to -EAGAIN, "5", "*", "1..5". */
static bool parse_result(const char *text, struct pkt_range *r)
{
    char *end;
    *r = (struct pkt_range){.any = text[0] == '*' && !text[1]};
    if (r->any)
        return true;
    for (int e = 1; e < 134; e++) {
        const char *name = strerrorname_np(e);
        if (name && strcmp(name, text) == 0) {
            r->lo = r->hi = (uint32_t)-e;
            return true;
        }
    }
    r->lo = r->hi = (uint32_t)strtoll(text, &end, 0);
    if (end != text && strncmp(end, "..", 2) == 0)
        r->hi = (uint32_t)strtoll(end + 2, &end, 0);
    return end != text && *end == 0;
}

/* NAME [ARG...] [= RESULT] */
static bool parse_words(struct source *in, struct pkt_event *e, char *text)
{
    char *result = strchr(text, '='), *save = NULL;
    if (result) {
        *result = 0;
        e->has_result = true;
        if (!parse_result(trim(result + 1), &e->result))
            return fail(in, "a result is a number, a range, * or the name of an errno", trim(result + 1));
    }
    for (char *w = strtok_r(text, " \t", &save); w && e->nargs < PKT_ARGS; w = strtok_r(NULL, " \t", &save))
        e->args[e->nargs++] = strdup(w);
    return e->nargs > 0 || fail(in, "an event wanted", text);
}

static enum pkt_kind kind_of(const char *word)
{
    static const struct {
        const char *word;
        enum pkt_kind kind;
    } kinds[] = {
        {"state", PKT_STATE}, {"info", PKT_INFO}, {"icmp", PKT_ICMP}, {"new", PKT_NEW}, {"nothing", PKT_NOTHING}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].word, word) == 0)
            return kinds[i].kind;
    return PKT_CALL;
}

/* One segment of `len` at a time where 'by' says so; PSH and FIN are the last one's. */
static void expand(struct pkt_script *s, const struct pkt_event *whole)
{
    struct pkt_tmpl t = whole->seg;
    uint32_t left = t.len, by = t.by ? t.by : t.len;
    uint8_t last = whole->seg.flags;
    bool first = true;
    do {
        struct pkt_event *e = event_new(s);
        *e = *whole;
        t.len = left < by ? left : by;
        t.flags = left > by ? last & (uint8_t)~0x09 : last;
        e->seg = t;
        if (!first) {
            e->at = 0;
            e->relative = true;
        }
        t.seq.lo += t.len;
        t.seq.hi += t.len;
        left -= t.len;
        first = false;
    } while (left > 0);
}

static bool parse_segment(struct source *in, struct pkt_event *e, char *text)
{
    e->kind = *text == '<' ? PKT_INJECT : PKT_EXPECT;
    const char *why = pkt_tmpl_parse(text + 1, &e->seg);
    if (why)
        return fail(in, why, text);
    struct pkt_event whole = *e;
    in->s->nevents--;
    expand(in->s, &whole);
    return true;
}

static bool parse_event(struct source *in, char *text, uint64_t at, uint64_t slack, bool relative)
{
    struct pkt_event *e = event_new(in->s);
    *e = (struct pkt_event){
        .file = in->file, .line = in->line, .text = strdup(text), .at = at, .slack = slack, .relative = relative};
    if (*text == '<' || *text == '>')
        return parse_segment(in, e, text);
    if (!parse_words(in, e, text))
        return false;
    e->kind = kind_of(e->args[0]);
    if (e->kind == PKT_NOTHING) {
        if (e->nargs != 2)
            return fail(in, "nothing SECONDS", e->text);
        char *end;
        e->result.lo = (uint32_t)seconds(e->args[1], &end);
    }
    return true;
}

/* TIME or +TIME, perhaps with ~SLACK. Without one the events come at once. */
static bool parse_events(struct source *in, char *p)
{
    uint64_t at = 0, slack = 0;
    bool relative = true;
    if (*p == '+' || (*p >= '0' && *p <= '9')) {
        relative = *p == '+';
        at = seconds(p + relative, &p);
        if (*p == '~')
            slack = seconds(p + 1, &p);
        if (*p != ' ' && *p != '\t')
            return fail(in, "a time wanted: SECONDS or +SECONDS, with ~SLACK perhaps", p);
    }
    for (char *next; p; p = next) {
        next = strchr(p, ';');
        if (next)
            *next++ = 0;
        if (*trim(p) && !parse_event(in, trim(p), at, slack, relative))
            return false;
        at = 0;
        relative = true;
    }
    return true;
}

static bool parse_setting(struct source *in, char *text)
{
    struct pkt_script *s = in->s;
    char name[32], value[32];
    if (sscanf(text, "%31s %31s", name, value) != 2)
        return fail(in, "set NAME VALUE", text);
    if (strcmp(name, "iss") == 0 || strcmp(name, "irs") == 0) {
        *(name[1] == 's' ? &s->own_isn : &s->peer_isn) = (uint32_t)strtoul(value, NULL, 0);
        s->isn_set = true;
        snprintf(s->core_only, sizeof s->core_only, "it chooses the sequence numbers");
        return true;
    }
    if (s->nsettings == PKT_SETTINGS)
        return fail(in, "too many settings", text);
    snprintf(s->settings[s->nsettings][0], sizeof s->settings[0][0], "%s", name);
    snprintf(s->settings[s->nsettings++][1], sizeof s->settings[0][1], "%s", value);
    return true;
}

static bool parse_include(struct source *in, const char *name)
{
    char copy[1024], path[2048];
    snprintf(copy, sizeof copy, "%s", in->file);
    snprintf(path, sizeof path, "%s/%s", dirname(copy), name);
    return load(in->s, path, in->depth + 1) || fail(in, "included here", name);
}

static bool parse_line(struct source *in, char *line)
{
    char *hash = strchr(line, '#');
    if (hash) {
        if (!in->s->title[0] && in->depth == 0 && strncmp(hash, "# SPDX", 6) != 0)
            snprintf(in->s->title, sizeof in->s->title, "%s", trim(hash + 1));
        *hash = 0;
    }
    char *p = trim(line);
    if (!*p)
        return true;
    if (strncmp(p, "set ", 4) == 0)
        return parse_setting(in, p + 4);
    if (strncmp(p, "include ", 8) == 0)
        return parse_include(in, trim(p + 8));
    if (strncmp(p, "daemon only:", 12) == 0) {
        snprintf(in->s->daemon_only, sizeof in->s->daemon_only, "%s", trim(p + 12));
        return true;
    }
    if (strncmp(p, "core only:", 10) == 0) {
        snprintf(in->s->core_only, sizeof in->s->core_only, "%s", trim(p + 10));
        return true;
    }
    if (strncmp(p, "linux differs:", 14) == 0) {
        snprintf(in->s->differs, sizeof in->s->differs, "%s", trim(p + 14));
        return true;
    }
    return parse_events(in, p);
}

static bool load(struct pkt_script *s, const char *path, int depth)
{
    struct source in = {.s = s, .file = path, .depth = depth};
    char line[LINE_MAX_BYTES];
    FILE *f = s->nfiles < PKT_FILES ? fopen(path, "re") : NULL;
    bool ok = true;
    if (!f)
        return fail(&in, "can't be read", path);
    in.file = s->files[s->nfiles++] = strdup(path);
    while (ok && fgets(line, sizeof line, f)) {
        in.line++;
        ok = strchr(line, '\n') ? parse_line(&in, line) : fail(&in, "the line is too long", line);
    }
    fclose(f);
    return ok;
}

bool pkt_script_load(struct pkt_script *s, const char *path)
{
    memset(s, 0, sizeof *s);
    s->path = path;
    if (!load(s, path, 0))
        return false;
    if (!s->title[0] || s->nevents == 0)
        printf("%s: a script has a title comment and events\n", path);
    return s->title[0] && s->nevents > 0;
}

void pkt_script_free(struct pkt_script *s)
{
    for (int i = 0; i < s->nevents; i++) {
        struct pkt_event *e = &s->events[i];
        /* Segments made from one line share its text. */
        if (i == 0 || e->text != e[-1].text)
            free(e->text);
        for (int j = 0; j < e->nargs; j++)
            free(e->args[j]);
    }
    free(s->events);
    for (int i = 0; i < s->nfiles; i++)
        free(s->files[i]);
}
