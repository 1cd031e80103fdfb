/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/audit.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "judge/book.h"
#include "judge/keys.h"
#include "judge/record.h"
#include "ledger/chain.h"
#include "policy/usd.h"

enum {
    SIGN_EVERY_MS = 60 * 1000,
    LEVELS_TEXT = 2048,
    DETAIL_TEXT = 640,
    NAMES_TEXT = LIMIT_TARGET_BYTES,
    REFUSED_TEXT = 1024, /* of a path, or names in a query, that were refused */
};

static struct digest fresh_salt(struct judge *judge)
{
    struct digest salt;

    if (judge->audit.random_left < DIGEST_SIZE) {
        random_bytes(judge->audit.random, sizeof(judge->audit.random));
        judge->audit.random_left = sizeof(judge->audit.random);
    }
    judge->audit.random_left -= DIGEST_SIZE;
    memcpy(salt.bytes, judge->audit.random + judge->audit.random_left, DIGEST_SIZE);
    return salt;
}

static void write_row(struct judge *judge, struct message_row_audit *row)
{
    row->sequence = ++judge->audit.sequence;
    row->at_ms = judge->clock.now_ms;
    row->salt = fresh_salt(judge);
    record_chained(judge, row, &judge->audit.head);
}

/* ---- what a request row says ---- */

static struct str cut(struct str s, size_t max)
{
    return str_slice(s, 0, max);
}

/* "a&b" of "a=1&b=2": a value may be a secret or a name. */
static struct str query_names(struct str query, char *out, size_t size)
{
    size_t len = 0;

    while (query.len > 0) {
        struct str pair = str_take_until(&query, '&');
        struct str name = str_take_until(&pair, '=');
        if (len + name.len + 1 > size) {
            break;
        }
        if (len > 0) {
            out[len++] = '&';
        }
        if (name.len > 0) {
            memcpy(out + len, name.data, name.len);
            len += name.len;
        }
    }
    return str_of(out, len);
}

/* "key day cap 50.00 spent 20.00 held 30.00; key life ..." */
static struct str levels_text(const struct judge *judge, const struct decision *decision, char *out,
                              size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < decision->level_count; i++) {
        const struct level *level = &decision->levels[i];
        const struct window *window = windows_find(&judge->windows, &level->owner, level->day);
        struct usd_text cap = usd_text(level->cap);
        struct usd_text spent = usd_text(window == NULL ? 0 : window->posted);
        struct usd_text held = usd_text(window == NULL ? 0 : window->held);
        int added = snprintf(out + len, size - len, "%s%s %.*s %s cap %s spent %s held %s",
                             i == 0 ? "" : "; ", level->level == LEVEL_KEY ? "key" : "tenant",
                             STR_FMT(cut(level->name, LIMIT_NAME_BYTES)),
                             level->day == WINDOW_LIFE ? "life" : "day",
                             level->cap == MONEY_NONE ? "none" : cap.text, spent.text, held.text);
        if (added < 0 || (size_t)added >= size - len) {
            break;
        }
        len += (size_t)added;
    }
    return str_of(out, len);
}

struct texts {
    char names[NAMES_TEXT];
    char levels[LEVELS_TEXT];
};

static void fill(const struct judge *judge, const struct request *request, struct texts *texts,
                 struct message_row_audit *row)
{
    const struct decision *decision = &request->decision;
    const struct message_admit *admit = &request->admit;
    const struct pack_operation *operation = decision->match.operation;

    *row = (struct message_row_audit){
        .request_id = str_from(request->request_id.text),
        .key = decision->key == NULL ? 0 : decision->key->number,
        .operation = operation == NULL ? STR_NONE : operation->name,
        .method = cut(admit->method, LIMIT_NAME_BYTES),
        .query_names = query_names(admit->query, texts->names, sizeof(texts->names)),
        .rule = decision->rule,
        .amount_minor = decision->cost.amount_minor,
        .currency = decision->cost.currency,
        .rate = cut(decision->cost.rate, LIMIT_LABEL_BYTES),
        .account = cut(decision->account, LIMIT_LABEL_BYTES),
        .door = str_from(door_name(admit->door)),
        .path = decision->path.len > 0 ? decision->path : admit->path,
        .client_run_id = cut(request->client_run_id, LIMIT_LABEL_BYTES),
        .source = cut(admit->source, LIMIT_LABEL_BYTES),
    };
    if (decision->pack != NULL) {
        row->vendor = decision->pack->vendor;
        row->operation_class = str_from(operation_class_name(decision->class));
    }
    if (decision->key != NULL) {
        row->policy_version = decision->key->policy_version;
    }
    row->credential = decision->credential_name;
    row->credential_version = decision->credential_version;
    row->live_mode = decision->live_mode;
    if (decision->costs) {
        row->reserved = decision->cost.nano;
        row->levels = levels_text(judge, decision, texts->levels, sizeof(texts->levels));
    }
    row->idempotency = decision->scope;
    if (request->has_body_facts) {
        row->body = request->body_facts.digest;
    }
    if (request->hold != 0) {
        row->hold = request->hold;
        row->hold_state = str_from(hold_state_name(request->hold_state));
        row->objects = request->hold_object;
    }
}

