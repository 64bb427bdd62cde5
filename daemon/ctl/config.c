/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int fail(char *err, size_t errlen, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(char *err, size_t errlen, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err, errlen, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

void xt_config_default(struct xt_config *c)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    char err[256];
    memset(c, 0, sizeof *c);
    for (; n--; k++)
        if (k->def && xt_value_parse(c, k, k->def, err, sizeof err) < 0)
            abort(); /* the table contradicts itself */
}

/* ---- one key ---- */

/* Levenshtein distance of two short words. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);
    if (n > 32 || strlen(a) > 32)
        return UINT32_MAX;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diag + (*a != b[j - 1]);
            diag = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static const char *nearest(const char *name)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    const char *best = NULL;
    unsigned least = 1 + (unsigned)strlen(name) / 3; /* of 'foo', any other three letters would be near */
    for (; n--; k++)
        if (distance(name, k->name) < least) {
            least = distance(name, k->name);
            best = k->name;
        }
    return best;
}

static int unknown(const char *name, char *err, size_t errlen)
{
    const char *near = nearest(name);
    if (near)
        fail(err, errlen, "there is no setting '%.64s': did you mean '%s'?", name, near);
    else
        fail(err, errlen, "there is no setting '%.64s': xtcpd --help lists them", name);
    return -ENOENT;
}

int xt_config_set(struct xt_config *c, const char *name, const char *value, char *err, size_t errlen)
{
    const struct xt_setting *k = xt_config_key(name);
    char why[256];
    if (!k)
        return unknown(name, err, errlen);
    int rc = xt_value_parse(c, k, value, why, sizeof why);
    if (rc < 0)
        fail(err, errlen, "%s '%.64s' %s", name, value, why);
    return rc;
}

void xt_config_get(const struct xt_config *c, const struct xt_setting *k, char *out, size_t size)
{
    xt_value_format(c, k, out, size);
}

/* ---- file ---- */

struct loading {
    struct xt_config *c;
    FILE *f;
    int line;
    char err[512];
};

static bool is_comment(const char *line)
{
    line += strspn(line, " \t");
    return *line == ';' || *line == '#';
}

/* As fgets() for the parser, which would take the rest of a line that is too long for it as one more line. */
static char *read_line(char *buf, int size, void *stream)
{
    struct loading *l = stream;
    int ch = 0;
    if (l->err[0] || !fgets(buf, size, l->f))
        return NULL;
    l->line++;
    if (strchr(buf, '\n') || (int)strlen(buf) < size - 1)
        return buf;
    while (ch != EOF && ch != '\n')
        ch = getc(l->f);
    if (is_comment(buf))
        return buf;
    fail(l->err, sizeof l->err, "longer than %d characters: give each entry of a list a line of its own", size - 2);
    return NULL;
}

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    struct loading *l = user;
    if (l->err[0])
        return 1;
    if (*section && strcmp(section, "xtcpd") != 0)
        fail(l->err, sizeof l->err, "there is no section [%.32s]: the only one is [xtcpd]", section);
    else
        xt_config_set(l->c, name, value, l->err, sizeof l->err);
    return l->err[0] == 0;
}

int xt_config_load(struct xt_config *c, const char *path, char *err, size_t errlen)
{
    struct loading l = {.c = c, .f = fopen(path, "re")};
    if (!l.f) {
        int rc = -errno;
        fail(err, errlen, "cannot read %s: %s", path, strerror(errno));
        return rc;
    }
    int line = ini_parse_stream(read_line, &l, on_pair, &l);
    int rc = ferror(l.f) ? -errno : 0;
    fclose(l.f);
    if (rc < 0) {
        fail(err, errlen, "cannot read %s: %s", path, strerror(-rc));
        return rc;
    }
    if (line == 0 && l.err[0])
        line = l.line;
    if (line != 0)
        return fail(err, errlen, "%s:%d: %s", path, line, l.err[0] ? l.err : "not a line like 'name = value'");
    return 0;
}

/* ---- command line ---- */

/* One argument: a name without dashes, and the value that follows '=' or is the next argument. */
struct arg {
    char name[64];
    const char *value;
};

