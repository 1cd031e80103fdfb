/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/pack.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "http/url.h"
#include "pack/match.h"

enum { FOLDED_MAX = 64 };

const char *operation_class_name(enum operation_class class)
{
    static const char *const names[CLASS_COUNT] = {
        [CLASS_READ] = "read",
        [CLASS_WRITE] = "write",
        [CLASS_PAY] = "pay",
        [CLASS_MONEY_IN] = "money_in",
        [CLASS_MONEY_OUT] = "money_out",
        [CLASS_UNBOUNDED] = "unbounded",
        [CLASS_MINT] = "mint",
        [CLASS_ADMIN] = "admin",
    };

    return class < CLASS_COUNT ? names[class] : "?";
}

bool operation_class_is_guarded(enum operation_class class)
{
    return class == CLASS_UNBOUNDED || class == CLASS_MINT || class == CLASS_ADMIN;
}

/* ---- indices: no number in a configuration leads outside its arrays ---- */

static bool index_ok(uint32_t index, size_t count)
{
    return index == PACK_NONE || index < count;
}

static bool amount_ok(const struct pack_amount *amount, size_t selectors)
{
    bool ok = index_ok(amount->minor, selectors) && index_ok(amount->currency, selectors) &&
              index_ok(amount->held, selectors) && index_ok(amount->rate_by, selectors);

    for (size_t i = 0; i < sizeof(amount->times) / sizeof(amount->times[0]); i++) {
        ok = ok && index_ok(amount->times[i], selectors);
    }
    bool counts = amount->kind == AMOUNT_MINOR || amount->kind == AMOUNT_MAJOR;
    return ok && (!counts || ((amount->minor != PACK_NONE || amount->held != PACK_NONE) &&
                              amount->currency != PACK_NONE));
}

static bool conditions_ok(const struct pack_condition *conditions, size_t count, size_t selectors)
{
    for (size_t i = 0; i < count; i++) {
        bool about_status = conditions[i].kind == CONDITION_STATUS;
        if (about_status ? conditions[i].selector != PACK_NONE
                         : conditions[i].selector >= selectors) {
            return false;
        }
    }
    return true;
}

static size_t selectors_of(const struct config *config, uint32_t read)
{
    return read == PACK_NONE ? 0 : config->reads[read].selector_count;
}

static bool is_place(const struct pack_read *read, uint64_t selector)
{
    for (size_t i = 0; i < read->place_count; i++) {
        if (read->places[i] == selector) {
            return true;
        }
    }
    return false;
}

static bool puts_ok(const struct config *config, const struct pack_cost *cost)
{
    for (size_t i = 0; i < cost->put_count; i++) {
        if (cost->request_read == PACK_NONE ||
            !is_place(&config->reads[cost->request_read], cost->puts[i].selector)) {
            return false;
        }
    }
    return true;
}

static bool settles_ok(const struct pack_settle *settles, size_t count, size_t selectors)
{
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        ok = ok && amount_ok(&settles[i].amount, selectors) &&
             conditions_ok(settles[i].conditions, settles[i].condition_count, selectors);
    }
    return ok;
}

static bool fetch_ok(const struct config *config, const struct pack_fetch *fetch)
{
    if (fetch->read == 0 || fetch->read >= config->read_count) {
        return false;
    }
    size_t selectors = config->reads[fetch->read].selector_count;
    return fetch->minor < selectors && fetch->currency < selectors &&
           index_ok(fetch->minus, selectors) && index_ok(fetch->posted, selectors);
}

static bool object_ok(const struct config *config, const struct pack_object *object)
{
    return index_ok(object->read, config->read_count) &&
           settles_ok(object->settles, object->settle_count, selectors_of(config, object->read));
}

static bool events_ok(const struct config *config, const struct pack_events *events)
{
    return events->path.len == 0 ||
           (events->read < config->read_count && events->count <= PACK_EVENTS_MAX &&
            config->reads[events->read].selector_count == 1 + events->count * PACK_EVENT_PARTS);
}

static bool cost_ok(const struct config *config, const struct pack_cost *cost)
{
    if (!index_ok(cost->request_read, config->read_count) ||
        !index_ok(cost->answer_read, config->read_count)) {
        return false;
    }
    size_t asked = selectors_of(config, cost->request_read);
    size_t answered = selectors_of(config, cost->answer_read);
    bool ok = amount_ok(&cost->reserve, asked) &&
              conditions_ok(cost->free_if, cost->free_if_count, asked) &&
              conditions_ok(cost->unknown_if, cost->unknown_if_count, asked) &&
              conditions_ok(cost->whole_if, cost->whole_if_count, asked) && puts_ok(config, cost) &&
              index_ok(cost->object, answered) &&
              settles_ok(cost->settles, cost->settle_count, answered);

    for (size_t i = 0; i < cost->more_count; i++) {
        ok = ok && cost->more[i].kind == AMOUNT_RATE && amount_ok(&cost->more[i], asked);
    }
    for (size_t i = 0; i < cost->fetch_count; i++) {
        ok = ok && fetch_ok(config, &cost->fetches[i]);
    }
    return ok;
}

