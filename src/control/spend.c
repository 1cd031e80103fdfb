/* SPDX-License-Identifier: Apache-2.0 */
/* Spend by key, label, run, tenant, vendor, day or class, from sums kept with the audit. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "control/handlers.h"
#include "control/rows.h"
#include "control/times.h"
#include "policy/usd.h"

enum { SPEND_BYTES_MAX = 4 * 1024 * 1024, EXPORT_GROUPS_MAX = 5000 };

static const char *const groups[QUERY_GROUP_COUNT] = {
    [QUERY_BY_KEY] = "key",       [QUERY_BY_LABEL] = "label",   [QUERY_BY_RUN] = "run",
    [QUERY_BY_TENANT] = "tenant", [QUERY_BY_VENDOR] = "vendor", [QUERY_BY_DAY] = "day",
    [QUERY_BY_CLASS] = "class"};

enum format { FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV };

struct summing {
    struct query_spend filter;
    enum format format;
    bool any;
    struct buf out;
};

static void summing_free(void *own)
{
    struct summing *summing = own;
    buf_clear(&summing->out);
}

static void write_object(struct summing *summing, const struct query_sum *sum)
{
    struct json_out json = json_begin(&summing->out);

    if (summing->format == FORMAT_JSON && summing->any) {
        (void)buf_add_char(&summing->out, ',');
    }
    json_open(&json, '{');
    json_name(&json, groups[summing->filter.group]);
    json_text_or_null(&json, sum->group);
    if (summing->filter.group == QUERY_BY_KEY) {
        json_name(&json, "label");
        json_text_or_null(&json, sum->label);
    }
    json_name(&json, "spent_usd");
    json_text(&json, str_from(usd_text(sum->posted).text));
    json_name(&json, "count");
    json_i64(&json, sum->requests);
    json_name(&json, "denied");
    json_i64(&json, sum->denied);
    json_close(&json, '}');
    if (summing->format == FORMAT_JSONL) {
        (void)buf_add_char(&summing->out, '\n');
    }
}

static void write_line(struct summing *summing, const struct query_sum *sum)
{
    struct buf *out = &summing->out;

    rows_csv_text(out, sum->group);
    if (summing->filter.group == QUERY_BY_KEY) {
        (void)buf_add_char(out, ',');
        rows_csv_text(out, sum->label);
    }
    (void)buf_addf(out, ",%s,%" PRId64 ",%" PRId64 "\r\n", usd_text(sum->posted).text,
                   sum->requests, sum->denied);
}

static void on_sum(void *ctx, const struct query_sum *sum)
{
    struct summing *summing = ctx;

    if (summing->format == FORMAT_CSV) {
        write_line(summing, sum);
    } else {
        write_object(summing, sum);
    }
    summing->any = true;
}

static void begin(struct summing *summing)
{
    if (summing->format == FORMAT_JSON) {
        (void)buf_add_str(&summing->out, STR("{\"data\":["));
    } else if (summing->format == FORMAT_CSV) {
        (void)buf_addf(&summing->out, "%s%s,spent_usd,count,denied\r\n",
                       groups[summing->filter.group],
                       summing->filter.group == QUERY_BY_KEY ? ",label" : "");
    }
}

static void end(struct summing *summing, bool more)
{
    if (summing->format != FORMAT_JSON) {
        return;
    }
    if (more) {
        (void)buf_addf(&summing->out, "],\"next_cursor\":\"s%zu\"}",
                       summing->filter.skip + summing->filter.limit);
    } else {
        (void)buf_add_str(&summing->out, STR("],\"next_cursor\":null}"));
    }
}

static void on_authorised(struct job *job, const struct message_reply *reply)
{
    static const char *const types[] = {[FORMAT_JSON] = "application/json",
                                        [FORMAT_JSONL] = "application/x-ndjson",
                                        [FORMAT_CSV] = "text/csv; charset=utf-8"};
    struct summing *summing = job->own;
    struct err err = {""};
    bool more = false;

    if (job_failed(job, reply)) {
        return;
    }
    if (job->api->query == NULL) {
        job_refuse(job, 503, "ledger_unavailable", "the database is not open");
        return;
    }
    begin(summing);
    if (query_spend(job->api->query, &summing->filter, on_sum, summing, &more, &err) < 0) {
        job_refuse(job, 503, "ledger_unavailable", "%s", err.text);
        return;
    }
    end(summing, more);
    struct answer answer = {.status = 200,
                            .content_type = str_from(types[summing->format]),
                            .body = buf_str(&summing->out)};
    job_answer(job, &answer);
}

static int take_group(const struct job *job, struct summing *summing, struct err *err)
{
    struct str by = job_argument(job, "group_by");

    summing->filter.group = QUERY_BY_VENDOR;
    if (by.len == 0) {
        return 0;
    }
    for (int i = 0; i < QUERY_GROUP_COUNT; i++) {
        if (str_equal(by, str_from(groups[i]))) {
            summing->filter.group = (enum query_group)i;
            return 0;
        }
    }
    return err_set(err, "group_by is one of: key, label, run, tenant, vendor, day, class");
}

static int take_filter(const struct job *job, struct query_spend *filter, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    int64_t since_ms = 0;
    int64_t until_ms = now_ms + INT64_C(86400000); /* a day ahead, for clocks that differ */
    struct str since = job_argument(job, "since");
    struct str until = job_argument(job, "until");

    filter->key_id = job_argument(job, "key");
    filter->label_prefix = job_argument(job, "label");
    filter->run_id = job_argument(job, "run");
    filter->tenant = job_argument(job, "tenant");
    filter->vendor = job_argument(job, "vendor");
    if ((since.len > 0 && times_parse(since, "since", now_ms, &since_ms, err) < 0) ||
        (until.len > 0 && times_parse(until, "until", now_ms, &until_ms, err) < 0)) {
        return -1;
    }
    filter->since_day = clock_day(since_ms);
    filter->until_day = clock_day(until_ms);
    return 0;
}

