/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/handed.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/test.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int some_fd(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static const struct message_listener good = {.listener = 3,
                                             .kind = LISTENER_SESSION,
                                             .session = {"ses_a", 5},
                                             .ca_pem = {"pem", 3},
                                             .ca_key = {"key", 3}};

static void test_kept_until_dropped(void)
{
    struct handed handed;
    struct message_listener other = good;
    int first = some_fd(), second = some_fd(), third = some_fd();

    handed_init(&handed);
    const struct handed_socket *a = handed_add(&handed, &good, first);
    CHECK(a != NULL && a->gate == 3 && a->fd == first);
    other.session = STR("ses_b");
    CHECK(handed_add(&handed, &other, second) != NULL);
    CHECK(handed_add(&handed, &good, third) != NULL);
    CHECK(handed.count == 3);

    struct message_listener told = handed_message(a);
    CHECK(told.kind == LISTENER_SESSION && str_equal(told.session, STR("ses_a")));
    CHECK(str_equal(told.ca_pem, STR("pem")) && str_equal(told.ca_key, STR("key")));
    CHECK(handed_find(&handed, STR("ses_b"))->fd == second);
    CHECK(handed_find(&handed, STR("ses_")) == NULL && handed_find(&handed, STR_NONE) == NULL);

    handed_drop(&handed, STR("ses_a"));
    CHECK(!is_open(first) && is_open(second) && !is_open(third) && handed.count == 1);
    handed_drop(&handed, STR("ses_a")); /* again: nothing */
    handed_drop(&handed, STR_NONE);
    CHECK(!is_open(second) && handed.count == 0);
}

static void test_refused_and_closed(void)
{
    struct handed handed;
    struct message_listener wrong = good;
    int fd = some_fd();

    handed_init(&handed);
    wrong.kind = LISTENER_FORWARD;
    CHECK(handed_add(&handed, &wrong, fd) == NULL && !is_open(fd));
    wrong = good;
    wrong.session = STR_NONE;
    fd = some_fd();
    CHECK(handed_add(&handed, &wrong, fd) == NULL && !is_open(fd));
    CHECK(handed_add(&handed, &good, -1) == NULL);
    CHECK(handed.count == 0);
}

static void test_bound(void)
{
    struct handed handed;
    struct message_listener plain = good;
    int fd = some_fd();
    size_t taken = 0;

    plain.ca_key = STR_NONE; /* secret memory is not what is tested */
    handed_init(&handed);
    while (taken <= (size_t)LIMIT_SESSIONS * 4) {
        int copy = dup(fd);
        if (copy < 0) { /* as many as there may be descriptors */
            break;
        }
        if (handed_add(&handed, &plain, copy) == NULL) {
            break;
        }
        taken++;
    }
    CHECK(taken <= (size_t)LIMIT_SESSIONS * 4 && handed.count == taken);
    handed_drop(&handed, STR_NONE);
    CHECK(handed.count == 0 && is_open(fd));
    (void)close(fd);
}

int main(void)
{
    test_kept_until_dropped();
    test_refused_and_closed();
    test_bound();
    return test_done();
}
