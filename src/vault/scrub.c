/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A secret becomes up to eight patterns: itself, its hex, and what each base64 alignment fixes
 * whatever stands before and behind it.  A pattern is a row of symbols; a symbol matches one byte,
 * or several when it comes escaped.
 *
 * Finding is Wu and Manber's: a window as long as the shortest pattern moves over the bytes, and
 * the two bytes at its end say by table how far it may jump.  Only where they allow no jump the
 * patterns are tried.  Near the end of a piece, where no window fits, each byte that can begin a
 * pattern is tried, in order to see whether it lives on into the next piece.
 */
#include "vault/scrub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/secret.h"

enum {
    PATTERNS_A_SECRET = 8, /* raw, hex, 3 base64, 3 base64url */
    SHIFTS = 4096,
    WINDOW_MAX = 32,
    FORMS_MAX = 4,      /* of one symbol: raw, %XX, \u00XX, a short escape */
    FORM_BYTES_MAX = 6, /* \u00XX */
};

struct pattern {
    const unsigned char *symbols;
    size_t len;
    bool hex; /* letters match in both cases, and nothing comes escaped */
};

struct scrubber {
    struct secret memory;
    unsigned char *shift; /* SHIFTS; in the secret memory, as all that depends on the secret */
    bool *first;          /* 256: some pattern may begin so */
    unsigned char *free;  /* what is left of it for symbols */
    size_t window;
    size_t count;
    struct pattern patterns[SCRUB_SECRETS_MAX * PATTERNS_A_SECRET];
};

/* ---- what a symbol may look like ---- */

/* The bytes of one form; a hex digit has two spellings. */
struct form {
    size_t len;
    unsigned char bytes[FORM_BYTES_MAX][2];
};

static void add_plain(struct form *form, unsigned char byte)
{
    form->bytes[form->len][0] = byte;
    form->bytes[form->len][1] = byte;
    form->len++;
}

static void add_digit(struct form *form, unsigned value)
{
    form->bytes[form->len][0] = (unsigned char)"0123456789abcdef"[value & 15];
    form->bytes[form->len][1] = (unsigned char)"0123456789ABCDEF"[value & 15];
    form->len++;
}

static unsigned char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static size_t list_forms(const struct pattern *pattern, size_t symbol, struct form *forms)
{
    unsigned char c = pattern->symbols[symbol];
    size_t count = 0;

    memset(forms, 0, FORMS_MAX * sizeof(*forms));
    if (pattern->hex) {
        add_digit(&forms[count++], (unsigned)ascii_hex_value((char)c));
        return count;
    }
    add_plain(&forms[count++], c);
    add_plain(&forms[count], '%');
    add_digit(&forms[count], c >> 4);
    add_digit(&forms[count++], c & 15u);
    add_plain(&forms[count], '\\');
    add_plain(&forms[count], 'u');
    add_plain(&forms[count], '0');
    add_plain(&forms[count], '0');
    add_digit(&forms[count], c >> 4);
    add_digit(&forms[count++], c & 15u);
    if (short_escape(c) != 0) {
        add_plain(&forms[count], '\\');
        add_plain(&forms[count++], short_escape(c));
    }
    return count;
}

/* ---- the tables ---- */

static size_t hash2(unsigned char a, unsigned char b)
{
    return ((size_t)a << 4 ^ b) & (SHIFTS - 1);
}

/* A match may have these two bytes, these two spellings each, `offset` bytes behind its start. */
static void lower_shift(struct scrubber *scrubber, const unsigned char *a, const unsigned char *b,
                        size_t offset)
{
    if (offset + 2 > scrubber->window) {
        return;
    }
    size_t shift = scrubber->window - 2 - offset;
    for (size_t i = 0; i < 4; i++) {
        unsigned char *entry = &scrubber->shift[hash2(a[i & 1], b[i >> 1])];
        if (shift < *entry) {
            *entry = (unsigned char)shift;
        }
    }
}