static int take_page(const struct job *job, struct summing *summing, struct err *err)
{
    struct str format = job_argument(job, "format");
    struct str cursor = job_argument(job, "cursor");
    uint64_t limit = LIMIT_API_PAGE;
    uint64_t skip = 0;

    summing->format = str_equal(format, STR("jsonl")) ? FORMAT_JSONL
                      : str_equal(format, STR("csv")) ? FORMAT_CSV
                                                      : FORMAT_JSON;
    if (format.len > 0 && summing->format == FORMAT_JSON && !str_equal(format, STR("json"))) {
        return err_set(err, "format is one of: json, jsonl, csv");
    }
    uint64_t most = summing->format == FORMAT_JSON ? LIMIT_API_PAGE_MAX : EXPORT_GROUPS_MAX;
    limit = summing->format == FORMAT_JSON ? limit : most;
    if (job_has_argument(job, "limit") &&
        (!str_to_u64(job_argument(job, "limit"), &limit) || limit == 0 || limit > most)) {
        return err_set(err, "limit is a number from 1 to %" PRIu64, most);
    }
    if (cursor.len > 0 &&
        (cursor.data[0] != 's' || !str_to_u64(str_slice(cursor, 1, cursor.len), &skip) ||
         skip > INT32_MAX)) {
        return err_set(err, "cursor is not one of ours");
    }
    summing->filter.limit = (size_t)limit;
    summing->filter.skip = (size_t)skip;
    return 0;
}

void spend_run(struct job *job)
{
    struct summing *summing = arena_zeroed(job->arena, 1, sizeof(*summing));
    struct err err = {""};

    if (take_group(job, summing, &err) < 0 || take_filter(job, &summing->filter, &err) < 0 ||
        take_page(job, summing, &err) < 0) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    buf_init(&summing->out, SPEND_BYTES_MAX);
    job->own = summing;
    job->own_free = summing_free;
    struct message_call call = job_ask(job, CALL_AUTHORISE, STR("spend"));
    job_call(job, &call, on_authorised);
}