static struct str verdict_text(const struct decision *decision)
{
    if (decision->verdict != VERDICT_ALLOWED) {
        return STR("denied");
    }
    return decision->observed == VERDICT_ALLOWED ? STR("allowed") : STR("observed");
}

/* A sandbox must not fill the disk with what it may not do.  False: counted instead. */
static bool key_gets_row(const struct judge *judge, struct key *key)
{
    uint32_t second = (uint32_t)(judge->clock.now_ms / 1000);
    uint64_t room = key->refused_room + (uint64_t)(second - key->refused_second) * KEY_REFUSALS_A_S;

    key->refused_second = second;
    key->refused_room = room > KEY_REFUSALS ? KEY_REFUSALS : (uint32_t)room;
    if (key->refused_room == 0) {
        return false;
    }
    key->refused_room--;
    return true;
}

/* False: too many of these; counted instead. */
static bool stranger_gets_row(struct judge *judge, struct str source)
{
    struct digest digest = digest_of(source);
    int64_t second = judge->clock.now_ms / 1000;
    unsigned i = 0;

    if (second != judge->audit.second) {
        judge->audit.second = second;
        judge->audit.stranger_count = judge->audit.in_second = 0;
    }
    if (judge->audit.in_second >= STRANGERS_MAX) {
        return false;
    }
    while (i < judge->audit.stranger_count &&
           !digest_equal(&judge->audit.strangers[i].source, &digest)) {
        i++;
    }
    if (i == judge->audit.stranger_count) { /* fewer than rows, so there is room */
        judge->audit.stranger_count++;
        judge->audit.strangers[i].source = digest;
        judge->audit.strangers[i].count = 0;
    }
    if (judge->audit.strangers[i].count >= STRANGER_ROWS) {
        return false;
    }
    judge->audit.strangers[i].count++;
    judge->audit.in_second++;
    return true;
}

void audit_refused_request(struct judge *judge, struct request *request)
{
    static struct texts texts; /* large, and one at a time */
    struct message_row_audit row;

    struct key *key = request->decision.key;
    if (!record_has_room(judge, false) ||
        !(key == NULL ? stranger_gets_row(judge, request->admit.source)
                      : key_gets_row(judge, key))) {
        judge->audit.unwritten++;
        return;
    }
    fill(judge, request, &texts, &row);
    row.path = cut(row.path, REFUSED_TEXT);
    row.query_names = cut(row.query_names, REFUSED_TEXT);
    row.verdict = STR("denied");
    row.reason = verdict_code(request->decision.verdict);
    row.status = verdict_denial(request->decision.verdict).status;
    row.detail = str_from(request->decision.why.text);
    write_row(judge, &row);
}

void audit_intent(struct judge *judge, struct request *request)
{
    static struct texts texts; /* large, and one at a time */
    struct message_row_audit row;

    fill(judge, request, &texts, &row);
    row.verdict = verdict_text(&request->decision);
    if (request->decision.observed != VERDICT_ALLOWED) {
        row.reason = verdict_code(request->decision.observed);
    } else if (!request->first && request->hold != 0) {
        row.reason = STR("repeat");
    }
    row.attempt = request->grant;
    write_row(judge, &row);
}

/* That a vendor sent the credential back is for the operator to know. */
static struct str outcome_detail(const struct message_outcome *outcome, char *out, size_t size)
{
    struct str detail = str_slice(outcome->detail, 0, size / 2);

    if (outcome->scrubbed == 0) {
        return outcome->detail;
    }
    int len = snprintf(out, size, "%.*s%scredential_overwritten=%" PRIu64, STR_FMT(detail),
                       detail.len > 0 ? "; " : "", outcome->scrubbed);
    return len < 0 || (size_t)len >= size ? outcome->detail : str_of(out, (size_t)len);
}

