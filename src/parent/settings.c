/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/settings.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "parent/address.h"
#include "policy/cidr.h"

enum { TEXT_MAX = 4096 };

static const struct wire_field settings_fields[] = {
    WIRE_ARRAY(struct settings, listen, listen_count, SETTINGS_LISTEN_MAX, &wire_str_schema),
    WIRE_STR(struct settings, control, TEXT_MAX),
    WIRE_U32(struct settings, gates),
    WIRE_ARRAY(struct settings, proxy_from, proxy_from_count, LIMIT_PROXY_NETWORKS,
               &wire_str_schema),
    WIRE_STR(struct settings, public_url, TEXT_MAX),
    WIRE_STR(struct settings, tls_cert, TEXT_MAX),
    WIRE_STR(struct settings, tls_key, TEXT_MAX),
    WIRE_STR(struct settings, packs, TEXT_MAX),
    WIRE_STR(struct settings, user, TEXT_MAX),
    WIRE_BOOL(struct settings, insecure_listen),
    WIRE_BOOL(struct settings, self_revoke),
    WIRE_BOOL(struct settings, forward),
    WIRE_BOOL(struct settings, dial_private),
    WIRE_U64(struct settings, ttl_max_ms),
    WIRE_U64(struct settings, memory_bytes)};
const struct wire_schema settings_schema = WIRE_SCHEMA(struct settings, settings_fields);

enum kind { KIND_LISTEN, KIND_NETWORK, KIND_TEXT, KIND_FLAG, KIND_GATES, KIND_DURATION, KIND_SIZE };

static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
} rows[] = {
    {"listen", KIND_LISTEN, 0},
    {"control", KIND_TEXT, offsetof(struct settings, control)},
    {"gates", KIND_GATES, offsetof(struct settings, gates)},
    {"proxy-from", KIND_NETWORK, 0},
    {"public-url", KIND_TEXT, offsetof(struct settings, public_url)},
    {"tls-cert", KIND_TEXT, offsetof(struct settings, tls_cert)},
    {"tls-key", KIND_TEXT, offsetof(struct settings, tls_key)},
    {"insecure-listen", KIND_FLAG, offsetof(struct settings, insecure_listen)},
    {"forward", KIND_FLAG, offsetof(struct settings, forward)},
    {"dial-private", KIND_FLAG, offsetof(struct settings, dial_private)},
    {"self-revoke", KIND_FLAG, offsetof(struct settings, self_revoke)},
    {"ttl-max", KIND_DURATION, offsetof(struct settings, ttl_max_ms)},
    {"packs", KIND_TEXT, offsetof(struct settings, packs)},
    {"memory", KIND_SIZE, offsetof(struct settings, memory_bytes)},
    {"user", KIND_TEXT, offsetof(struct settings, user)},
};

static bool same_name(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        char left = a.data[i] == '_' ? '-' : a.data[i];
        char right = b.data[i] == '_' ? '-' : b.data[i];
        if (left != right) {
            return false;
        }
    }
    return true;
}

static const struct row *find_row(struct str name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (same_name(str_from(rows[i].name), name)) {
            return &rows[i];
        }
    }
    return NULL;
}

bool settings_has(struct str name)
{
    return find_row(name) != NULL;
}

bool settings_is_flag(struct str name)
{
    const struct row *row = find_row(name);
    return row != NULL && row->kind == KIND_FLAG;
}

void settings_defaults(struct settings *settings, uint32_t cores)
{
    uint32_t gates = cores / 2;

    *settings = (struct settings){
        .control = STR("127.0.0.1:8788"),
        .gates = gates < 1                    ? 1
                 : gates > SETTINGS_GATES_MAX ? SETTINGS_GATES_MAX
                                              : gates,
        .self_revoke = true,
        .forward = true,
        .ttl_max_ms = LIMIT_TTL_MAX_MS,
    };
}

void settings_forget_listen(struct settings *settings)
{
    settings->listen_count = 0;
}

static int add_listen(struct settings *settings, struct arena *arena, struct str value,
                      struct err *err)
{
    struct address address;