/* All that can stand in the window when `form` of one symbol begins at `offset`. */
static void note_form(struct scrubber *scrubber, const struct form *form, size_t offset,
                      const struct form *next, size_t next_count)
{
    for (size_t k = 0; k + 1 < form->len; k++) {
        lower_shift(scrubber, form->bytes[k], form->bytes[k + 1], offset + k);
    }
    for (size_t n = 0; n < next_count; n++) {
        lower_shift(scrubber, form->bytes[form->len - 1], next[n].bytes[0], offset + form->len - 1);
    }
}

static void note_pattern(struct scrubber *scrubber, const struct pattern *pattern)
{
    struct form forms[FORMS_MAX];
    struct form next[FORMS_MAX];
    bool reached[WINDOW_MAX + FORM_BYTES_MAX] = {true}; /* offsets where this symbol may begin */
    size_t count = list_forms(pattern, 0, forms);

    for (size_t i = 0; i < count; i++) {
        scrubber->first[forms[i].bytes[0][0]] = true;
        scrubber->first[forms[i].bytes[0][1]] = true;
    }
    for (size_t symbol = 0; symbol < pattern->len && symbol < scrubber->window; symbol++) {
        bool reached_next[WINDOW_MAX + FORM_BYTES_MAX] = {false};
        size_t next_count = symbol + 1 < pattern->len ? list_forms(pattern, symbol + 1, next) : 0;
        for (size_t offset = 0; offset < scrubber->window; offset++) {
            for (size_t i = 0; reached[offset] && i < count; i++) {
                note_form(scrubber, &forms[i], offset, next, next_count);
                reached_next[offset + forms[i].len] = true;
            }
        }
        memcpy(reached, reached_next, sizeof(reached));
        memcpy(forms, next, sizeof(forms));
        count = next_count;
    }
    mem_wipe(forms, sizeof(forms));
    mem_wipe(next, sizeof(next));
}

static struct pattern *add_pattern(struct scrubber *scrubber, struct str symbols, bool hex)
{
    struct pattern *pattern = &scrubber->patterns[scrubber->count++];

    if (symbols.len > 0) {
        memcpy(scrubber->free, symbols.data, symbols.len);
    }
    *pattern = (struct pattern){.symbols = scrubber->free, .len = symbols.len, .hex = hex};
    scrubber->free += symbols.len;
    if (pattern->len < scrubber->window) {
        scrubber->window = pattern->len;
    }
    return pattern;
}

/* What base64 makes of the secret behind `before` other bytes, as far as it depends on nothing
 * else. */
static void add_base64(struct scrubber *scrubber, struct buf *scratch, struct str secret,
                       size_t before)
{
    struct buf shifted;
    size_t from = (8 * before + 5) / 6;
    size_t to = 8 * (before + secret.len) / 6;

    buf_init_wiped(&shifted, secret.len + 2);
    (void)buf_add(&shifted, "\0\0", before);
    (void)buf_add_str(&shifted, secret);
    buf_cut(scratch, 0);
    (void)base64_encode(scratch, buf_str(&shifted));
    (void)add_pattern(scrubber, str_slice(buf_str(scratch), from, to), false);
    buf_cut(scratch, 0);
    (void)base64url_encode(scratch, buf_str(&shifted));
    struct str url = str_slice(buf_str(scratch), from, to);
    const struct pattern *standard = &scrubber->patterns[scrubber->count - 1];
    if (!str_equal(url, str_of(standard->symbols, url.len))) {
        (void)add_pattern(scrubber, url, false);
    }
    buf_clear(&shifted);
}

static void add_secret(struct scrubber *scrubber, struct str secret)
{
    struct buf scratch;

    buf_init_wiped(&scratch, 4 * secret.len + 16);
    (void)add_pattern(scrubber, secret, false);
    (void)hex_encode(&scratch, secret);
    (void)add_pattern(scrubber, buf_str(&scratch), true);
    for (size_t before = 0; before < 3; before++) {
        add_base64(scrubber, &scratch, secret, before);
    }
    buf_clear(&scratch);
}