void audit_over(struct judge *judge, struct request *request)
{
    static struct texts texts; /* large, and one at a time */
    char detail[DETAIL_TEXT];
    struct message_row_audit row;
    const struct message_outcome *outcome = &request->outcome;
    static const char *const outcomes[OUTCOME_COUNT] = {
        [OUTCOME_NOT_SENT] = "not_sent",
        [OUTCOME_ANSWERED] = "answered",
        [OUTCOME_UNKNOWN] = "unknown",
    };

    fill(judge, request, &texts, &row);
    bool read = request->decision.class == CLASS_READ && !request->decision.costs;
    row.event = read ? AUDIT_REQUEST : AUDIT_SETTLED;
    row.verdict = verdict_text(&request->decision);
    row.reason = request->decision.observed != VERDICT_ALLOWED
                     ? verdict_code(request->decision.observed)
                     : str_from(outcomes[outcome->outcome]);
    row.status = outcome->outcome == OUTCOME_ANSWERED ? outcome->status : 0;
    row.vendor_request_id = outcome->vendor_request_id;
    row.attempt = request->grant;
    row.settled = request->posted;
    row.bytes_in = outcome->bytes_in;
    row.bytes_out = outcome->bytes_out;
    row.total_us =
        request->has_done ? request->done.total_us : loop_now_us(judge->loop) - request->at_us;
    row.upstream_us = outcome->total_us;
    row.detail = outcome_detail(outcome, detail, sizeof(detail));
    write_row(judge, &row);
}

/* The class and the credential, so that reports by them count it where the request counts. */
static void fill_subject(const struct judge *judge, const struct hold *hold,
                         struct message_row_audit *row)
{
    const struct config *config = judge->generation == NULL ? NULL : judge->generation->config;
    uint32_t pack = config == NULL ? PACK_NONE : config_find_pack(config, hold->row.vendor);
    const struct credential *credential = book_credential(judge, hold->row.credential);

    if (pack != PACK_NONE) {
        uint32_t operation = pack_find_operation(&config->packs[pack], hold->row.operation);
        enum operation_class class =
            operation == PACK_NONE ? CLASS_WRITE : config->packs[pack].operations[operation].class;
        row->operation_class = str_from(operation_class_name(class));
    }
    if (credential != NULL) {
        row->credential = credential->name;
        row->credential_version = credential->version;
        row->live_mode = credential->live_mode;
    }
    row->account = hold->row.account;
}

void audit_hold(struct judge *judge, enum audit_event event, const struct hold *hold,
                const struct key *key, int64_t posted, const char *reason)
{
    audit_hold_by(judge, event, hold, key, posted, reason, STR("keybrake"));
}

void audit_hold_by(struct judge *judge, enum audit_event event, const struct hold *hold,
                   const struct key *key, int64_t posted, const char *reason, struct str actor)
{
    struct message_row_audit row = {
        .event = event,
        .key = hold->row.key,
        .vendor = hold->row.vendor,
        .operation = hold->row.operation,
        .reason = str_from(reason),
        .amount_minor = hold->row.amount_minor,
        .currency = hold->row.currency,
        .settled = posted,
        .reserved = hold->row.held,
        .hold = hold->number,
        .hold_state = str_from(hold_state_name(hold->row.state)),
        .idempotency = hold->row.idempotency,
        .objects = hold->row.object,
        .actor = cut(actor, LIMIT_LABEL_BYTES),
    };

    row.policy_version = key == NULL ? 0 : key->policy_version;
    fill_subject(judge, hold, &row);
    write_row(judge, &row);
}

void audit_threshold(struct judge *judge, const struct crossing *crossing)
{
    const struct key *key =
        crossing->level == LEVEL_KEY ? keys_by_id(judge, crossing->owner) : NULL;
    char reason[16], text[200];

    (void)snprintf(reason, sizeof(reason), "%u_percent", crossing->percent);
    (void)snprintf(text, sizeof(text), "%s cap of $%s: $%s spent, $%s held",
                   crossing->day == WINDOW_LIFE ? "total" : "daily", usd_text(crossing->cap).text,
                   usd_text(crossing->posted).text, usd_text(crossing->held).text);
    struct message_row_audit row = {.event = AUDIT_THRESHOLD,
                                    .key = key == NULL ? 0 : key->number,
                                    .reason = str_from(reason),
                                    .rule = cut(crossing->owner, LIMIT_LABEL_BYTES),
                                    .detail = str_from(text),
                                    .actor = STR("keybrake")};

    row.policy_version = key == NULL ? 0 : key->policy_version;
    write_row(judge, &row);
}

