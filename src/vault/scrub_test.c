/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/scrub.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/test.h"

#define KEY "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
#define ODD "p/w\"d\\%2b+\nx=~abcdefgh"

static struct scrubber *new_scrubber(const char *const *secrets, size_t count)
{
    struct str texts[SCRUB_SECRETS_MAX];
    struct err err = {""};

    for (size_t i = 0; i < count; i++) {
        texts[i] = str_from(secrets[i]);
    }
    struct scrubber *scrubber = scrubber_new(texts, count, &err);
    CHECK_CASE(scrubber != NULL, err.text);
    return scrubber;
}

/* As one piece. */
static char *scrub_whole(const struct scrubber *scrubber, struct str text, uint64_t *ret_hits)
{
    struct scrub scrub;
    char *copy = mem_copy_str(text);

    scrub_begin(&scrub, scrubber);
    CHECK(scrub_bytes(&scrub, (unsigned char *)copy, text.len, true) == text.len);
    *ret_hits = scrub.hits;
    return copy;
}

/* In pieces that end at the two places; 0 and len for none. */
static char *scrub_pieces(const struct scrubber *scrubber, struct str text, size_t one, size_t two)
{
    struct scrub scrub;
    struct buf held;
    struct buf out;
    const size_t ends[] = {one, two, text.len};
    size_t at = 0;

    buf_init(&held, text.len + 1);
    buf_init(&out, text.len + 1);
    scrub_begin(&scrub, scrubber);
    for (size_t i = 0; i < 3; i++) {
        (void)buf_add_str(&held, str_slice(text, at, ends[i]));
        at = ends[i];
        size_t final = buf_len(&held) == 0
                           ? 0
                           : scrub_bytes(&scrub, held.data + held.start, buf_len(&held), i == 2);
        (void)buf_add_str(&out, str_slice(buf_str(&held), 0, final));
        buf_consume(&held, final);
    }
    CHECK(buf_len(&out) == text.len && buf_len(&held) == 0);
    char *copy = mem_copy_str(buf_str(&out));
    buf_clear(&held);
    buf_clear(&out);
    return copy;
}

static void percent(struct buf *out, struct str text, const char *digits)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        (void)buf_add_char(out, '%');
        (void)buf_add_char(out, digits[c >> 4]);
        (void)buf_add_char(out, digits[c & 15]);
    }
}

/* Each form of a secret in the middle of other text must be gone, and the text must not. */
static void test_forms(const char *secret, const struct scrubber *scrubber)
{
    struct str key = str_from(secret);
    struct buf out;

    buf_init(&out, 1 << 20);
    for (int form = 0; form < 14; form++) {
        char name[32];
        buf_cut(&out, 0);
        (void)buf_add_str(&out, STR("{\"left\":\""));
        size_t from = buf_len(&out);
        switch (form) {
        case 0:
            (void)buf_add_str(&out, key);
            break;
        case 1:
            percent(&out, key, "0123456789abcdef");
            break;
        case 2:
            percent(&out, key, "0123456789ABCDEF");
            break;
        case 3: /* every other one */
            for (size_t i = 0; i < key.len; i++) {
                if (i % 2 == 0) {
                    percent(&out, str_slice(key, i, i + 1), "0123456789aBcDeF");
                } else {
                    (void)buf_add_char(&out, key.data[i]);
                }
            }
            break;
        case 4:
            for (size_t i = 0; i < key.len; i++) {
                (void)buf_addf(&out, "\\u%04x", (unsigned char)key.data[i]);
            }
            break;
        case 5:
            for (size_t i = 0; i < key.len; i++) {
                (void)buf_addf(&out, i % 3 == 0 ? "\\u00%02X" : "%%%02x",
                               (unsigned char)key.data[i]);
            }
            break;
        case 6:
            (void)hex_encode(&out, key);
            break;
        case 7:
            for (size_t i = 0; i < key.len; i++) {
                (void)buf_addf(&out, i % 2 == 0 ? "%02X" : "%02x", (unsigned char)key.data[i]);
            }
            break;
        default: { /* base64: three alignments, two alphabets */
            struct buf plain;
            buf_init(&plain, 1 << 16);
            (void)buf_add(&plain, "u:", (size_t)(form - 8) % 3);
            (void)buf_add_str(&plain, key);
            (void)buf_add_str(&plain, STR("tail"));
            (void)(form < 11 ? base64_encode : base64url_encode)(&out, buf_str(&plain));
            buf_clear(&plain);
        }
        }
        size_t to = buf_len(&out);
        (void)buf_add_str(&out, STR("\",\"right\":\"sk_live_other\"}"));
        uint64_t hits;
        char *whole = scrub_whole(scrubber, buf_str(&out), &hits);
        (void)snprintf(name, sizeof(name), "form %d of %.8s", form, secret);
        CHECK_CASE(hits == 1, name);
        struct str scrubbed = str_of(whole, buf_len(&out));
        CHECK_CASE(str_starts(scrubbed, str_slice(buf_str(&out), 0, from)), name);
        CHECK_CASE(str_ends(scrubbed, STR("\",\"right\":\"sk_live_other\"}")), name);
        size_t stars = 0;
        for (size_t i = from; i < to; i++) {
            stars += whole[i] == '*';
        }
        /* Base64 keeps at most the characters that also say something of what stands around. */
        CHECK_CASE(stars + (form < 8 ? 0 : 12) >= to - from, name);
        for (size_t one = 0; one <= scrubbed.len; one++) {
            char *pieces = scrub_pieces(scrubber, buf_str(&out), one, one);
            CHECK_CASE(strcmp(pieces, whole) == 0, name);
            free(pieces);
        }
        free(whole);
    }
    buf_clear(&out);
}

