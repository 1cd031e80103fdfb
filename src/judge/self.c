/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/self.h"

#include "judge/audit.h"
#include "judge/decide.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/record.h"
#include "judge/request.h"
#include "judge/revoke.h"

enum { ANSWER_MAX = 512 * 1024 };

bool self_is_for_us(struct str path)
{
    return str_starts(path, STR("/_keybrake/")) || str_equal(path, STR("/_keybrake"));
}

static void answer_json(struct request *request, uint32_t status, struct str json)
{
    struct message_header headers[] = {
        {STR("content-type"), STR("application/json")},
        {STR("cache-control"), STR("no-store")},
        {STR("keybrake-request-id"), str_from(request->request_id.text)}};
    struct message_answer answer = {.status = status,
                                    .reason = status == 200 ? STR("OK") : STR("Not Found"),
                                    .headers = headers,
                                    .header_count = 3,
                                    .body = json};

    request_send_answer(request, &answer);
}

static void show(struct request *request)
{
    struct buf text;

    buf_init(&text, ANSWER_MAX);
    struct json_out out = json_begin(&text);
    json_key_for_self(&out, request->judge, request->decision.key);
    answer_json(request, 200, buf_str(&text));
    buf_clear(&text);
    request_free(request);
}

static void on_ended(void *ctx, bool durable)
{
    struct request *request = ctx;
    struct key *key = keys_by_number(request->judge, request->self_key);
    struct buf text;

    if (!durable || key == NULL) {
        (void)refuse(&request->decision, VERDICT_LEDGER_UNAVAILABLE,
                     "this vault key is dead, but that is not written yet");
        request_send_denial(request);
        request_free(request);
        return;
    }
    buf_init(&text, ANSWER_MAX);
    struct json_out out = json_begin(&text);
    json_key_end(&out, request->judge, key, false);
    answer_json(request, 200, buf_str(&text));
    buf_clear(&text);
    request_free(request);
}

static void end(struct request *request)
{
    struct judge *judge = request->judge;
    struct key *key = request->decision.key;

    if (!judge->generation->config->self_revoke) {
        (void)refuse(&request->decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                     "this server does not let a vault key end itself");
        request_deny(request);
        return;
    }
    if (!record_has_room(judge, true)) {
        (void)refuse(&request->decision, VERDICT_LEDGER_UNAVAILABLE,
                     "the ledger cannot be written at the moment");
        request_deny(request);
        return;
    }
    request->self_key = key->number;
    audit_control(judge, STR("vault key"), "key_revoked", key, key_id(key), STR_NONE);
    revoke_key(judge, key, KEY_REVOKED, on_ended, request);
}

void self_answer(struct request *request)
{
    struct judge *judge = request->judge;
    struct decision *decision = &request->decision;
    const struct message_admit *admit = &request->admit;

    decision->observed = VERDICT_ALLOWED;
    decision->generation = judge->generation;
    if (!judge->ready || judge->generation == NULL) {
        (void)refuse(decision, VERDICT_LEDGER_UNAVAILABLE, "the server is starting");
        request_deny(request);
        return;
    }
    bool good = decide_find_key(judge, admit, decision) && decide_lives(judge, decision);
    request->admit.presented = NULL; /* borrowed from the message */
    request->admit.presented_count = 0;
    decision->form_name = STR_NONE;
    if (!good) {
        request_deny(request);
    } else if (str_equal(admit->path, STR("/_keybrake/v1/self")) &&
               str_equal(admit->method, STR("GET"))) {
        show(request);
    } else if (str_equal(admit->path, STR("/_keybrake/v1/keys/self")) &&
               str_equal(admit->method, STR("DELETE"))) {
        end(request);
    } else {
        answer_json(request, 404, STR("{\"error\":\"not_found\"}"));
        request_free(request);
    }
}