    if (settings->listen_count == SETTINGS_LISTEN_MAX) {
        return err_set(err, "more than %d addresses to listen on", SETTINGS_LISTEN_MAX);
    }
    if (address_parse(value, &address, err) < 0) {
        return -1;
    }
    if (settings->listen == NULL) {
        settings->listen = arena_zeroed(arena, SETTINGS_LISTEN_MAX, sizeof(struct str));
    }
    settings->listen[settings->listen_count++] = arena_copy(arena, value);
    return 0;
}

static int add_network(struct settings *settings, struct arena *arena, struct str value,
                       struct err *err)
{
    struct cidr cidr;

    if (settings->proxy_from_count == LIMIT_PROXY_NETWORKS) {
        return err_set(err, "proxy-from names more than %d networks", LIMIT_PROXY_NETWORKS);
    }
    if (cidr_parse(value, &cidr, err) < 0) {
        return err_prefix(err, "proxy-from");
    }
    if (settings->proxy_from == NULL) {
        settings->proxy_from = arena_zeroed(arena, LIMIT_PROXY_NETWORKS, sizeof(struct str));
    }
    settings->proxy_from[settings->proxy_from_count++] = arena_copy(arena, value);
    return 0;
}

static bool parse_flag(struct str value, bool *ret_flag)
{
    if (str_equal(value, STR("yes")) || str_equal(value, STR("true"))) {
        *ret_flag = true;
        return true;
    }
    if (str_equal(value, STR("no")) || str_equal(value, STR("false"))) {
        *ret_flag = false;
        return true;
    }
    return false;
}

int settings_set(struct settings *settings, struct arena *arena, struct str name, struct str value,
                 struct err *err)
{
    const struct row *row = find_row(name);
    uint64_t number = 0;

    if (row == NULL) {
        return err_set(err, "there is no setting '%.*s'", STR_FMT(name));
    }
    char *at = (char *)settings + row->offset;
    if (value.len > TEXT_MAX) {
        return err_set(err, "%.*s is longer than %d bytes", STR_FMT(name), TEXT_MAX);
    }
    switch (row->kind) {
    case KIND_LISTEN:
        return add_listen(settings, arena, value, err);
    case KIND_NETWORK:
        return add_network(settings, arena, value, err);
    case KIND_TEXT:
        value = arena_copy(arena, value);
        memcpy(at, &value, sizeof(value));
        return 0;
    case KIND_FLAG:
        if (!parse_flag(value, &(bool){false})) {
            return err_set(err, "%.*s is yes or no, not '%.*s'", STR_FMT(name), STR_FMT(value));
        }
        (void)parse_flag(value, (bool *)(void *)at);
        return 0;
    case KIND_GATES:
        if (!str_to_u64(value, &number) || number < 1 || number > SETTINGS_GATES_MAX) {
            return err_set(err, "gates is a number from 1 to %d, not '%.*s'", SETTINGS_GATES_MAX,
                           STR_FMT(value));
        }
        settings->gates = (uint32_t)number;
        return 0;
    case KIND_DURATION:
        if (!clock_parse_duration(value, &number) || number == 0) {
            return err_set(err, "%.*s is a time such as 30m, 2h or 1d, not '%.*s'", STR_FMT(name),
                           STR_FMT(value));
        }
        memcpy(at, &number, sizeof(number));
        return 0;
    case KIND_SIZE:
        if (!str_to_size(value, &number) || number < 64u << 20) {
            return err_set(err, "%.*s is a size such as 512M or 2G, at least 64M, not '%.*s'",
                           STR_FMT(name), STR_FMT(value));
        }
        memcpy(at, &number, sizeof(number));
        return 0;
    }
    return err_set(err, "'%.*s' cannot be set", STR_FMT(name));
}