static bool take_flag(struct xt_cmdline *cl, const char *name)
{
    if (strcmp(name, "help") == 0)
        cl->help = true;
    else if (strcmp(name, "version") == 0)
        cl->version = true;
    else if (strcmp(name, "print-config") == 0)
        cl->print_config = true;
    else if (strcmp(name, "no-keeper") == 0)
        cl->no_keeper = true;
    else
        return strcmp(name, "foreground") == 0;
    return true;
}

/* Reads argv[*i]; moves *i past what it took. Returns 1 for a key with its value, 0 for a plain flag, or -EINVAL. */
static int next_arg(struct xt_cmdline *cl, int argc, char **argv, int *i, struct arg *a, char *err, size_t errlen)
{
    const char *text = argv[(*i)++];
    if (strcmp(text, "-h") == 0)
        text = "--help";
    if (strncmp(text, "--", 2) != 0 || !text[2])
        return fail(err, errlen, "'%.64s' is not a flag: xtcpd --help lists them", text);
    size_t n = strcspn(text + 2, "=");
    if (n >= sizeof a->name)
        return fail(err, errlen, "'%.64s' is not a flag: xtcpd --help lists them", text);
    memcpy(a->name, text + 2, n);
    a->name[n] = 0;
    if (take_flag(cl, a->name))
        return text[2 + n] ? fail(err, errlen, "--%s takes no value", a->name) : 0;
    if (strcmp(a->name, "config") != 0 && !xt_config_key(a->name)) {
        unknown(a->name, err, errlen);
        return -EINVAL;
    }
    if (text[2 + n])
        a->value = text + 2 + n + 1;
    else if (*i < argc)
        a->value = argv[(*i)++];
    else
        return fail(err, errlen, "--%s needs a value", a->name);
    return 1;
}

int xt_config_scan(struct xt_cmdline *cl, int argc, char **argv, char *err, size_t errlen)
{
    struct arg a;
    memset(cl, 0, sizeof *cl);
    for (int i = 1; i < argc;) {
        int rc = next_arg(cl, argc, argv, &i, &a, err, errlen);
        if (rc < 0)
            return rc;
        if (rc == 1 && strcmp(a.name, "config") == 0)
            cl->config = a.value;
    }
    return 0;
}

int xt_config_args(struct xt_config *c, int argc, char **argv, char *err, size_t errlen)
{
    struct xt_cmdline unused;
    struct arg a = {0};
    char why[512];
    for (int i = 1; i < argc;) {
        int rc = next_arg(&unused, argc, argv, &i, &a, err, errlen);
        if (rc < 0)
            return rc;
        if (rc == 1 && strcmp(a.name, "config") != 0 && xt_config_set(c, a.name, a.value, why, sizeof why) < 0)
            return fail(err, errlen, "--%s", why);
    }
    return 0;
}

int xt_config_build(struct xt_config *c, const struct xt_cmdline *cl, int argc, char **argv, char *err, size_t errlen)
{
    xt_config_default(c);
    int rc = xt_config_load(c, cl->config ? cl->config : XT_CONFIG_PATH, err, errlen);
    if (rc < 0 && (cl->config || rc != -ENOENT))
        return -EINVAL;
    return xt_config_args(c, argc, argv, err, errlen);
}

