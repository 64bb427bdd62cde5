/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/xt_msg.h"

#include <errno.h>
#include <msgpack.h>
#include <string.h>

/* ---- reading ---- */

struct cursor {
    const uint8_t *p, *end;
};

/* `n` bytes, big-endian. False at the end of the message. */
static bool take_be(struct cursor *c, unsigned n, uint64_t *out)
{
    if ((size_t)(c->end - c->p) < n)
        return false;
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | c->p[i];
    c->p += n;
    *out = v;
    return true;
}

static bool take_bytes(struct cursor *c, struct xt_val *v, enum xt_val_type type, uint64_t len)
{
    if ((size_t)(c->end - c->p) < len)
        return false;
    v->type = type;
    v->len = (uint32_t)len;
    v->s = (const char *)c->p;
    c->p += len;
    return true;
}

static void set_int(struct xt_val *v, int64_t i)
{
    v->type = i < 0 ? XT_VAL_INT : XT_VAL_UINT;
    v->i = i;
}

static bool take_double(struct cursor *c, struct xt_val *v, bool single)
{
    uint64_t raw;
    if (!take_be(c, single ? 4 : 8, &raw))
        return false;
    v->type = XT_VAL_DOUBLE;
    if (single) {
        uint32_t raw32 = (uint32_t)raw;
        float f;
        memcpy(&f, &raw32, sizeof f);
        v->d = (double)f;
    } else {
        memcpy(&v->d, &raw, sizeof v->d);
    }
    return true;
}

static bool take_signed(struct cursor *c, struct xt_val *v, unsigned bytes)
{
    uint64_t raw;
    if (!take_be(c, bytes, &raw))
        return false;
    unsigned shift = 64 - 8 * bytes;
    set_int(v, (int64_t)(raw << shift) >> shift);
    return true;
}

static bool take_unsigned(struct cursor *c, struct xt_val *v, unsigned bytes)
{
    v->type = XT_VAL_UINT;
    return take_be(c, bytes, &v->u);
}

/* Strings and binaries whose length comes in `bytes` bytes. */
static bool take_long(struct cursor *c, struct xt_val *v, enum xt_val_type type, unsigned bytes)
{
    uint64_t len;
    return take_be(c, bytes, &len) && take_bytes(c, v, type, len);
}

/* One scalar, by the tags of the msgpack specification; containers and extensions are refused. */
static bool take_value(struct cursor *c, struct xt_val *v)
{
    uint64_t tag;
    memset(v, 0, sizeof *v);
    if (!take_be(c, 1, &tag))
        return false;
    if (tag <= 0x7f || tag >= 0xe0) {
        set_int(v, (int8_t)tag);
        return true;
    }
    if (tag >= 0xa0 && tag <= 0xbf)
        return take_bytes(c, v, XT_VAL_STR, tag & 0x1f);
    switch (tag) {
    case 0xc0:
        return true;
    case 0xc2:
    case 0xc3:
        v->type = XT_VAL_BOOL;
        v->b = tag == 0xc3;
        return true;
    case 0xc4:
        return take_long(c, v, XT_VAL_BIN, 1);
    case 0xc5:
        return take_long(c, v, XT_VAL_BIN, 2);
    case 0xc6:
        return take_long(c, v, XT_VAL_BIN, 4);
    case 0xca:
        return take_double(c, v, true);
    case 0xcb:
        return take_double(c, v, false);
    case 0xcc:
        return take_unsigned(c, v, 1);
    case 0xcd:
        return take_unsigned(c, v, 2);
    case 0xce:
        return take_unsigned(c, v, 4);
    case 0xcf:
        return take_unsigned(c, v, 8);
    case 0xd0:
        return take_signed(c, v, 1);
    case 0xd1:
        return take_signed(c, v, 2);
    case 0xd2:
        return take_signed(c, v, 4);
    case 0xd3:
        return take_signed(c, v, 8);
    case 0xd9:
        return take_long(c, v, XT_VAL_STR, 1);
    case 0xda:
        return take_long(c, v, XT_VAL_STR, 2);
    case 0xdb:
        return take_long(c, v, XT_VAL_STR, 4);
    default:
        return false;
    }
}

static bool take_map_header(struct cursor *c, uint64_t *n)
{
    uint64_t tag;
    if (!take_be(c, 1, &tag))
        return false;
    if ((tag & 0xf0) == 0x80) {
        *n = tag & 0x0f;
        return true;
    }
    return tag == 0xde ? take_be(c, 2, n) : tag == 0xdf && take_be(c, 4, n);
}

int xt_msg_parse(struct xt_msg_in *m, const void *buf, size_t len)
{
    struct cursor c = {buf, (const uint8_t *)buf + len};
    uint64_t n;
    m->n = 0;
    if (!take_map_header(&c, &n) || n > XT_MSG_KEYS)
        return -EBADMSG;
    for (uint64_t i = 0; i < n; i++) {
        if (!take_value(&c, &m->pair[i].key) || m->pair[i].key.type != XT_VAL_STR || !take_value(&c, &m->pair[i].val))
            return -EBADMSG;
    }
    if (c.p != c.end)
        return -EBADMSG;
    m->n = (unsigned)n;
    return 0;
}