static bool pack_ok(const struct config *config, const struct pack *pack)
{
    bool ok = pack->upstream_count > 0 && index_ok(pack->default_read, config->read_count) &&
              index_ok(pack->default_json_read, config->read_count);

    for (size_t i = 0; i < pack->operation_count; i++) {
        ok = ok && index_ok(pack->operations[i].cost, pack->cost_count);
    }
    for (size_t i = 0; i < pack->match_count; i++) {
        ok = ok && pack->matches[i].operation < pack->operation_count &&
             pack->matches[i].upstream < pack->upstream_count;
    }
    for (size_t i = 0; i < pack->object_count; i++) {
        ok = ok && object_ok(config, &pack->objects[i]);
    }
    ok = ok && events_ok(config, &pack->events);
    for (size_t i = 0; i < pack->cost_count; i++) {
        ok = ok && cost_ok(config, &pack->costs[i]) &&
             index_ok(pack->costs[i].kind, pack->object_count);
    }
    return ok;
}

static bool reads_ok(const struct config *config)
{
    for (size_t i = 0; i < config->read_count; i++) {
        const struct pack_read *read = &config->reads[i];
        if (read->account_count > read->selector_count) {
            return false;
        }
        for (size_t k = 0; k < read->place_count; k++) {
            enum selector_kind kind = SELECT_KIND_COUNT;
            if (read->places[k] < read->selector_count) {
                kind = read->selectors[read->places[k]].kind;
            }
            if ((kind != SELECT_FORM || read->encoding != ENCODING_FORM) &&
                (kind != SELECT_POINTER || read->encoding != ENCODING_JSON)) {
                return false;
            }
        }
    }
    return config->read_count > 0;
}

/* ---- the names of credential headers ---- */

/* False when it is too long to be one. */
static bool fold_name(struct str name, char folded[FOLDED_MAX], size_t *ret_len)
{
    size_t len = 0;

    for (size_t i = 0; i < name.len; i++) {
        if (!ascii_is_alpha(name.data[i]) && !ascii_is_digit(name.data[i])) {
            continue; /* as name_is_like() has it */
        }
        if (len == FOLDED_MAX) {
            return false;
        }
        folded[len++] = ascii_lower(name.data[i]);
    }
    *ret_len = len;
    return true;
}

static const char *const well_known[] = {
    "authorization",
    "proxyauthorization",
    "xapikey",
    "apikey",
    "xgoogapikey",
    "xauthtoken",
    "xaccesstoken",
    "accesstoken",
    "xamzsecuritytoken",
    "xapitoken",
    "apitoken",
    "xtoken",
    "xauthkey",
    "xauth",
    "xauthorization",
    "xapisecret",
    "apisecret",
    "privatetoken",
    "xgitlabtoken",
    "xpostmarkservertoken",
    "xpostmarkaccounttoken",
    "xforwardedauthorization",
    "xvaulttoken",
    "xkeybrakekey",
};

static size_t shape_of(const char *folded, size_t len)
{
    return len == 0
               ? 0
               : (len * 37 + (unsigned char)folded[0] * 5 + (unsigned char)folded[len - 1]) & 255;
}

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void add_credential_header(struct config *config, struct arena *arena, struct str name)
{
    char folded[FOLDED_MAX];
    size_t len;

    if (name.len > 0 && fold_name(name, folded, &len)) {
        config->credential_headers[config->credential_header_count++] =
            arena_copy(arena, str_of(folded, len));
        config->credential_shape[shape_of(folded, len)] = true;
    }
}

static void collect_credential_headers(struct config *config, struct arena *arena)
{
    size_t known = sizeof(well_known) / sizeof(well_known[0]);
    size_t room = known;

    for (size_t i = 0; i < config->pack_count; i++) {
        room += config->packs[i].accept_count + 1;
    }
    config->credential_headers = arena_zeroed(arena, room, sizeof(struct str));
    config->credential_header_count = 0;
    memset(config->credential_shape, 0, sizeof(config->credential_shape));
    for (size_t i = 0; i < known; i++) {
        add_credential_header(config, arena, str_from(well_known[i]));
    }
    for (size_t i = 0; i < config->pack_count; i++) {
        const struct pack *pack = &config->packs[i];
        for (size_t k = 0; k < pack->accept_count; k++) {
            add_credential_header(config, arena, pack->accepts[k].name);
        }
        add_credential_header(config, arena, pack->inject.header);
    }
    qsort(config->credential_headers, config->credential_header_count, sizeof(struct str),
          compare_names);
}

