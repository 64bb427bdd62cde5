/* SPDX-License-Identifier: Apache-2.0
 * Tables and small formatting for people. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/ctl.h"

/* Text that came from programs (their names) must not steer the terminal. */
static char *clean_copy(const char *s)
{
    char *copy = strdup(s);
    if (!copy)
        abort();
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return copy;
}

void ctl_table_row(struct ctl_table *t, const char *const *cells)
{
    if (t->rows == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cell = realloc(t->cell, (size_t)t->cap * t->cols * sizeof *t->cell);
        if (!t->cell)
            abort();
    }
    for (unsigned i = 0; i < t->cols; i++)
        t->cell[t->rows * t->cols + i] = clean_copy(cells[i]);
    t->rows++;
}

static int width(const struct ctl_table *t, unsigned col)
{
    size_t w = 0;
    for (unsigned r = 0; r < t->rows; r++) {
        size_t n = strlen(t->cell[r * t->cols + col]);
        w = n > w ? n : w;
    }
    return (int)w;
}

static void print_row(const struct ctl_table *t, unsigned r, const int *widths)
{
    for (unsigned c = 0; c < t->cols; c++) {
        const char *s = t->cell[r * t->cols + c];
        bool last = c + 1 == t->cols;
        if (t->right[c] == 'r')
            printf("%*s%s", widths[c], s, last ? "" : "  ");
        else
            printf("%-*s%s", last ? 0 : widths[c], s, last ? "" : "  ");
    }
    putchar('\n');
}

void ctl_table_print(const struct ctl_table *t)
{
    int widths[32] = {0};
    for (unsigned c = 0; c < t->cols && c < 32; c++)
        widths[c] = width(t, c);
    for (unsigned r = 0; r < t->rows; r++)
        print_row(t, r, widths);
}

void ctl_table_free(struct ctl_table *t)
{
    for (unsigned i = 0; i < t->rows * t->cols; i++)
        free(t->cell[i]);
    free(t->cell);
    t->cell = NULL;
    t->rows = t->cap = 0;
}

const char *ctl_str(json_object *o, const char *key)
{
    json_object *v = NULL;
    const char *s = json_object_object_get_ex(o, key, &v) && v ? json_object_get_string(v) : NULL;
    return s ? s : "";
}

uint64_t ctl_num(json_object *o, const char *key)
{
    json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) && v ? json_object_get_uint64(v) : 0;
}

void ctl_print_json(json_object *o)
{
    json_object_object_del(o, "ok");
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
}

void ctl_duration(uint64_t us, char *out, size_t size)
{
    uint64_t s = us / 1000000;
    if (us < 1000)
        snprintf(out, size, "%" PRIu64 "us", us);
    else if (us < 1000000)
        snprintf(out, size, "%" PRIu64 ".%" PRIu64 "ms", us / 1000, us / 100 % 10);
    else if (s < 60)
        snprintf(out, size, "%" PRIu64 ".%" PRIu64 "s", s, us / 100000 % 10);
    else if (s < 3600)
        snprintf(out, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
}
