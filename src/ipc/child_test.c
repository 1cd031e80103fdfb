/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child as the parent sees it: what it takes, what it passes on, and what it cannot live with.
 */
#include "ipc/child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/testing.h"

enum { PARENT_FD = 3 };

/* What the child has been told, told back: one letter each. */
struct told {
    struct child *child;
    int diary;
};

static void write_down(const struct told *told, char what)
{
    CHECK(write(told->diary, &what, 1) == 1);
}

static void channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                    int fd)
{
    CHECK(peer == ROLE_JUDGE && peer_index == 0 && incarnation == 9);
    (void)close(fd);
    write_down(ctx, 'c');
}

static void gone(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation)
{
    CHECK(peer == ROLE_VAULT && peer_index == 2 && incarnation == 8);
    write_down(ctx, 'g');
}

static void config(void *ctx, uint64_t generation, int fd)
{
    CHECK(generation == 4);
    (void)close(fd);
    write_down(ctx, 'o');
}

static void listener(void *ctx, const struct message_listener *message, int fd)
{
    CHECK(message->listener == 5);
    (void)close(fd);
    write_down(ctx, 'l');
}

static void door(void *ctx, const struct message_door *message)
{
    (void)message;
    write_down(ctx, 'd');
}

static void certificate(void *ctx, const struct message_certificate *message)
{
    CHECK(str_equal(message->key_pem, STR("k")));
    write_down(ctx, 'e');
}

static void unseal_key(void *ctx, int fd)
{
    (void)close(fd);
    write_down(ctx, 'u');
}

static void resolver(void *ctx, const struct message_resolver *message)
{
    CHECK(str_equal(message->hosts, STR("h")));
    write_down(ctx, 'r');
}

static void session_end(void *ctx, const struct message_session_end *message)
{
    (void)message;
    write_down(ctx, 'n');
}

static void ca(void *ctx, const struct message_ca *message)
{
    (void)message;
    write_down(ctx, 'a');
}

/* Says all that a child has to say. */
static void start(void *ctx)
{
    struct told *told = ctx;
    struct message_listener message = {.listener = 6};

    write_down(told, 's');
    child_ready(told->child);
    child_fault(told->child, ROLE_VAULT, 1, "because");
    child_kill(told->child, ROLE_VAULT, 1, 3);
    child_session_end(told->child, STR("ses_1"));
    child_hand_listener(told->child, &message, dup(told->diary));
}

static void drain(void *ctx)
{
    struct told *told = ctx;

    write_down(told, 'w');
    child_drained(told->child);
}

static const struct child_events all = {
    .channel = channel,
    .gone = gone,
    .config = config,
    .listener = listener,
    .door = door,
    .certificate = certificate,
    .unseal_key = unseal_key,
    .resolver = resolver,
    .session_end = session_end,
    .ca = ca,
    .start = start,
    .drain = drain,
};
static const struct child_events none = {0};

/* ---- the parent's side ---- */

static struct {
    pid_t pid;
    int channel, diary;
} t;

static void begin_as(enum process_role role, const struct child_events *events, int argc,
                     char *index)
{
    static char name[] = "keybrake-child", life[] = "7", dir[] = "/", user[] = "";
    char *argv[] = {name, index, life, dir, user, NULL};
    int fds[2], diary[2];

    pair(fds);
    pair(diary);
    (void)fflush(NULL);
    t.pid = fork();
    if (t.pid == 0) {
        struct child child;
        struct told told = {&child, fcntl(diary[1], F_DUPFD_CLOEXEC, 20)};
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void)dup2(null, STDERR_FILENO); /* what it says in its log is not the point here */
        (void)dup2(fcntl(fds[1], F_DUPFD_CLOEXEC, 21), PARENT_FD);
        for (int fd = PARENT_FD + 1; fd < 20; fd++) {
            (void)close(fd);
        }
        child_init(&child, role, argc, argv);
        exit(child_run(&child, events, &told));
    }
    (void)close(fds[1]);
    (void)close(diary[1]);
    t.channel = fds[0];
    t.diary = diary[0];
    frames_begin();
}

static void begin(const struct child_events *events, int argc)
{
    static char index[] = "1";

    begin_as(ROLE_GATE, events, argc, index);
}

/* It ends so. */
static void end(int wanted)
{
    int status = 0;

    (void)close(t.channel);
    CHECK(waitpid(t.pid, &status, 0) == t.pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == wanted);
    (void)close(t.diary);
    frames_end();
}

static bool hears(char what)
{
    char heard = 0;

    return readable(t.diary, WAIT_MS) && read(t.diary, &heard, 1) == 1 && heard == what;
}

static const struct message_channel a_channel = {
    .peer = ROLE_JUDGE, .peer_index = 0, .incarnation = 9};