bool header_is_credential(const struct config *config, struct str name)
{
    char folded[FOLDED_MAX];
    size_t len;

    if (!fold_name(name, folded, &len) || !config->credential_shape[shape_of(folded, len)]) {
        return false;
    }
    struct str wanted = str_of(folded, len);
    return bsearch(&wanted, config->credential_headers, config->credential_header_count,
                   sizeof(struct str), compare_names) != NULL;
}

int config_finish(struct config *config, struct arena *arena, struct err *err)
{
    if (!reads_ok(config)) {
        return err_set(err, "the compiled configuration has a broken reading rule");
    }
    for (size_t i = 0; i < config->pack_count; i++) {
        struct pack *pack = &config->packs[i];
        if (!pack_ok(config, pack)) {
            return err_set(err, "the compiled pack %.*s points outside itself",
                           STR_FMT(pack->vendor));
        }
        pack->index = match_index_new(pack, arena);
        if (pack->index == NULL) {
            return err_set(err, "the compiled pack %.*s has a broken path", STR_FMT(pack->vendor));
        }
    }
    collect_credential_headers(config, arena);
    return 0;
}

/* ---- opening ---- */

struct opened {
    struct config config; /* first: config_free() gets its address */
    struct arena *arena;
    void *mapping;
    size_t size;
};

static int map_sealed(struct opened *opened, int fd, struct err *err)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK)) {
        return err_set(err, "the compiled configuration is not sealed");
    }
    if (fstat(fd, &status) != 0) {
        return err_errno(err, "cannot look at the compiled configuration");
    }
    if (status.st_size <= 0 || status.st_size > CONFIG_BYTES_MAX) {
        return err_set(err, "the compiled configuration has a wrong size");
    }
    void *mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
        return err_errno(err, "cannot map the compiled configuration");
    }
    opened->mapping = mapping;
    opened->size = (size_t)status.st_size;
    return 0;
}

struct config *config_open(int fd, uint64_t generation, struct err *err)
{
    struct opened *opened = mem_zeroed(sizeof(*opened));
    int result = map_sealed(opened, fd, err);

    (void)close(fd);
    if (result != 0) {
        goto fail;
    }
    opened->arena = arena_new();
    if (!wire_decode(&config_schema, str_of(opened->mapping, opened->size), opened->arena,
                     &opened->config)) {
        (void)err_set(err, "the compiled configuration cannot be decoded");
        goto fail;
    }
    if (config_finish(&opened->config, opened->arena, err) != 0) {
        goto fail;
    }
    opened->config.generation = generation;
    return &opened->config;
fail:
    config_free(&opened->config);
    return NULL;
}

void config_free(struct config *config)
{
    struct opened *opened = (struct opened *)(void *)config;

    if (opened == NULL) {
        return;
    }
    arena_free(opened->arena);
    if (opened->mapping != NULL) {
        (void)munmap(opened->mapping, opened->size);
    }
    free(opened);
}

/* ---- looking up ---- */

uint32_t config_find_pack(const struct config *config, struct str vendor)
{
    for (size_t i = 0; i < config->pack_count; i++) {
        if (str_equal(config->packs[i].vendor, vendor)) {
            return (uint32_t)i;
        }
    }
    return PACK_NONE;
}

uint32_t pack_find_operation(const struct pack *pack, struct str name)
{
    for (size_t i = 0; i < pack->operation_count; i++) {
        if (str_equal(pack->operations[i].name, name)) {
            return (uint32_t)i;
        }
    }
    return PACK_NONE;
}

/* A name in full goes before one with a star. */
static uint32_t find_host(const struct pack *pack, struct str host)
{
    uint32_t found = PACK_NONE;

    for (uint32_t i = 0; i < pack->upstream_count; i++) {
        for (size_t k = 0; k < pack->upstreams[i].host_count; k++) {
            struct str pattern = pack->upstreams[i].hosts[k];
            if (str_equal_nocase(pattern, host)) {
                return i;
            }
            if (found == PACK_NONE && url_host_matches(pattern, host)) {
                found = i;
            }
        }
    }
    return found;
}