void audit_control(struct judge *judge, struct str actor, const char *action, const struct key *key,
                   struct str object, struct str detail)
{
    struct message_row_audit row = {.event = AUDIT_CONTROL,
                                    .reason = str_from(action),
                                    .actor = cut(actor, LIMIT_LABEL_BYTES),
                                    .rule = object,
                                    .detail = detail};

    if (key != NULL) {
        row.key = key->number;
        row.vendor = key->vendor;
        row.policy_version = key->policy_version;
    }
    write_row(judge, &row);
}

void audit_server(struct judge *judge, const char *reason, struct str detail)
{
    struct message_row_audit row = {.event = AUDIT_SERVER,
                                    .reason = str_from(reason),
                                    .actor = STR("keybrake"),
                                    .detail = detail};

    write_row(judge, &row);
}

void audit_tunnel(struct judge *judge, const struct audit_tunnel *tunnel)
{
    char authority[300];
    struct message_row_audit row = {
        .event = AUDIT_REQUEST,
        .request_id = tunnel->request_id,
        .method = STR("CONNECT"),
        .verdict = STR("allowed"),
        .reason = str_from(tunnel->reason),
        .door = str_from(door_name(tunnel->door)),
        .source = cut(tunnel->source, LIMIT_LABEL_BYTES),
    };

    (void)snprintf(authority, sizeof(authority), "%.*s:%u",
                   STR_FMT(str_slice(tunnel->host, 0, 256)), tunnel->port);
    row.path = str_from(authority);
    if (tunnel->key != NULL) {
        row.key = tunnel->key->number;
        row.vendor = tunnel->key->vendor;
        row.policy_version = tunnel->key->policy_version;
    }
    if (tunnel->done != NULL) {
        row.bytes_in = tunnel->done->bytes_out; /* seen from us: in from upstream */
        row.bytes_out = tunnel->done->bytes_in;
        row.total_us = tunnel->done->total_us;
        row.detail = cut(tunnel->done->problem, LIMIT_LABEL_BYTES);
    }
    write_row(judge, &row);
}

/* ---- the head ---- */

void audit_sign_head(struct judge *judge)
{
    if (judge->audit.sequence == judge->audit.signed_sequence) {
        return;
    }
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *vault = judge->vaults[i];
        if (vault == NULL || vault->dying) {
            continue;
        }
        judge->audit.signing = (struct message_sign_head){.sequence = judge->audit.sequence,
                                                          .head = judge->audit.head,
                                                          .at_ms = judge->clock.now_ms};
        (void)channel_send(vault->channel, MESSAGE_SIGN_HEAD, &judge->audit.signing);
        judge->audit.signed_at_ms = judge->clock.now_ms;
        return;
    }
}

void audit_signed(struct judge *judge, const struct message_signed *signed_head)
{
    struct message_sign_head *asked = &judge->audit.signing;

    if (signed_head->sequence != asked->sequence || asked->sequence == 0) {
        return; /* asked again meanwhile */
    }
    if (!chain_signature_is_good(asked->sequence, &asked->head, asked->at_ms,
                                 signed_head->signature, signed_head->public_key)) {
        log_error("audit-signature", "sequence=%" PRIu64 " why=bad", asked->sequence);
        return;
    }
    struct message_row_head row = {.sequence = asked->sequence,
                                   .head = asked->head,
                                   .at_ms = asked->at_ms,
                                   .signature = signed_head->signature,
                                   .public_key = signed_head->public_key};
    judge->audit.signed_sequence = asked->sequence;
    asked->sequence = 0;
    record_row(judge, MESSAGE_ROW_HEAD, &row);
}

void audit_tick(struct judge *judge)
{
    if (judge->clock.now_ms - judge->audit.signed_at_ms < SIGN_EVERY_MS) {
        return;
    }
    if (judge->audit.unwritten > 0 && record_has_room(judge, false)) {
        char text[64];
        struct message_row_audit row = {.event = AUDIT_REFUSED,
                                        .reason = STR("refused_without_row"),
                                        .actor = STR("keybrake"),
                                        .attempt = judge->audit.unwritten};
        (void)snprintf(text, sizeof(text), "%" PRIu64 " refusals", judge->audit.unwritten);
        row.detail = str_from(text);
        judge->audit.unwritten = 0;
        write_row(judge, &row);
    }
    judge->audit.signed_at_ms = judge->clock.now_ms;
    audit_sign_head(judge);
}