static size_t memory_for(const struct str *secrets, size_t count)
{
    size_t bytes = SHIFTS + 256 * sizeof(bool);

    for (size_t i = 0; i < count; i++) {
        bytes += secrets[i].len * 3 + 6 * (secrets[i].len * 4 / 3 + 8);
    }
    return bytes;
}

struct scrubber *scrubber_new(const struct str *secrets, size_t count, struct err *err)
{
    struct scrubber *scrubber = mem_zeroed(sizeof(*scrubber));

    if (count > SCRUB_SECRETS_MAX) {
        (void)err_set(err, "a credential of more than %d secrets", SCRUB_SECRETS_MAX);
        goto fail;
    }
    for (size_t i = 0; i < count; i++) {
        if (secrets[i].len < LIMIT_SECRET_BYTES_MIN || secrets[i].len > LIMIT_SECRET_BYTES_MAX) {
            (void)err_set(err, "a secret of %zu bytes: %d to %d are possible", secrets[i].len,
                          LIMIT_SECRET_BYTES_MIN, LIMIT_SECRET_BYTES_MAX);
            goto fail;
        }
    }
    if (secret_new(&scrubber->memory, memory_for(secrets, count), err) < 0) {
        goto fail;
    }
    scrubber->window = WINDOW_MAX;
    scrubber->shift = scrubber->memory.data;
    scrubber->first = (bool *)(scrubber->memory.data + SHIFTS);
    scrubber->free = scrubber->memory.data + SHIFTS + 256 * sizeof(bool);
    for (size_t i = 0; i < count; i++) {
        add_secret(scrubber, secrets[i]);
    }
    memset(scrubber->shift, (int)(scrubber->window - 1), SHIFTS);
    for (size_t i = 0; i < scrubber->count; i++) {
        note_pattern(scrubber, &scrubber->patterns[i]);
    }
    return scrubber;
fail:
    scrubber_free(scrubber);
    return NULL;
}

void scrubber_free(struct scrubber *scrubber)
{
    if (scrubber == NULL) {
        return;
    }
    secret_clear(&scrubber->memory);
    free(scrubber);
}

/* ---- finding ---- */

enum hit { HIT_NONE, HIT_ALIVE, HIT_FULL };

/* `lead`, then c as two hex digits.  As far as the bytes reach. */
static enum hit match_coded(struct str lead, unsigned char c, const unsigned char *data, size_t len)
{
    size_t whole = lead.len + 2;

    for (size_t i = 0; i < whole; i++) {
        if (i == len) {
            return HIT_ALIVE;
        }
        bool ok = i < lead.len
                      ? data[i] == (unsigned char)lead.data[i]
                      : ascii_hex_value((char)data[i]) == (i == lead.len ? c >> 4 : c & 15);
        if (!ok) {
            return HIT_NONE;
        }
    }
    return HIT_FULL;
}

/* One symbol in one of its longer forms. */
static enum hit match_escaped(unsigned char c, const unsigned char *data, size_t len,
                              size_t *ret_used)
{
    enum hit hit = HIT_NONE;

    if (data[0] == '%') {
        *ret_used = 3;
        return match_coded(STR("%"), c, data, len);
    }
    if (data[0] == '\\') {
        if (len == 1) {
            return HIT_ALIVE;
        }
        if (short_escape(c) != 0 && data[1] == short_escape(c)) {
            *ret_used = 2;
            return HIT_FULL;
        }
        *ret_used = 6;
        hit = match_coded(STR("\\u00"), c, data, len);
    }
    return hit;
}

