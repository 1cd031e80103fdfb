/* SPDX-License-Identifier: Apache-2.0 */
#include "control/rows.h"

#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json_out.h"
#include "policy/usd.h"

enum column_kind {
    COLUMN_TEXT,     /* of the audit row; empty is null */
    COLUMN_KEY_TEXT, /* of the key */
    COLUMN_U64,
    COLUMN_U64_OR_NULL, /* 0 is null */
    COLUMN_U32_OR_NULL,
    COLUMN_BOOL,
    COLUMN_TIME,
    COLUMN_USD,
    COLUMN_MINOR, /* null without a currency */
    COLUMN_DIGEST,
    COLUMN_EVENT
};

#define AUDIT(n, k, field)                                                                         \
    {                                                                                              \
        (n), (k), offsetof(struct message_row_audit, field)                                        \
    }
#define KEY(n, field)                                                                              \
    {                                                                                              \
        (n), COLUMN_KEY_TEXT, offsetof(struct query_row, field)                                    \
    }
static const struct {
    const char *name;
    enum column_kind kind;
    size_t offset;
} columns[] = {
    AUDIT("sequence", COLUMN_U64, sequence),
    AUDIT("at", COLUMN_TIME, at_ms),
    AUDIT("event", COLUMN_EVENT, event),
    AUDIT("request_id", COLUMN_TEXT, request_id),
    KEY("key", key_id),
    KEY("label", label),
    KEY("run_id", run_id),
    AUDIT("client_run_id", COLUMN_TEXT, client_run_id),
    KEY("tenant", tenant),
    AUDIT("vendor", COLUMN_TEXT, vendor),
    AUDIT("operation", COLUMN_TEXT, operation),
    AUDIT("class", COLUMN_TEXT, operation_class),
    AUDIT("livemode", COLUMN_BOOL, live_mode),
    AUDIT("credential", COLUMN_TEXT, credential),
    AUDIT("credential_version", COLUMN_U64_OR_NULL, credential_version),
    AUDIT("account", COLUMN_TEXT, account),
    AUDIT("objects", COLUMN_TEXT, objects),
    AUDIT("method", COLUMN_TEXT, method),
    AUDIT("path", COLUMN_TEXT, path),
    AUDIT("query_names", COLUMN_TEXT, query_names),
    AUDIT("verdict", COLUMN_TEXT, verdict),
    AUDIT("reason", COLUMN_TEXT, reason),
    AUDIT("rule", COLUMN_TEXT, rule),
    AUDIT("policy_version", COLUMN_U64_OR_NULL, policy_version),
    AUDIT("status", COLUMN_U32_OR_NULL, status),
    AUDIT("vendor_request_id", COLUMN_TEXT, vendor_request_id),
    AUDIT("amount_minor", COLUMN_MINOR, amount_minor),
    AUDIT("currency", COLUMN_TEXT, currency),
    AUDIT("rate", COLUMN_TEXT, rate),
    AUDIT("reserved_usd", COLUMN_USD, reserved),
    AUDIT("settled_usd", COLUMN_USD, settled),
    AUDIT("hold", COLUMN_U64_OR_NULL, hold),
    AUDIT("hold_state", COLUMN_TEXT, hold_state),
    AUDIT("attempt", COLUMN_U64_OR_NULL, attempt),
    AUDIT("idempotency_digest", COLUMN_DIGEST, idempotency),
    AUDIT("body_digest", COLUMN_DIGEST, body),
    AUDIT("levels", COLUMN_TEXT, levels),
    AUDIT("door", COLUMN_TEXT, door),
    AUDIT("source", COLUMN_TEXT, source),
    AUDIT("actor", COLUMN_TEXT, actor),
    AUDIT("bytes_in", COLUMN_U64, bytes_in),
    AUDIT("bytes_out", COLUMN_U64, bytes_out),
    AUDIT("total_us", COLUMN_U64, total_us),
    AUDIT("upstream_us", COLUMN_U64, upstream_us),
    AUDIT("detail", COLUMN_TEXT, detail),
    AUDIT("hash", COLUMN_DIGEST, hash),
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), DIGEST_TEXT = 2 * DIGEST_SIZE };

static const char *const events[AUDIT_EVENT_COUNT] = {
    [AUDIT_REQUEST] = "request",     [AUDIT_SETTLED] = "settled",   [AUDIT_RESOLVED] = "resolved",
    [AUDIT_CORRECTED] = "corrected", [AUDIT_PRESUMED] = "presumed", [AUDIT_THRESHOLD] = "threshold",
    [AUDIT_CONTROL] = "control",     [AUDIT_SERVER] = "server",     [AUDIT_REFUSED] = "refused",
};

bool rows_event(struct str name, enum audit_event *ret_event)
{
    for (int i = 0; i < AUDIT_EVENT_COUNT; i++) {
        if (str_equal(name, str_from(events[i]))) {
            *ret_event = (enum audit_event)i;
            return true;
        }
    }
    return false;
}

/* A cell as text, and whether it is a text, a bare number or word, or nothing. */
enum cell_kind { CELL_NULL, CELL_BARE, CELL_TEXT };

static struct str number_text(struct buf *scratch, uint64_t number)
{
    (void)buf_add_u64(scratch, number);
    return buf_str(scratch);
}

static enum cell_kind number_cell(struct buf *scratch, uint64_t number, bool or_null,
                                  struct str *ret)
{
    *ret = number_text(scratch, number);
    return or_null && number == 0 ? CELL_NULL : CELL_BARE;
}

