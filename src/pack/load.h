/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: packs and settings from JSON, checked whole.  Used by the `check` child and by tests; the
 * only part of this folder that knows jansson.
 *
 * Duplicates and unknown members are refused; a "note" member may stand anywhere.  A problem is
 * told as "FILE: JSON-POINTER: reason".
 */
#ifndef PACK_LOAD_H
#define PACK_LOAD_H

#include "base/arena.h"
#include "pack/pack.h"

/* Adds one pack, replacing one of the same vendor.  `file` is for the error only. */
int load_pack(struct config *config, struct arena *arena, struct str json, const char *file,
              struct err *err);

/* The packs compiled into the binary. */
int load_builtin_packs(struct config *config, struct arena *arena, struct err *err);

/* Every *.json of a directory. */
int load_pack_directory(struct config *config, struct arena *arena, const char *path,
                        struct err *err);

/* The exchange rates compiled in (packs/fx.json is one), or a file's. */
int load_fx(struct config *config, struct arena *arena, struct str json, const char *file,
            struct err *err);

#endif
