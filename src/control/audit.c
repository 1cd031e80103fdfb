/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit, newest first, page by page: each page of the database is one short read, and others
 * are served between two.  JSON has a page of at most 1,000 rows; JSONL and CSV go on to the end.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "control/handlers.h"
#include "control/rows.h"
#include "control/times.h"

enum { READS_MAX = 100 }; /* of a JSON page: then it ends early, with a cursor */

enum format { FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV };

struct reading {
    struct query_audit filter; /* its texts are in the job's arena */
    enum format format;
    uint64_t left; /* rows that may still come */
    bool begun, any;
    unsigned reads;
    struct buf *out;
};

static void on_row(void *ctx, const struct query_row *row)
{
    struct reading *reading = ctx;

    if (reading->format == FORMAT_CSV) {
        rows_csv(reading->out, row);
    } else {
        if (reading->format == FORMAT_JSON && reading->any) {
            (void)buf_add_char(reading->out, ',');
        }
        rows_json(reading->out, row);
        if (reading->format == FORMAT_JSONL) {
            (void)buf_add_char(reading->out, '\n');
        }
    }
    reading->any = true;
    reading->left--;
}

static void begin(struct reading *reading, struct buf *out)
{
    if (reading->begun) {
        return;
    }
    reading->begun = true;
    if (reading->format == FORMAT_JSON) {
        (void)buf_add_str(out, STR("{\"data\":["));
    } else if (reading->format == FORMAT_CSV) {
        rows_csv_head(out);
    }
}

static void end(struct reading *reading, struct buf *out, uint64_t next)
{
    if (reading->format != FORMAT_JSON) {
        return;
    }
    if (next == 0) {
        (void)buf_add_str(out, STR("],\"next_cursor\":null}"));
    } else {
        (void)buf_addf(out, "],\"next_cursor\":\"a%" PRIu64 "\"}", next);
    }
}

/* One page of the database.  -1: it could not be read; 0: that was all; 1: there is more. */
static int read_page(struct job *job, struct buf *out, struct err *err)
{
    struct reading *reading = job->own;
    uint64_t next = 0;

    begin(reading, out);
    reading->out = out;
    reading->filter.limit =
        reading->left < LIMIT_DB_PAGE_ROWS ? (size_t)reading->left : LIMIT_DB_PAGE_ROWS;
    if (query_audit(job->api->query, &reading->filter, on_row, reading, &next, err) < 0) {
        return -1;
    }
    reading->filter.before = next;
    bool tired = reading->format == FORMAT_JSON && ++reading->reads == READS_MAX;
    if (next == 0 || reading->left == 0 || tired) {
        end(reading, out, next);
        return 0;
    }
    return 1;
}

static enum stream_step more(void *ctx, struct buf *out)
{
    struct err err;
    int rc = read_page(ctx, out, &err);

    return rc < 0 || out->overflow ? STREAM_CUT : rc == 0 ? STREAM_END : STREAM_MORE;
}

static void on_authorised(struct job *job, const struct message_reply *reply)
{
    static const char *const types[] = {[FORMAT_JSON] = "application/json",
                                        [FORMAT_JSONL] = "application/x-ndjson",
                                        [FORMAT_CSV] = "text/csv; charset=utf-8"};
    const struct reading *reading = job->own;

    if (job_failed(job, reply)) {
        return;
    }
    if (job->api->query == NULL) {
        job_refuse(job, 503, "ledger_unavailable", "the database is not open");
        return;
    }
    job_stream(job, types[reading->format], more);
}

static int take_texts(const struct job *job, struct query_audit *filter, struct err *err)
{
    const struct {
        const char *name;
        size_t max;
        struct str *ret;
    } texts[] = {
        {"key", LIMIT_NAME_BYTES, &filter->key_id},
        {"label", LIMIT_LABEL_BYTES, &filter->label_prefix},
        {"run", LIMIT_LABEL_BYTES, &filter->run_id},
        {"tenant", LIMIT_NAME_BYTES, &filter->tenant},
        {"vendor", LIMIT_NAME_BYTES, &filter->vendor},
        {"verdict", LIMIT_NAME_BYTES, &filter->verdict},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i].ret = job_argument(job, texts[i].name);
        if (texts[i].ret->len > texts[i].max) {
            return err_set(err, "%s is too long", texts[i].name);
        }
    }
    if (filter->verdict.len > 0 && !str_equal(filter->verdict, STR("allowed")) &&
        !str_equal(filter->verdict, STR("denied")) &&
        !str_equal(filter->verdict, STR("observed"))) {
        return err_set(err, "verdict is one of: allowed, denied, observed");
    }
    return 0;
}

static int take_span(const struct job *job, struct query_audit *filter, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    struct str since = job_argument(job, "since");
    struct str until = job_argument(job, "until");
    struct str event = job_argument(job, "event");
    struct str cursor = job_argument(job, "cursor");

    if ((since.len > 0 && times_parse(since, "since", now_ms, &filter->since_ms, err) < 0) ||
        (until.len > 0 && times_parse(until, "until", now_ms, &filter->until_ms, err) < 0)) {
        return -1;
    }
    if (event.len > 0) {
        filter->has_event = true;
        if (!rows_event(event, &filter->event)) {
            return err_set(err, "event is one of: request, settled, resolved, corrected, "
                                "presumed, threshold, control, server, refused");
        }
    }
    if (cursor.len > 0 &&
        (cursor.data[0] != 'a' || !str_to_u64(str_slice(cursor, 1, cursor.len), &filter->before) ||
         filter->before == 0)) {
        return err_set(err, "cursor is not one of ours");
    }
    return 0;
}

static int take_format(const struct job *job, struct reading *reading, struct err *err)
{
    struct str format = job_argument(job, "format");
    bool limited = job_has_argument(job, "limit");

    reading->format = str_equal(format, STR("jsonl")) ? FORMAT_JSONL
                      : str_equal(format, STR("csv")) ? FORMAT_CSV
                                                      : FORMAT_JSON;
    if (format.len > 0 && reading->format == FORMAT_JSON && !str_equal(format, STR("json"))) {
        return err_set(err, "format is one of: json, jsonl, csv");
    }
    reading->left = reading->format == FORMAT_JSON ? LIMIT_API_PAGE : UINT64_MAX;
    if (limited && (!str_to_u64(job_argument(job, "limit"), &reading->left) || reading->left == 0 ||
                    (reading->format == FORMAT_JSON && reading->left > LIMIT_API_PAGE_MAX))) {
        return err_set(err, "limit is a number from 1 to %d", LIMIT_API_PAGE_MAX);
    }
    return 0;
}

void audit_run(struct job *job)
{
    struct reading *reading = arena_zeroed(job->arena, 1, sizeof(*reading));
    struct err err = {""};

    if (take_texts(job, &reading->filter, &err) < 0 || take_span(job, &reading->filter, &err) < 0 ||
        take_format(job, reading, &err) < 0) {
        job_refuse(job, 400, "bad_request", "%s", err.text);
        return;
    }
    job->own = reading;
    struct message_call call = job_ask(job, CALL_AUTHORISE, STR("audit"));
    job_call(job, &call, on_authorised);
}