static enum cell_kind digest_cell(struct buf *scratch, const struct digest *digest, struct str *ret)
{
    if (digest_is_zero(digest)) {
        return CELL_NULL;
    }
    (void)hex_encode(scratch, str_of(digest->bytes, DIGEST_SIZE));
    *ret = buf_str(scratch);
    return CELL_TEXT;
}

static enum cell_kind signed_cell(struct buf *scratch, int64_t number, bool there, struct str *ret)
{
    (void)buf_addf(scratch, "%lld", (long long)number);
    *ret = buf_str(scratch);
    return there ? CELL_BARE : CELL_NULL;
}

static enum cell_kind cell(size_t column, const struct query_row *row, struct buf *scratch,
                           struct str *ret)
{
    const char *at = (const char *)row->audit + columns[column].offset;
    struct str text;
    struct digest digest;
    uint64_t u64;
    uint32_t u32;
    int64_t i64;
    bool flag;

    buf_cut(scratch, 0);
    switch (columns[column].kind) {
    case COLUMN_KEY_TEXT:
        memcpy(ret, (const char *)row + columns[column].offset, sizeof(*ret));
        return ret->len == 0 ? CELL_NULL : CELL_TEXT;
    case COLUMN_TEXT:
        memcpy(&text, at, sizeof(text));
        *ret = text;
        return text.len == 0 ? CELL_NULL : CELL_TEXT;
    case COLUMN_U64:
    case COLUMN_U64_OR_NULL:
        memcpy(&u64, at, sizeof(u64));
        return number_cell(scratch, u64, columns[column].kind == COLUMN_U64_OR_NULL, ret);
    case COLUMN_U32_OR_NULL:
        memcpy(&u32, at, sizeof(u32));
        return number_cell(scratch, u32, true, ret);
    case COLUMN_BOOL:
        memcpy(&flag, at, sizeof(flag));
        *ret = flag ? STR("true") : STR("false");
        return CELL_BARE;
    case COLUMN_TIME:
        memcpy(&i64, at, sizeof(i64));
        (void)buf_add_str(scratch, str_from(clock_rfc3339(i64).text));
        *ret = buf_str(scratch);
        return CELL_TEXT;
    case COLUMN_USD:
        memcpy(&i64, at, sizeof(i64));
        (void)buf_add_str(scratch, str_from(usd_text(i64).text));
        *ret = buf_str(scratch);
        return CELL_TEXT;
    case COLUMN_MINOR:
        memcpy(&i64, at, sizeof(i64));
        return signed_cell(scratch, i64, row->audit->currency.len > 0, ret);
    case COLUMN_DIGEST:
        memcpy(&digest, at, sizeof(digest));
        return digest_cell(scratch, &digest, ret);
    case COLUMN_EVENT:
        *ret = str_from(events[row->audit->event]);
        return CELL_TEXT;
    }
    return CELL_NULL;
}

void rows_json(struct buf *out, const struct query_row *row)
{
    struct json_out json = json_begin(out);
    struct buf scratch;

    buf_init(&scratch, DIGEST_TEXT + 1);
    json_open(&json, '{');
    for (size_t i = 0; i < COLUMNS; i++) {
        struct str text;
        json_name(&json, columns[i].name);
        switch (cell(i, row, &scratch, &text)) {
        case CELL_NULL:
            json_put_null(&json);
            break;
        case CELL_BARE:
            json_raw(&json, text);
            break;
        case CELL_TEXT:
            json_text(&json, text);
            break;
        }
    }
    json_close(&json, '}');
    buf_clear(&scratch);
}

void rows_csv_text(struct buf *out, struct str text)
{
    bool formula = text.len > 0 && memchr("=+-@\t\r", text.data[0], 6) != NULL;
    bool quoted = formula;

    for (size_t i = 0; i < text.len && !quoted; i++) {
        quoted = memchr(",\"\r\n", text.data[i], 4) != NULL;
    }
    if (!quoted) {
        (void)buf_add_str(out, text);
        return;
    }
    (void)buf_add_char(out, '"');
    if (formula) {
        (void)buf_add_char(out, '\'');
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"') {
            (void)buf_add_char(out, '"');
        }
        (void)buf_add_char(out, text.data[i]);
    }
    (void)buf_add_char(out, '"');
}

void rows_csv_head(struct buf *out)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        (void)buf_add_str(out, i == 0 ? STR_NONE : STR(","));
        (void)buf_add_str(out, str_from(columns[i].name));
    }
    (void)buf_add_str(out, STR("\r\n"));
}

void rows_csv(struct buf *out, const struct query_row *row)
{
    struct buf scratch;

    buf_init(&scratch, DIGEST_TEXT + 1);
    for (size_t i = 0; i < COLUMNS; i++) {
        struct str text;
        enum cell_kind kind = cell(i, row, &scratch, &text);
        (void)buf_add_str(out, i == 0 ? STR_NONE : STR(","));
        bool money = columns[i].kind == COLUMN_USD; /* a correction's minus is no formula */
        if (kind == CELL_BARE || (kind == CELL_TEXT && money)) {
            (void)buf_add_str(out, text);
        } else if (kind == CELL_TEXT) {
            rows_csv_text(out, text);
        }
    }
    (void)buf_add_str(out, STR("\r\n"));
    buf_clear(&scratch);
}
