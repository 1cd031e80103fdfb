/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/follow.h"

#include <stdlib.h>
#include <time.h>

#include "cli/plain.h"

enum { PATH_MAX_BYTES = 16 * 1024, AT_SIZE = 40, LOOK_EVERY_MS = 500 };

struct follow {
    struct client *client;
    const char *path;
    bool began;
    json_int_t last;  /* sequence of the newest row that was looked at */
    char at[AT_SIZE]; /* its time */
};

static json_int_t sequence_of(const json_t *row)
{
    return json_integer_value(json_object_get(row, "sequence"));
}

/* The rows that are newer than the last one, newest first, or the newest `limit` the first time.
 * Rows of one millisecond are asked for again, and passed over by their numbers. */
static int fetch_new(const struct follow *follow, size_t limit, json_t *rows, struct err *err)
{
    struct buf path;
    json_t *page = NULL;
    const char *cursor = NULL;
    int rc;

    buf_init(&path, PATH_MAX_BYTES);
    (void)buf_add_str(&path, str_from(follow->path));
    if (follow->began) {
        client_add_query(&path, "since", follow->at);
    }
    (void)buf_add_char(&path, '\0');
    do {
        rc = talk_page(follow->client, buf_str(&path).data, rows, &page, &cursor, err);
    } while (rc == 0 && cursor != NULL && (follow->began || json_array_size(rows) < limit));
    size_t keep = 0;
    while (keep < json_array_size(rows) && (follow->began || keep < limit) &&
           (!follow->began || sequence_of(json_array_get(rows, keep)) > follow->last)) {
        keep++;
    }
    while (json_array_size(rows) > keep) {
        (void)json_array_remove(rows, json_array_size(rows) - 1);
    }
    json_decref(page);
    buf_clear(&path);
    return rc;
}

static void print_lines(const json_t *rows)
{
    size_t at;
    json_t *row;

    json_array_foreach(rows, at, row)
    {
        char *line = plain_json(row, JSON_COMPACT);
        (void)puts(line);
        free(line);
    }
}

static json_t *reversed(const json_t *rows)
{
    json_t *other = json_array();

    for (size_t i = json_array_size(rows); i > 0; i--) {
        (void)json_array_append(other, json_array_get(rows, i - 1));
    }
    return other;
}

static void remember(struct follow *follow, const json_t *rows)
{
    const json_t *newest = json_array_get(rows, 0);

    if (newest != NULL) {
        follow->last = sequence_of(newest);
        (void)snprintf(follow->at, sizeof(follow->at), "%s",
                       json_string_value(json_object_get(newest, "at")));
    }
}

/* The newest row of all, so that what no row fits yet need not be looked for from the beginning. */
static int find_end(struct follow *follow, struct err *err)
{
    json_t *rows = json_array();
    json_t *page = NULL;
    const char *cursor = NULL;
    int rc = talk_page(follow->client, "/v1/audit?limit=1", rows, &page, &cursor, err);

    remember(follow, rows);
    json_decref(page);
    json_decref(rows);
    return rc;
}

int follow_rows(const struct invocation *invocation, const char *path, size_t limit,
                const struct column *columns, size_t column_count)
{
    static const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000 * 1000L};
    struct err err = {""};
    struct follow follow = {.client = client_open(invocation, &err), .path = path};
    size_t widths[PRINT_COLUMNS_MAX] = {0};
    bool reads = follow.client != NULL && find_end(&follow, &err) == 0;

    while (reads) {
        json_t *rows = json_array();
        reads = fetch_new(&follow, limit, rows, &err) == 0;
        remember(&follow, rows);
        follow.began = true;
        json_t *in_order = reversed(rows);
        if (reads && option_given(invocation, "json")) {
            print_lines(in_order);
        } else if (reads && json_array_size(rows) > 0) {
            print_more(in_order, columns, column_count, widths);
        }
        json_decref(in_order);
        json_decref(rows);
        if (fflush(stdout) != 0) {
            (void)err_set(&err, "nobody reads any more");
            reads = false;
        }
        if (reads) {
            (void)nanosleep(&pause, NULL);
        }
    }
    client_close(follow.client);
    return say_refused("%s", err.text);
}
