/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/integer.h"
#include "base/limits.h"
#include "base/mem.h"
#include "pack/builtin.h"
#include "pack/load_cost_parts.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum {
    FILE_BYTES_MAX = 4 * 1024 * 1024,
    READ_BYTES = 64 * 1024,
    FILES_MAX = 256,
    FORMAT = 1, /* of packs and of rates: "pack": 1 */
    FX_DECIMALS = 9,
    FREE_STATUSES_MAX = 32,
};

static int load_format(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    uint64_t format;

    (void)target;
    return json_in_integer(in, at, value, FORMAT, FORMAT, &format);
}

/* ---- what a pack says at its top ---- */

static int load_vendor(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    if (json_in_text(in, at, value, LIMIT_NAME_BYTES, &pack->vendor) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->vendor.len; i++) {
        char c = pack->vendor.data[i];
        bool letter = c >= 'a' && c <= 'z';
        if (!letter && (i == 0 || (!ascii_is_digit(c) && c != '-'))) {
            return json_in_fail(in, at, "must be made of a-z, 0-9 and '-', a letter first");
        }
    }
    return 0;
}

static int load_revision(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX, &((struct pack *)target)->revision);
}

static int load_generic(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    return json_in_bool(in, at, value, &((struct pack *)target)->generic);
}

static int load_request_id_header(struct json_in *in, const struct json_place *at, json_t *value,
                                  void *target)
{
    struct str text;

    return json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0
               ? -1
               : load_header_name(in, at, text, &((struct pack *)target)->request_id_header);
}

static int load_first_byte(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    return clock_parse_duration(text, &((struct pack *)target)->first_byte_ms)
               ? 0
               : json_in_fail(in, at, "must be a duration such as \"120s\"");
}

static int load_free_status(struct json_in *in, const struct json_place *at, json_t *value,
                            void *element)
{
    return json_in_integer(in, at, value, 400, 499, element);
}

static int load_free_statuses(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    struct pack *pack = target;

    return json_in_array(in, at, value, FREE_STATUSES_MAX, sizeof(uint64_t), load_free_status,
                         &pack->free_statuses, &pack->free_status_count);
}

static int load_retry_unknown(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    return json_in_bool(in, at, value, &((struct pack *)target)->retry_unknown);
}

static int load_answer(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {
        {"request_id", JSON_OPTIONAL, load_request_id_header},
        {"first_byte", JSON_OPTIONAL, load_first_byte},
        {"free", JSON_OPTIONAL, load_free_statuses},
        {"retry_unknown", JSON_OPTIONAL, load_retry_unknown}};

    return json_in_object(in, at, value, members, COUNT(members), target);
}

/* ---- currencies: {"0": ["jpy"], "3": ["kwd"]} ---- */

static int add_exponent(struct json_in *in, const struct json_place *at, struct pack *pack,
                        struct str currency, uint32_t digits)
{
    for (size_t i = 0; i < pack->exponent_count; i++) {
        if (str_equal(pack->exponents[i].currency, currency)) {
            return json_in_fail(in, at, "\"%.*s\" is there twice", STR_FMT(currency));
        }
    }
    for (size_t i = 0; i < currency.len; i++) {
        if (currency.data[i] < 'a' || currency.data[i] > 'z') {
            return json_in_fail(in, at, "a currency is three letters in lower case");
        }
    }
    if (currency.len != 3 || pack->exponent_count == PACK_EXPONENTS_MAX) {
        return json_in_fail(in, at, "a currency is three letters, and %d can be named",
                            PACK_EXPONENTS_MAX);
    }
    pack->exponents[pack->exponent_count++] = (struct pack_exponent){currency, digits};
    return 0;
}