static const struct message_gone a_gone = {.peer = ROLE_VAULT, .peer_index = 2, .incarnation = 8};
static const struct message_config a_config = {.generation = 4};
static const struct message_listener a_listener = {.listener = 5};
static const struct message_certificate a_certificate = {.chain_pem = {"c", 1},
                                                         .key_pem = {"k", 1}};
static const struct message_resolver a_resolver = {.hosts = {"h", 1}};
static const struct message_door a_door;
static const struct message_session_end a_session_end;
static const struct message_ca a_ca;
static const struct message_ping a_ping = {.number = 77};
static const char nothing[64]; /* of messages that say no more than their type */

static const struct {
    enum message_type type;
    const void *message;
    bool with_fd;
    char what;
} rows[] = {
    {MESSAGE_CHANNEL, &a_channel, true, 'c'},
    {MESSAGE_GONE, &a_gone, false, 'g'},
    {MESSAGE_CONFIG, &a_config, true, 'o'},
    {MESSAGE_LISTENER, &a_listener, true, 'l'},
    {MESSAGE_DOOR, &a_door, false, 'd'},
    {MESSAGE_CERTIFICATE, &a_certificate, false, 'e'},
    {MESSAGE_UNSEAL_KEY, nothing, true, 'u'},
    {MESSAGE_RESOLVER, &a_resolver, false, 'r'},
    {MESSAGE_SESSION_END, &a_session_end, false, 'n'},
    {MESSAGE_CA, &a_ca, false, 'a'},
    {MESSAGE_START, nothing, false, 's'},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void say(size_t row)
{
    if (rows[row].with_fd) {
        tell_with(t.channel, rows[row].type, rows[row].message, STDIN_FILENO);
    } else {
        tell(t.channel, rows[row].type, rows[row].message);
    }
}

static void test_what_it_is_told(void)
{
    begin(&all, 5);
    for (size_t i = 0; i < ROWS; i++) {
        say(i);
        CHECK_CASE(hears(rows[i].what), message_name(rows[i].type));
    }
    (void)expect(t.channel, MESSAGE_READY);
    const struct message_fault *fault = expect(t.channel, MESSAGE_FAULT);
    CHECK(fault->peer == ROLE_VAULT && str_equal(fault->why, STR("because")));
    CHECK(((const struct message_gone *)expect(t.channel, MESSAGE_KILL))->incarnation == 3);
    (void)expect(t.channel, MESSAGE_SESSION_END);
    CHECK(((const struct message_listener *)expect(t.channel, MESSAGE_LISTENER))->listener == 6);
    tell(t.channel, MESSAGE_PING, &a_ping);
    const struct message_ping *pong = expect(t.channel, MESSAGE_PONG);
    CHECK(pong->number == 77);
    tell(t.channel, MESSAGE_DRAIN, nothing);
    CHECK(hears('w'));
    (void)expect(t.channel, MESSAGE_DRAINED);
    end(EXIT_SUCCESS); /* the parent is gone, and so is it */
}

/* What is not for this process was sent by nobody that it knows. */
static void test_what_is_not_for_it(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        begin(&none, 5);
        say(i);
        end(EXIT_FAILURE);
    }
}

static void test_descriptors_that_are_missing(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].with_fd) {
            begin(&all, 5);
            tell(t.channel, rows[i].type, rows[i].message);
            end(EXIT_FAILURE);
        }
    }
}

static void test_what_no_parent_says(void)
{
    struct message_ping pong = {.number = 1};

    begin(&all, 5);
    tell(t.channel, MESSAGE_PONG, &pong); /* only children say it */
    end(EXIT_FAILURE);
    begin(&all, 5);
    CHECK(send(t.channel, "\xff\xff\xff\x7f\1\0\0\0", 8, MSG_NOSIGNAL) == 8);
    end(EXIT_FAILURE);
}

/* Who has nothing to finish has finished; and one of a kind is named without a number. */
static void test_one_of_a_kind(void)
{
    static char index[] = "0";

    begin_as(ROLE_JUDGE, &none, 5, index);
    tell(t.channel, MESSAGE_DRAIN, nothing);
    (void)expect(t.channel, MESSAGE_DRAINED);
    end(EXIT_SUCCESS);
}

static void test_by_hand(void)
{
    static char index[] = "x";

    begin_as(ROLE_GATE, &all, 5, index); /* no number */
    end(EXIT_FAILURE);
    begin(&all, 2); /* arguments are missing */
    end(EXIT_FAILURE);
}

int main(void)
{
    test_what_it_is_told();
    test_what_is_not_for_it();
    test_descriptors_that_are_missing();
    test_what_no_parent_says();
    test_one_of_a_kind();
    test_by_hand();
    return test_done();
}
