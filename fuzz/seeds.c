/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeds DIR: writes what the fuzzers of the wire begin with: of every message that there is one
 * with nothing in it and one with something in each field, for fuzz_wire (DIR/wire) and fuzz_frame
 * (DIR/frame).  Made from the tables, they are never of yesterday's messages.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ipc/filled.h"
#include "ipc/message.h"
#include "pack/pack.h"
#include "parent/settings.h"

enum { SEED_MAX = 1024 * 1024, TEXT_BYTES = 3, HEAD = 8 };

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void write_seed(const char *dir, const char *kind, const char *name, unsigned char first,
                       struct str bytes)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s/%s", dir, kind, name);
    FILE *file = fopen(path, "w");
    if (file == NULL || fputc(first, file) == EOF ||
        fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        fail(path);
    }
}

/* `type` is what fuzz_wire calls it; 0: it is no message, and comes in no frame. */
static void write_seeds(const char *dir, const struct wire_schema *schema, unsigned char number,
                        unsigned char type, const char *name)
{
    for (int filled = 0; filled < 2; filled++) {
        struct arena *arena = arena_new();
        unsigned char *thing = arena_zeroed(arena, 1, schema->size);
        char seed[128];
        struct buf out;

        if (filled == 1) {
            fill(schema, thing, arena, TEXT_BYTES);
        }
        buf_init(&out, SEED_MAX);
        (void)buf_add(&out, "\0\0\0\0\0\0\0", HEAD);
        if (!wire_encode(schema, thing, &out)) {
            fail(name);
        }
        struct str frame = buf_str(&out), payload = str_slice(frame, HEAD, frame.len);
        (void)snprintf(seed, sizeof(seed), "%s%s", name, filled == 1 ? "" : "-empty");
        write_seed(dir, "wire", seed, number, payload);
        if (type != 0) {
            for (size_t i = 0; i < 4; i++) {
                out.data[i] = (unsigned char)(payload.len >> (8 * i));
            }
            out.data[4] = type;
            write_seed(dir, "frame", seed, 6, frame); /* in pieces of 7 */
        }
        buf_clear(&out);
        arena_free(arena);
    }
}

static void make_dir(const char *dir, const char *kind)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, kind);
    if (mkdir(path, 0777) < 0 && errno != EEXIST) {
        fail(path);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: seeds DIR\n");
        return 2;
    }
    make_dir(argv[1], "wire");
    make_dir(argv[1], "frame");
    for (unsigned char type = MESSAGE_NONE + 1; type < MESSAGE_COUNT; type++) {
        write_seeds(argv[1], message_schema((enum message_type)type), type, type,
                    message_name((enum message_type)type));
    }
    write_seeds(argv[1], &config_schema, MESSAGE_COUNT, 0, "config");
    write_seeds(argv[1], &settings_schema, MESSAGE_COUNT + 1, 0, "settings");
    return EXIT_SUCCESS;
}