static enum hit match_symbol(const struct pattern *pattern, size_t symbol, bool escaped,
                             const unsigned char *data, size_t len, size_t *ret_used)
{
    unsigned char c = pattern->symbols[symbol];

    if (pattern->hex) {
        *ret_used = 1;
        return (unsigned char)ascii_lower((char)data[0]) == c ? HIT_FULL : HIT_NONE;
    }
    if (escaped) {
        enum hit hit = match_escaped(c, data, len, ret_used);
        if (hit != HIT_NONE) {
            return hit;
        }
    }
    *ret_used = 1;
    return data[0] == c ? HIT_FULL : HIT_NONE;
}

static enum hit match_pattern(const struct pattern *pattern, bool escaped,
                              const unsigned char *data, size_t len, size_t *ret_end)
{
    size_t at = 0;

    for (size_t symbol = 0; symbol < pattern->len; symbol++) {
        size_t used = 0;
        if (at == len) {
            return HIT_ALIVE;
        }
        enum hit hit = match_symbol(pattern, symbol, escaped, data + at, len - at, &used);
        if (hit != HIT_FULL) {
            return hit;
        }
        at += used;
    }
    *ret_end = at;
    return HIT_FULL;
}

/* The longest hit that begins at `data`, and whether a longer one is still possible.  A secret that
 * itself looks escaped is found as it is by the pass without escapes. */
static size_t match_any(const struct scrubber *scrubber, const unsigned char *data, size_t len,
                        bool *ret_alive)
{
    size_t longest = 0;

    *ret_alive = false;
    for (size_t i = 0; i < scrubber->count * 2; i++) {
        const struct pattern *pattern = &scrubber->patterns[i / 2];
        size_t end = 0;
        if (pattern->hex && (i & 1) != 0) {
            continue;
        }
        enum hit hit = match_pattern(pattern, (i & 1) != 0, data, len, &end);
        if (hit == HIT_ALIVE) {
            *ret_alive = true;
        } else if (hit == HIT_FULL && end > longest) {
            longest = end;
        }
    }
    return longest;
}

void scrub_begin(struct scrub *scrub, const struct scrubber *scrubber)
{
    *scrub = (struct scrub){.scrubber = scrubber};
}

/* What is to be overwritten but may still be read by a hit that begins inside. */
struct mask {
    size_t from, to;
};

static void cover(const struct mask *mask, unsigned char *data, size_t limit)
{
    size_t to = mask->to < limit ? mask->to : limit;

    if (mask->from < to) {
        memset(data + mask->from, '*', to - mask->from);
    }
}

static void add_hit(struct scrub *scrub, struct mask *mask, unsigned char *data, size_t from,
                    size_t to)
{
    if (from >= mask->to) {
        cover(mask, data, mask->to);
        *mask = (struct mask){from, to};
        scrub->hits++;
    } else if (to > mask->to) {
        mask->to = to;
    }
}

size_t scrub_bytes(struct scrub *scrub, unsigned char *data, size_t len, bool last)
{
    const struct scrubber *scrubber = scrub->scrubber;
    struct mask mask = {0, scrub->masked};
    size_t final = len;

    if (scrubber == NULL || scrubber->count == 0) {
        return len;
    }
    assert(scrub->masked <= len);
    for (size_t i = 0; i < len;) {
        if (len - i >= scrubber->window) {
            const unsigned char *end = data + i + scrubber->window;
            size_t shift = scrubber->shift[hash2(end[-2], end[-1])];
            if (shift > 0) {
                i += shift;
                continue;
            }
        } else if (last) {
            break;
        }
        if (scrubber->first[data[i]]) {
            bool alive;
            size_t hit = match_any(scrubber, data + i, len - i, &alive);
            if (alive && !last) {
                final = i;
                break;
            }
            if (hit > 0) {
                add_hit(scrub, &mask, data, i, i + hit);
            }
        }
        i++;
    }
    cover(&mask, data, final);
    scrub->masked = mask.to > final ? mask.to - final : 0;
    return final;
}
