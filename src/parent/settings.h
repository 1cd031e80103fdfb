/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings: what `keybrake serve` can be told, on its command line or in its --config file, by the
 * same names.  Read and judged by the `check` process; the parent gets the result as wire bytes.
 *
 *     settings_defaults(&s, cores)
 *     settings_load(&s, arena, json, "file", &err)      the file first,
 *     settings_set(&s, arena, name, value, &err) ...    then the command line, which wins
 *     settings_finish(&s, arena, &err)                  rules between settings
 */
#ifndef PARENT_SETTINGS_H
#define PARENT_SETTINGS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/wire.h"

enum { SETTINGS_LISTEN_MAX = 16, SETTINGS_GATES_MAX = 64 };

struct settings {
    struct str *listen; /* doors: addresses as text */
    size_t listen_count;
    struct str control;
    uint32_t gates;
    struct str *proxy_from; /* networks of load balancers */
    size_t proxy_from_count;
    struct str public_url, tls_cert, tls_key, packs, user;
    bool insecure_listen, self_revoke;
    bool forward;      /* doors are a proxy too: CONNECT, absolute form, SOCKS5 */
    bool dial_private; /* tunnels to allowed_hosts may end at private addresses */
    uint64_t ttl_max_ms;
    uint64_t memory_bytes; /* 0: a quarter of what the machine has */
};

extern const struct wire_schema settings_schema;

void settings_defaults(struct settings *settings, uint32_t cores);

bool settings_has(struct str name);     /* '-' and '_' are the same */
bool settings_is_flag(struct str name); /* takes yes or no; alone it means yes */

/* `value` as text.  Several "listen" add up. */
int settings_set(struct settings *settings, struct arena *arena, struct str name, struct str value,
                 struct err *err);

/* A JSON object; unknown and repeated names are refused, a "note" may stand there. */
int settings_load(struct settings *settings, struct arena *arena, struct str json, const char *file,
                  struct err *err);

/* Forgets the doors of the file: the command line names its own. */
void settings_forget_listen(struct settings *settings);

int settings_finish(struct settings *settings, struct arena *arena, struct err *err);

/* Whether TLS is spoken there: at doors when a certificate is given, at control beyond loopback. */
bool settings_door_tls(const struct settings *settings, struct str address);
bool settings_control_tls(const struct settings *settings);

/* The same but for what a running server can take over (certificates, URL, limits, packs): else
 * the name of what differs. */
const char *settings_fixed_difference(const struct settings *a, const struct settings *b);

#endif
