/* SPDX-License-Identifier: Apache-2.0 */
/* The exported CA's certificate, for whoever sets up a sandbox. */
#include "base/json_out.h"
#include "control/handlers.h"
#include "tls/leaf.h"

static void on_authorised(struct job *job, const struct message_reply *reply)
{
    struct buf body, hash;

    if (job_failed(job, reply)) {
        return;
    }
    if (job->api->ca_pem == NULL) {
        job_refuse(job, 404, "not_found", "this server has no CA for its forward proxy");
        return;
    }
    struct str pem = str_from(job->api->ca_pem);
    buf_init(&hash, 128);
    buf_init(&body, 2 * CA_PEM_MAX);
    (void)ca_fingerprint(pem, &hash);
    struct json_out json = json_begin(&body);
    json_open(&json, '{');
    json_name(&json, "sha256");
    json_text(&json, buf_str(&hash));
    json_name(&json, "certificate_pem");
    json_text(&json, pem);
    json_close(&json, '}');
    job_answer_json(job, 200, buf_str(&body));
    buf_clear(&body);
    buf_clear(&hash);
}

void ca_run(struct job *job)
{
    struct message_call call = job_ask(job, CALL_AUTHORISE, STR_NONE);

    job_call(job, &call, on_authorised);
}