static int set_json(struct settings *settings, struct arena *arena, struct str name,
                    const json_t *value, struct err *err)
{
    char digits[32];

    if (json_is_string(value)) {
        return settings_set(settings, arena, name,
                            str_of(json_string_value(value), json_string_length(value)), err);
    }
    if (json_is_boolean(value)) {
        return settings_set(settings, arena, name, json_is_true(value) ? STR("yes") : STR("no"),
                            err);
    }
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        (void)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(value));
        return settings_set(settings, arena, name, str_from(digits), err);
    }
    const struct row *row = find_row(name);
    if (json_is_array(value) && row != NULL &&
        (row->kind == KIND_LISTEN || row->kind == KIND_NETWORK)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *one = json_array_get(value, i);
            if (!json_is_string(one) || set_json(settings, arena, name, one, err) < 0) {
                return json_is_string(one)
                           ? -1
                           : err_set(err, "%.*s is a list of addresses", STR_FMT(name));
            }
        }
        return 0;
    }
    return err_set(err, "'%.*s' has a value of a wrong type", STR_FMT(name));
}

int settings_load(struct settings *settings, struct arena *arena, struct str json, const char *file,
                  struct err *err)
{
    json_error_t problem;
    const char *name;
    json_t *value;
    int rc = 0;
    json_t *root =
        json_loadb(json.data == NULL ? "" : json.data, json.len, JSON_REJECT_DUPLICATES, &problem);

    if (root == NULL) {
        return err_set(err, "%s: line %d: %s", file, problem.line, problem.text);
    }
    if (!json_is_object(root)) {
        rc = err_set(err, "%s: the settings are a JSON object", file);
    }
    json_object_foreach(root, name, value)
    {
        if (rc == 0 && strcmp(name, "note") != 0 &&
            set_json(settings, arena, str_from(name), value, err) < 0) {
            rc = err_prefix(err, "%s", file);
        }
    }
    json_decref(root);
    return rc;
}

bool settings_door_tls(const struct settings *settings, struct str text)
{
    return settings->tls_cert.len > 0 && !str_starts(text, STR("unix:"));
}

bool settings_control_tls(const struct settings *settings)
{
    struct address address;
    struct err err;

    return settings->tls_cert.len > 0 && address_parse(settings->control, &address, &err) == 0 &&
           !address_is_loopback(&address);
}

static int check_open_address(const struct settings *settings, struct str text, bool tls,
                              struct err *err)
{
    struct address address;

    if (address_parse(text, &address, err) < 0) {
        return -1;
    }
    if (tls || settings->insecure_listen || address_is_loopback(&address)) {
        return 0;
    }
    return err_set(err,
                   "%.*s can be reached from other machines, and keys would travel there in the "
                   "clear: give --tls-cert and --tls-key, or say --insecure-listen",
                   STR_FMT(text));
}

int settings_finish(struct settings *settings, struct arena *arena, struct err *err)
{
    if (settings->listen_count == 0 &&
        add_listen(settings, arena, STR("127.0.0.1:8787"), err) < 0) {
        return -1;
    }
    if ((settings->tls_cert.len == 0) != (settings->tls_key.len == 0)) {
        return err_set(err, "--tls-cert and --tls-key go together");
    }
    for (size_t i = 0; i < settings->listen_count; i++) {
        struct str text = settings->listen[i];
        if (check_open_address(settings, text, settings_door_tls(settings, text), err) < 0) {
            return -1;
        }
    }
    if (str_starts(settings->control, STR("unix:"))) {
        return err_set(err, "--control is ADDR:PORT; the local socket is always there");
    }
    if (check_open_address(settings, settings->control, settings_control_tls(settings), err) < 0) {
        return -1;
    }
    if (settings->public_url.len > 0 && !str_starts(settings->public_url, STR("http://")) &&
        !str_starts(settings->public_url, STR("https://"))) {
        return err_set(err, "--public-url starts with http:// or https://");
    }
    return 0;
}

const char *settings_fixed_difference(const struct settings *a, const struct settings *b)
{
    if (a->listen_count != b->listen_count) {
        return "listen";
    }
    for (size_t i = 0; i < a->listen_count; i++) {
        if (!str_equal(a->listen[i], b->listen[i])) {
            return "listen";
        }
    }
    if (!str_equal(a->control, b->control)) {
        return "control";
    }
    if ((a->tls_cert.len > 0) != (b->tls_cert.len > 0)) {
        return "tls-cert";
    }
    if (a->gates != b->gates) {
        return "gates";
    }
    if (a->forward != b->forward) {
        return "forward";
    }
    return str_equal(a->user, b->user) ? NULL : "user";
}