/* A name in full, of whichever pack, goes before one with a star. */
static bool names_in_full(const struct pack_upstream *upstream, struct str host)
{
    for (size_t i = 0; i < upstream->host_count; i++) {
        if (str_equal_nocase(upstream->hosts[i], host)) {
            return true;
        }
    }
    return false;
}

uint32_t config_find_host(const struct config *config, struct str host, uint32_t *ret_upstream)
{
    uint32_t found = PACK_NONE;

    *ret_upstream = PACK_NONE;
    for (uint32_t i = 0; i < config->pack_count && host.len > 0; i++) {
        uint32_t upstream = find_host(&config->packs[i], host);
        bool full =
            upstream != PACK_NONE && names_in_full(&config->packs[i].upstreams[upstream], host);
        if (upstream != PACK_NONE && (found == PACK_NONE || full)) {
            found = i;
            *ret_upstream = upstream;
        }
        if (full) {
            break;
        }
    }
    return found;
}

uint32_t pack_take_host(const struct pack *pack, struct str *path)
{
    struct str rest = str_slice(*path, 1, path->len);
    struct str host = str_take_until(&rest, '/');
    uint32_t upstream = host.len > 0 ? find_host(pack, host) : PACK_NONE;

    if (upstream != PACK_NONE) {
        *path = path->len > host.len + 1 ? str_slice(*path, host.len + 1, path->len) : STR("/");
    }
    return upstream;
}

enum { NAME_MAX_BYTES = 96 };

/* Levenshtein's distance, over two rows. */
static size_t distance(struct str a, struct str b)
{
    size_t row[NAME_MAX_BYTES + 1];

    assert(b.len <= NAME_MAX_BYTES);
    for (size_t k = 0; k <= b.len; k++) {
        row[k] = k;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t replaced = diagonal + (a.data[i - 1] != b.data[k - 1]);
            diagonal = row[k];
            size_t best = row[k] < row[k - 1] ? row[k] + 1 : row[k - 1] + 1;
            row[k] = replaced < best ? replaced : best;
        }
    }
    return row[b.len];
}

struct str pack_nearest_operation(const struct pack *pack, struct str name)
{
    struct str nearest = STR_NONE;
    size_t best = name.len / 2 + 1; /* farther than that is no likeness */

    if (name.len > NAME_MAX_BYTES) {
        return STR_NONE;
    }
    for (size_t i = 0; i < pack->operation_count; i++) {
        struct str candidate = pack->operations[i].name;
        size_t apart = candidate.len > NAME_MAX_BYTES ? best : distance(name, candidate);
        if (apart < best) {
            best = apart;
            nearest = candidate;
        }
    }
    return nearest;
}

/* With "{id}" and its like as "*". */
static struct str plain_template(struct str path, char (*room)[NAME_MAX_BYTES])
{
    size_t len = 0;

    while (path.len > 0 && len + 2 < sizeof(*room)) {
        struct str segment = str_take_until(&path, '/');
        segment = str_starts(segment, STR("{")) ? STR("*") : segment;
        if (len + segment.len + 1 >= sizeof(*room)) {
            return STR_NONE;
        }
        memcpy(*room + len, segment.data, segment.len);
        len += segment.len;
        (*room)[len++] = '/';
    }
    return str_of(*room, len > 0 ? len - 1 : 0);
}

struct str pack_nearest_path(const struct pack *pack, struct str path)
{
    struct str nearest = STR_NONE;
    size_t best = path.len / 3 + 1;
    char room[NAME_MAX_BYTES];

    if (path.len > NAME_MAX_BYTES) {
        return STR_NONE;
    }
    for (size_t i = 0; i < pack->match_count; i++) {
        struct str template = plain_template(pack->matches[i].path, &room);
        size_t longer = template.len > path.len ? template.len - path.len : path.len - template.len;
        size_t apart = longer < best ? distance(path, template) : best; /* is that at least */
        if (apart < best) {
            best = apart;
            nearest = pack->matches[i].path;
        }
    }
    return nearest;
}

enum body_encoding pack_encoding_of(const struct pack *pack, struct str path)
{
    enum body_encoding encoding = ENCODING_ANY;
    size_t longest = 0;

    for (size_t i = 0; i < pack->encoding_count; i++) {
        struct str prefix = pack->encodings[i].prefix;
        if (prefix.len >= longest && str_starts(path, prefix)) {
            longest = prefix.len;
            encoding = pack->encodings[i].encoding;
        }
    }
    return encoding;
}

const struct pack_header *pack_find_header(const struct pack *pack, struct str name)
{
    for (size_t i = 0; i < pack->header_count; i++) {
        if (str_equal(pack->headers[i].name, name)) {
            return &pack->headers[i];
        }
    }
    return NULL;
}
