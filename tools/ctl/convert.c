/* SPDX-License-Identifier: Apache-2.0
 * From msgpack to JSON. The daemon's replies are trusted to be of sane size: one datagram bounds them. */
#include <msgpack.h>

#include "tools/ctl/ctl.h"

static json_object *convert(const msgpack_object *m);

static json_object *convert_map(const msgpack_object_map *map)
{
    json_object *o = json_object_new_object();
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *k = &map->ptr[i].key;
        char key[128];
        if (k->type != MSGPACK_OBJECT_STR)
            continue;
        snprintf(key, sizeof key, "%.*s", (int)k->via.str.size, k->via.str.ptr);
        json_object_object_add(o, key, convert(&map->ptr[i].val));
    }
    return o;
}

static json_object *convert_array(const msgpack_object_array *a)
{
    json_object *o = json_object_new_array();
    for (uint32_t i = 0; i < a->size; i++)
        json_object_array_add(o, convert(&a->ptr[i]));
    return o;
}

static json_object *convert(const msgpack_object *m)
{
    switch (m->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        return json_object_new_boolean(m->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return json_object_new_uint64(m->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_object_new_int64(m->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return json_object_new_double(m->via.f64);
    case MSGPACK_OBJECT_STR:
        return json_object_new_string_len(m->via.str.ptr, (int)m->via.str.size);
    case MSGPACK_OBJECT_BIN: /* for who knows its length */
        return json_object_new_string_len(m->via.bin.ptr, (int)m->via.bin.size);
    case MSGPACK_OBJECT_ARRAY:
        return convert_array(&m->via.array);
    case MSGPACK_OBJECT_MAP:
        return convert_map(&m->via.map);
    default:
        return NULL; /* null in JSON */
    }
}

json_object *ctl_from_msgpack(const void *buf, size_t len)
{
    msgpack_unpacked u;
    json_object *o = NULL;
    msgpack_unpacked_init(&u);
    if (msgpack_unpack_next(&u, buf, len, NULL) == MSGPACK_UNPACK_SUCCESS && u.data.type == MSGPACK_OBJECT_MAP)
        o = convert(&u.data);
    msgpack_unpacked_destroy(&u);
    return o;
}