static void test_all_splits(const struct scrubber *scrubber)
{
    const struct str text = STR("sk_lsk_live_4eC39HqLyjWDarjtT1zdp7dc%73k_live_4eC39HqLyjWDarjtT1zd"
                                "p7dcsk_live_4eC39HqLyjWDarjtT1zdp7dsk_");
    uint64_t hits;
    char *whole = scrub_whole(scrubber, text, &hits);

    CHECK(hits == 2);
    CHECK(strcmp(whole,
                 "sk_l********************************"
                 "**********************************sk_live_4eC39HqLyjWDarjtT1zdp7dsk_") == 0);
    for (size_t one = 0; one <= text.len; one++) {
        for (size_t two = one; two <= text.len; two++) {
            char *pieces = scrub_pieces(scrubber, text, one, two);
            CHECK(strcmp(pieces, whole) == 0);
            free(pieces);
        }
    }
    free(whole);
}

static void test_leaves_alone(const struct scrubber *scrubber)
{
    static const char *const texts[] = {
        "",
        "s",
        "sk_live_4eC39HqLyjWDarjtT1zdp7d",
        "k_live_4eC39HqLyjWDarjtT1zdp7dc",
        "SK_LIVE_4EC39HQLYJWDARJTT1ZDP7DC",
        "sk_live_4eC39HqLyjWDarjt T1zdp7dc",
        "736b5f6c6976655f3465433339",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "{\"id\":\"ch_3MmlLrLkdIwHu7ix0snN0B15\",\"object\":\"charge\",\"amount\":1099}",
        "%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
        "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t hits;
        char *whole = scrub_whole(scrubber, str_from(texts[i]), &hits);
        CHECK_CASE(hits == 0 && strcmp(whole, texts[i]) == 0, texts[i]);
        free(whole);
    }
}

/* What cannot become a hit must not wait. */
static void test_holds_back_little(const struct scrubber *scrubber)
{
    static const struct {
        const char *text;
        size_t final;
    } cases[] = {
        {"data: {\"delta\":\"hello\"}\n\n", 25},
        {"hello sk_liv", 6},
        {"hello sk_liver", 14},
        {"hello %7", 6},
        {"hello %8", 8},
        {"x\\u007", 1},
        {"nothing", 7},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scrub scrub;
        char *copy = mem_copy_str(str_from(cases[i].text));
        scrub_begin(&scrub, scrubber);
        CHECK_CASE(scrub_bytes(&scrub, (unsigned char *)copy, strlen(copy), false) ==
                       cases[i].final,
                   cases[i].text);
        free(copy);
    }
}

static void test_overlaps(void)
{
    static const char *const secrets[] = {"abcdefghijklmnopQRSTUV", "opQRSTUVwxyz0123456789",
                                          "abcdefghijklmnopQRSTUVw!"};
    struct scrubber *scrubber = new_scrubber(secrets, 3);
    uint64_t hits;
    char *whole = scrub_whole(scrubber, STR("<abcdefghijklmnopQRSTUVwxyz0123456789>"), &hits);

    CHECK(strcmp(whole, "<************************************>") == 0 && hits == 1);
    struct str text = STR("<abcdefghijklmnopQRSTUVwxyz0123456789>");
    for (size_t one = 0; one <= text.len; one++) {
        for (size_t two = one; two <= text.len; two++) {
            char *pieces = scrub_pieces(scrubber, text, one, two);
            CHECK(strcmp(pieces, whole) == 0);
            free(pieces);
        }
    }
    free(whole);
    scrubber_free(scrubber);
}

static void test_refusals(void)
{
    struct err err = {""};
    struct str secret = STR("fifteen bytes..");

    CHECK(scrubber_new(&secret, 1, &err) == NULL && strstr(err.text, "15 bytes") != NULL);
    secret.len = 0;
    CHECK(scrubber_new(&secret, 1, &err) == NULL);
    struct str many[SCRUB_SECRETS_MAX + 1];
    for (size_t i = 0; i <= SCRUB_SECRETS_MAX; i++) {
        many[i] = STR(KEY);
    }
    CHECK(scrubber_new(many, SCRUB_SECRETS_MAX + 1, &err) == NULL);
    struct scrubber *most = scrubber_new(many, SCRUB_SECRETS_MAX, &err);
    CHECK(most != NULL);
    scrubber_free(most);
    struct scrubber *none = scrubber_new(NULL, 0, &err);
    uint64_t hits;
    char *whole = scrub_whole(none, STR(KEY), &hits);
    CHECK(strcmp(whole, KEY) == 0);
    free(whole);
    scrubber_free(none);
    scrubber_free(NULL);
}

int main(void)
{
    static const char *const secrets[] = {KEY, ODD};
    struct scrubber *one = new_scrubber(secrets, 1);
    struct scrubber *both = new_scrubber(secrets, 2);

    test_forms(KEY, one);
    test_forms(KEY, both);
    test_forms(ODD, both);
    test_all_splits(one);
    test_all_splits(both);
    test_leaves_alone(both);
    test_holds_back_little(one);
    test_overlaps();
    test_refusals();
    scrubber_free(one);
    scrubber_free(both);
    return test_done();
}
