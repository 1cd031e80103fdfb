/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/talk.h"

#include "base/buf.h"

enum { PATH_MAX_BYTES = 16 * 1024 };

int talk(const struct invocation *invocation, const char *method, const char *path, struct str body,
         json_t **ret_json)
{
    struct err err = {""};
    struct client *client = client_open(invocation, &err);
    int rc = EXIT_DONE;

    if (client == NULL || client_call(client, method, path, body, ret_json, &err) < 0) {
        rc = say_refused("%s", err.text);
    }
    client_close(client);
    return rc;
}

int talk_and_show(const struct invocation *invocation, const char *method, const char *path,
                  struct str body)
{
    json_t *answer = NULL;
    int rc = talk(invocation, method, path, body, &answer);

    if (rc == EXIT_DONE && answer != NULL) {
        if (option_given(invocation, "json")) {
            print_json(answer);
        } else {
            print_object(answer);
        }
    }
    json_decref(answer);
    return rc;
}

int talk_page(struct client *client, const char *path, json_t *all, json_t **page,
              const char **cursor, struct err *err)
{
    struct buf full;

    buf_init(&full, PATH_MAX_BYTES);
    (void)buf_add_str(&full, str_from(path));
    client_add_query(&full, "cursor", *cursor);
    (void)buf_add_char(&full, '\0');
    json_t *fresh = NULL;
    int rc = client_call(client, "GET", buf_str(&full).data, STR_NONE, &fresh, err);
    buf_clear(&full);
    if (rc == 0) {
        (void)json_array_extend(all, json_object_get(fresh, "data"));
        json_decref(*page);
        *page = fresh;
        *cursor = json_string_value(json_object_get(fresh, "next_cursor"));
    }
    return rc;
}

int talk_and_list(const struct invocation *invocation, const char *path, size_t limit,
                  const struct column *columns, size_t column_count)
{
    struct err err = {""};
    struct client *client = client_open(invocation, &err);
    json_t *all = json_array();
    json_t *page = NULL;
    const char *cursor = NULL;
    int rc = EXIT_DONE;

    do {
        if (client == NULL || talk_page(client, path, all, &page, &cursor, &err) < 0) {
            rc = say_refused("%s", err.text);
            break;
        }
    } while (cursor != NULL && (limit == 0 || json_array_size(all) < limit));
    while (limit > 0 && json_array_size(all) > limit) {
        (void)json_array_remove(all, json_array_size(all) - 1);
    }
    if (rc == EXIT_DONE && option_given(invocation, "json")) {
        print_json(all);
    } else if (rc == EXIT_DONE) {
        print_table(all, columns, column_count);
    }
    json_decref(page);
    json_decref(all);
    client_close(client);
    return rc;
}