static int load_exponents(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct pack *pack = target;
    struct json_place here = {.up = at};
    struct str *currencies;
    const char *digits;
    json_t *list;
    size_t count;

    if (!json_is_object(value)) {
        return json_in_fail(in, at, "must be an object of lists of currencies by digits");
    }
    pack->exponents = arena_zeroed(in->arena, PACK_EXPONENTS_MAX, sizeof(struct pack_exponent));
    json_object_foreach(value, digits, list)
    {
        here.name = digits;
        if (strcmp(digits, "note") == 0) {
            continue;
        }
        if (strlen(digits) != 1 || *digits < '0' || *digits > '4') {
            return json_in_fail(in, &here, "digits are 0 to 4");
        }
        if (json_in_texts(in, &here, list, PACK_EXPONENTS_MAX, 3, &currencies, &count) != 0) {
            return -1;
        }
        for (size_t i = 0; i < count; i++) {
            struct json_place element = {.up = &here, .index = i};
            if (add_exponent(in, &element, pack, currencies[i], (uint32_t)(*digits - '0')) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* ---- variables for the SDKs ---- */

static bool env_knows(const struct pack *pack, struct str name)
{
    if (str_equal(name, STR("base")) || str_equal(name, STR("token"))) {
        return true; /* the vault key, also where a field of the credential is called so */
    }
    for (size_t i = 0; i < pack->field_count; i++) {
        if (str_equal(pack->fields[i].name, name)) {
            return !pack->fields[i].secret;
        }
    }
    return false;
}

static int load_variable(struct json_in *in, const struct json_place *at, json_t *value,
                         void *element)
{
    const struct pack *pack = load_context_of(in)->pack;
    struct pack_env *env = element;

    env->name = arena_copy(in->arena, str_from(at->name));
    for (size_t i = 0; i < env->name.len; i++) {
        char c = env->name.data[i];
        if (!(c >= 'A' && c <= 'Z') && c != '_' && (i == 0 || !ascii_is_digit(c))) {
            return json_in_fail(in, at, "a variable is made of A-Z, 0-9 and '_'");
        }
    }
    if (env->name.len == 0 || env->name.len > PACK_NAME_MAX ||
        json_in_text(in, at, value, PACK_TEXT_MAX, &env->value) != 0) {
        return json_in_fail(in, at, "a variable and its value are short texts");
    }
    struct str rest = env->value;
    for (size_t i = str_index(rest, '$', 0); i < rest.len; i = str_index(rest, '$', i + 1)) {
        struct str mark = str_slice(rest, i, rest.len);
        size_t end = str_index(mark, '}', 0);
        if (!str_starts(mark, STR("${")) || end == mark.len ||
            !env_knows(pack, str_slice(mark, 2, end))) {
            return json_in_fail(in, at,
                                "a placeholder is ${base}, ${token} or a public field of the "
                                "credential");
        }
    }
    return 0;
}

static int load_env(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    return json_in_map(in, at, value, PACK_LIST_MAX, sizeof(struct pack_env), load_variable,
                       &pack->env, &pack->env_count);
}

/* ---- one pack ---- */

/* In the order in which one needs another. */
static const struct json_member pack_members[] = {
    {"pack", JSON_REQUIRED, load_format},
    {"vendor", JSON_REQUIRED, load_vendor},
    {"revision", JSON_REQUIRED, load_revision},
    {"generic", JSON_OPTIONAL, load_generic},
    {"upstreams", JSON_REQUIRED, load_upstreams},
    {"credential", JSON_REQUIRED, load_credential},
    {"request", JSON_OPTIONAL, load_request},
    {"answer", JSON_OPTIONAL, load_answer},
    {"currencies", JSON_OPTIONAL, load_exponents},
    {"rates", JSON_OPTIONAL, load_rates},
    {"objects", JSON_OPTIONAL, load_objects},
    {"events", JSON_OPTIONAL, load_events},
    {"costs", JSON_OPTIONAL, load_costs},
    {"operations", JSON_REQUIRED, load_operations},
    {"deny", JSON_OPTIONAL, load_deny},
    {"env", JSON_OPTIONAL, load_env},
};

static int put_pack(struct config *config, struct arena *arena, const struct pack *pack,
                    struct json_in *in)
{
    uint32_t at = config_find_pack(config, pack->vendor);

    if (at == PACK_NONE) {
        if (config->pack_count == CONFIG_PACKS_MAX) {
            return json_in_fail(in, NULL, "there are more than %d packs", CONFIG_PACKS_MAX);
        }
        if (config->packs == NULL) {
            config->packs = arena_zeroed(arena, CONFIG_PACKS_MAX, sizeof(struct pack));
        }
        at = (uint32_t)config->pack_count++;
    }
    config->packs[at] = *pack;
    return 0;
}

int load_pack(struct config *config, struct arena *arena, struct str json, const char *file,
              struct err *err)
{
    struct pack pack = {.default_read = PACK_NONE,
                        .default_json_read = PACK_NONE,
                        .first_byte_ms = LIMIT_FIRST_BYTE_MS};
    struct load_context context = {.config = config, .pack = &pack};
    struct json_in in = {.file = file, .arena = arena, .err = err, .context = &context};
    int result = -1;

    (void)load_reads(config, arena);
    size_t reads = config->read_count;
    json_t *root = json_in_parse(&in, json);
    if (root != NULL &&
        json_in_object(&in, NULL, root, pack_members, COUNT(pack_members), &pack) == 0) {
        result = put_pack(config, arena, &pack, &in);
    }
    if (result != 0) {
        config->read_count = reads;
    }
    json_decref(root);
    return result;
}

/* ---- exchange rates ---- */

struct rates {
    struct config_fx *rows;
    size_t count;
    int64_t as_of_ms;
    struct str source;
    uint64_t margin_percent;
};

static int load_fx_source(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    return json_in_text(in, at, value, PACK_TEXT_MAX, &((struct rates *)target)->source);
}

static int load_fx_date(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    return json_in_date(in, at, value, &((struct rates *)target)->as_of_ms);
}

static int load_fx_margin(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    return json_in_integer(in, at, value, 0, 100, &((struct rates *)target)->margin_percent);
}

static int load_fx_row(struct json_in *in, const struct json_place *at, json_t *value,
                       void *element)
{
    struct config_fx *row = element;
    struct str price;

    row->currency = arena_copy(in->arena, str_from(at->name));
    for (size_t i = 0; i < row->currency.len; i++) {
        if (row->currency.data[i] < 'a' || row->currency.data[i] > 'z') {
            return json_in_fail(in, at, "a currency is three letters in lower case");
        }
    }
    if (row->currency.len != 3) {
        return json_in_fail(in, at, "a currency is three letters in lower case");
    }
    if (json_in_text(in, at, value, PACK_NAME_MAX, &price) != 0) {
        return -1;
    }
    if (!int_parse_decimal(price, FX_DECIMALS, &row->nano_per_unit) || row->nano_per_unit == 0) {
        return json_in_fail(in, at, "must be dollars for one unit as a decimal text, not zero");
    }
    return 0;
}

static int load_fx_rows(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct rates *rates = target;

    return json_in_map(in, at, value, CONFIG_FX_MAX, sizeof(struct config_fx), load_fx_row,
                       &rates->rows, &rates->count);
}

int load_fx(struct config *config, struct arena *arena, struct str json, const char *file,
            struct err *err)
{
    static const struct json_member members[] = {{"fx", JSON_REQUIRED, load_format},
                                                 {"source", JSON_REQUIRED, load_fx_source},
                                                 {"as_of", JSON_REQUIRED, load_fx_date},
                                                 {"margin_percent", JSON_REQUIRED, load_fx_margin},
                                                 {"usd_per_unit", JSON_REQUIRED, load_fx_rows}};
    struct json_in in = {.file = file, .arena = arena, .err = err};
    struct rates rates = {.count = 0};
    json_t *root = json_in_parse(&in, json);
    int result =
        root == NULL ? -1 : json_in_object(&in, NULL, root, members, COUNT(members), &rates);

    if (result == 0) {
        config->fx = rates.rows;
        config->fx_count = rates.count;
        config->fx_as_of_ms = rates.as_of_ms;
        config->fx_source = rates.source;
        config->fx_margin_percent = (uint32_t)rates.margin_percent;
    }
    json_decref(root);
    return result;
}

/* ---- files ---- */

static int load_any(struct config *config, struct arena *arena, struct str json, const char *file,
                    struct err *err)
{
    return str_equal(str_from(file), STR("fx.json")) ? load_fx(config, arena, json, file, err)
                                                     : load_pack(config, arena, json, file, err);
}

int load_builtin_packs(struct config *config, struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < builtin_count; i++) {
        if (load_any(config, arena, str_of(builtins[i].data, builtins[i].size), builtins[i].name,
                     err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_whole(int directory, const char *name, struct buf *out, struct err *err)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    int result = -1;

    if (fd < 0) {
        return err_errno(err, "%s: cannot open", name);
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_BYTES_MAX) {
        (void)err_set(err, "%s: is not a file of at most %d bytes", name, FILE_BYTES_MAX);
        goto out;
    }
    for (;;) {
        unsigned char *room = buf_room(out, READ_BYTES);
        if (room == NULL) {
            (void)err_set(err, "%s: is larger than %d bytes", name, FILE_BYTES_MAX);
            goto out;
        }
        ssize_t got = read(fd, room, READ_BYTES);
        if (got < 0) {
            (void)err_errno(err, "%s: cannot read", name);
            goto out;
        }
        if (got == 0) {
            break;
        }
        buf_added(out, (size_t)got);
    }
    result = 0;
out:
    (void)close(fd);
    return result;
}

static int load_file(struct config *config, struct arena *arena, int directory, const char *name,
                     struct err *err)
{
    struct buf text;

    buf_init(&text, FILE_BYTES_MAX + 2 * READ_BYTES);
    int result = read_whole(directory, name, &text, err);
    if (result == 0) {
        result = load_any(config, arena, buf_str(&text), name, err);
    }
    buf_clear(&text);
    return result;
}

static int is_json(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && str_ends(str_from(entry->d_name), STR(".json"));
}

int load_pack_directory(struct config *config, struct arena *arena, const char *path,
                        struct err *err)
{
    struct dirent **entries = NULL;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = directory < 0 ? -1 : scandirat(directory, ".", &entries, is_json, alphasort);
    int result = -1;

    if (count < 0) {
        (void)err_errno(err, "%s: cannot read the directory of packs", path);
        goto out;
    }
    if (count > FILES_MAX) {
        (void)err_set(err, "%s: has more than %d packs", path, FILES_MAX);
        goto out;
    }
    result = 0;
    for (int i = 0; i < count && result == 0; i++) {
        result = load_file(config, arena, directory, entries[i]->d_name, err);
    }
out:
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    if (directory >= 0) {
        (void)close(directory);
    }
    return result;
}
