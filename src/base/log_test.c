/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/test.h"

static void test_texts(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"plain text", "\"plain text\""},
        {"", "\"\""},
        {"a\nkeybrake error forged", "\"a\\x0akeybrake error forged\""},
        {"\"\\", "\"\\x22\\x5c\""},
        {"\x1b[2J\x7f\xff", "\"\\x1b[2J\\x7f\\xff\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_text got = log_text(str_from(cases[i].text));
        CHECK_CASE(strcmp(got.text, cases[i].expected) == 0, cases[i].expected);
    }
    char longer[1000];
    memset(longer, '\n', sizeof(longer));
    struct log_text cut = log_text(str_of(longer, sizeof(longer)));
    CHECK(strlen(cut.text) < LOG_TEXT_SIZE && cut.text[strlen(cut.text) - 1] == '"');
}

/* What one call writes to stderr. */
static size_t written(char *out, size_t size, void (*speak)(void))
{
    int pipes[2];
    int before = dup(STDERR_FILENO);

    if (pipe(pipes) < 0) {
        abort();
    }
    (void)dup2(pipes[1], STDERR_FILENO);
    speak();
    (void)dup2(before, STDERR_FILENO);
    (void)close(pipes[1]);
    (void)close(before);
    ssize_t got = read(pipes[0], out, size - 1);
    (void)close(pipes[0]);
    out[got < 0 ? 0 : got] = '\0';
    return got < 0 ? 0 : (size_t)got;
}

static void say_short(void)
{
    log_info("listening", "address=%s", "x");
}

static void say_long(void)
{
    char longer[5000];

    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    log_error("long", "text=%s", longer);
}

static void test_lines(void)
{
    char line[8192];

    (void)written(line, sizeof(line), say_short);
    CHECK(strcmp(line, "keybrake info listening address=x\n") == 0);
    log_open("gate.7");
    (void)written(line, sizeof(line), say_short);
    CHECK(strcmp(line, "keybrake gate.7 info listening address=x\n") == 0);
    size_t len = written(line, sizeof(line), say_long);
    CHECK(len <= 1024 && line[len - 1] == '\n' && strchr(line, '\n') == line + len - 1);
}

int main(void)
{
    test_texts();
    test_lines();
    return test_done();
}