static bool equals(const struct xt_val *v, const char *text)
{
    return v->type == XT_VAL_STR && v->len == strlen(text) && memcmp(v->s, text, v->len) == 0;
}

const struct xt_val *xt_msg_find(const struct xt_msg_in *m, const char *key)
{
    for (unsigned i = 0; i < m->n; i++)
        if (equals(&m->pair[i].key, key))
            return &m->pair[i].val;
    return NULL;
}

int xt_msg_get_uint(const struct xt_msg_in *m, const char *key, uint64_t *out)
{
    const struct xt_val *v = xt_msg_find(m, key);
    if (!v)
        return -ENOENT;
    if (v->type != XT_VAL_UINT)
        return -EBADMSG;
    *out = v->u;
    return 0;
}

int xt_msg_get_bool(const struct xt_msg_in *m, const char *key, bool *out)
{
    const struct xt_val *v = xt_msg_find(m, key);
    if (!v)
        return -ENOENT;
    if (v->type != XT_VAL_BOOL)
        return -EBADMSG;
    *out = v->b;
    return 0;
}

int xt_msg_get_str(const struct xt_msg_in *m, const char *key, char *out, size_t size)
{
    const struct xt_val *v = xt_msg_find(m, key);
    if (!v)
        return -ENOENT;
    if (v->type != XT_VAL_STR || v->len >= size || memchr(v->s, 0, v->len))
        return -EBADMSG;
    memcpy(out, v->s, v->len);
    out[v->len] = 0;
    return 0;
}

bool xt_msg_is(const struct xt_msg_in *m, const char *key, const char *text)
{
    const struct xt_val *v = xt_msg_find(m, key);
    return v && equals(v, text);
}

/* ---- writing ---- */

static int append(void *data, const char *buf, size_t len)
{
    struct xt_msg_out *o = data;
    if (o->full || len > o->size - o->len) {
        o->full = true;
        return -1;
    }
    memcpy(o->buf + o->len, buf, len);
    o->len += len;
    return 0;
}

static void put_text(msgpack_packer *pk, const char *s)
{
    size_t n = strlen(s);
    msgpack_pack_str(pk, n);
    msgpack_pack_str_body(pk, s, n);
}

/* Counts a member of the open container and writes its key. */
static msgpack_packer member(struct xt_msg_out *o, const char *key)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, o, append);
    if (o->depth)
        o->open[o->depth - 1].n++;
    if (key)
        put_text(&pk, key);
    return pk;
}

/* Headers have their 16-bit form, so that the count can be filled in at the end. */
static void open_container(struct xt_msg_out *o, const char *key, uint8_t tag)
{
    if (o->depth == XT_MSG_DEPTH) {
        o->full = true;
        return;
    }
    member(o, key);
    const char header[3] = {(char)tag, 0, 0};
    o->open[o->depth].at = o->len;
    o->open[o->depth].n = 0;
    o->depth++;
    append(o, header, sizeof header);
}

void xt_msg_begin(struct xt_msg_out *o, void *buf, size_t size)
{
    memset(o, 0, sizeof *o);
    o->buf = buf;
    o->size = size;
    open_container(o, NULL, 0xde);
}

void xt_msg_uint(struct xt_msg_out *o, const char *key, uint64_t v)
{
    msgpack_packer pk = member(o, key);
    msgpack_pack_uint64(&pk, v);
}

void xt_msg_int(struct xt_msg_out *o, const char *key, int64_t v)
{
    msgpack_packer pk = member(o, key);
    msgpack_pack_int64(&pk, v);
}

void xt_msg_bool(struct xt_msg_out *o, const char *key, bool v)
{
    msgpack_packer pk = member(o, key);
    if (v)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void xt_msg_str(struct xt_msg_out *o, const char *key, const char *s)
{
    msgpack_packer pk = member(o, key);
    if (s)
        put_text(&pk, s);
    else
        msgpack_pack_nil(&pk);
}

void xt_msg_bin(struct xt_msg_out *o, const char *key, const void *p, size_t len)
{
    msgpack_packer pk = member(o, key);
    msgpack_pack_bin(&pk, len);
    msgpack_pack_bin_body(&pk, p, len);
}

void xt_msg_map(struct xt_msg_out *o, const char *key)
{
    open_container(o, key, 0xde);
}

void xt_msg_array(struct xt_msg_out *o, const char *key)
{
    open_container(o, key, 0xdc);
}

void xt_msg_close(struct xt_msg_out *o)
{
    if (!o->depth)
        return;
    o->depth--;
    if (o->full)
        return;
    size_t at = o->open[o->depth].at;
    o->buf[at + 1] = (uint8_t)(o->open[o->depth].n >> 8);
    o->buf[at + 2] = (uint8_t)o->open[o->depth].n;
}

ssize_t xt_msg_end(struct xt_msg_out *o)
{
    while (o->depth)
        xt_msg_close(o);
    return o->full ? -EMSGSIZE : (ssize_t)o->len;
}