int xt_config_check(const struct xt_config *c, char *err, size_t errlen)
{
    uint32_t mask = c->address.prefix ? htobe32(UINT32_MAX << (32 - c->address.prefix)) : 0;
    if (!c->interface[0])
        return fail(err, errlen, "no interface is set: give --interface NAME or 'interface = NAME' in " XT_CONFIG_PATH);
    if (!c->address.prefix)
        return fail(err, errlen,
                    "no address is set: give --address A.B.C.D/LEN, an address that is free on the interface's "
                    "network");
    if (c->gateway && (c->gateway ^ c->address.addr) & mask)
        return fail(err, errlen, "gateway is not on the network of address: it must be reachable without a gateway");
    for (uint32_t i = 0; i < c->nroutes; i++)
        if (c->routes[i].gateway && (c->routes[i].gateway ^ c->address.addr) & mask)
            return fail(err, errlen,
                        "a route's gateway is not on the network of address: it must be reachable without a "
                        "gateway");
    if (c->gateway == c->address.addr)
        return fail(err, errlen, "gateway is the own address: give the address of the router");
    if (c->sndbuf > c->bufmax || c->rcvbuf > c->bufmax)
        return fail(err, errlen, "sndbuf and rcvbuf must not exceed bufmax: raise bufmax");
    if (c->sndbuf > c->sndbuf_max || c->rcvbuf > c->rcvbuf_max)
        return fail(err, errlen, "sndbuf and rcvbuf must not exceed sndbuf-max and rcvbuf-max: raise those");
    if (c->tcp.rto_min > c->tcp.rto_max || c->tcp.rto_initial > c->tcp.rto_max)
        return fail(err, errlen, "rto-min and rto-initial must not exceed rto-max");
    return 0;
}

/* ---- text ---- */

/* A line for each entry: a line of a file has its limit. */
static void print_list(FILE *f, const char *name, const char *text, const char *between)
{
    while (*text) {
        size_t n = strcspn(text, between);
        if (n)
            fprintf(f, "%s = %.*s\n", name, (int)n, text);
        text += n;
        text += strspn(text, ", ");
    }
}

void xt_config_print(const struct xt_config *c, FILE *f)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    char text[XT_CONFIG_TEXT_MAX];
    fprintf(f, "[xtcpd]\n");
    for (; n--; k++) {
        xt_config_get(c, k, text, sizeof text);
        bool unset = (k->type == XT_SET_CIDR && !c->address.prefix) || !*text;
        if (!unset && (k->type == XT_SET_RULES || k->type == XT_SET_ROUTE))
            print_list(f, k->name, text, k->type == XT_SET_RULES ? "," : " ");
        else
            fprintf(f, "%s%s =%s%s\n", unset ? "; " : "", k->name, unset ? "" : " ", unset ? "" : text);
    }
}

static const char *placeholder(const struct xt_setting *k)
{
    static const char *const names[] = {
        [XT_SET_TEXT] = "NAME",      [XT_SET_CIDR] = "A.B.C.D/LEN", [XT_SET_IPV4] = "A.B.C.D",
        [XT_SET_MAC] = "MAC",        [XT_SET_ROUTE] = "NET/LEN,GW", [XT_SET_RULES] = "RULE, RULE...",
        [XT_SET_RANGE] = "LOW-HIGH", [XT_SET_COUNT] = "N",          [XT_SET_SIZE] = "SIZE",
        [XT_SET_POW2] = "SIZE",      [XT_SET_DURATION] = "TIME",    [XT_SET_BOOL] = "on|off",
        [XT_SET_CHOICE] = NULL,
    };
    return k->choices ? k->choices : names[k->type];
}

void xt_config_help(FILE *f)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    fprintf(f, "Usage: xtcpd --interface NAME --address A.B.C.D/LEN [--SETTING VALUE]...\n"
               "TCP as a service: owns the connections of one IP address and serves them to programs.\n\n"
               "  --config FILE     read settings from FILE (default: " XT_CONFIG_PATH ", if it is there)\n"
               "  --print-config    print the settings in effect as such a file, and exit\n"
               "  --no-keeper       run without the keeper process (systemd can be the keeper: NOTIFY_SOCKET)\n"
               "  --foreground      stay in the foreground (always so)\n"
               "  --version, --help\n\n"
               "Settings, as flags or as 'name = value' lines of the file; flags win. (*: may change while it runs)\n");
    for (; n--; k++) {
        char head[64];
        snprintf(head, sizeof head, "--%s %s", k->name, placeholder(k));
        fprintf(f, "  %-38s %s %s", head, k->runtime ? "*" : " ", k->help);
        if (k->def && *k->def)
            fprintf(f, " [%s]", k->def);
        fputc('\n', f);
    }
    fprintf(f, "\nExit codes: 0 stopped as asked, 1 could not start or died, 2 wrong settings.\n");
}
