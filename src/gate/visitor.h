/* SPDX-License-Identifier: Apache-2.0 */
/*
 * visitor: what a gate holds: itself, its connections, and the requests on them.
 *
 * A visitor is one connection of a client.  It is small, and has no buffers while it is idle; a
 * request that is being served has an exchange as well.  One request at a time: what follows it
 * waits unparsed.  The five files that make up a visitor share visitor_parts.h; what the others
 * of the gate have of one another is below.
 */
#ifndef GATE_VISITOR_H
#define GATE_VISITOR_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/table.h"
#include "http/body.h"
#include "http/head.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "os/loop.h"
#include "pack/pack.h"
#include "policy/cidr.h"
#include "policy/verdict.h"
#include "tls/tls.h"

enum {
    VISITOR_READ_BYTES = 16 * 1024, /* asked of a socket at once */
    VISITOR_IN_MAX = LIMIT_HEAD_BYTES + 4 * VISITOR_READ_BYTES,
    /* An answer's head, one judged answer body in one piece, or a full window. */
    VISITOR_OUT_MAX = 4 * 1024 * 1024,
    VISITOR_SOURCE_BYTES = 46, /* an IPv6 address as text */
    REQUEST_ID_BYTES = 32,
    DATE_BYTES = 29,
};

/* A channel to a peer, which may be reborn: then the old link lives until its end is read. */
struct link {
    struct gate *gate;
    enum process_role role;
    uint32_t index;
    struct channel *channel;
    struct list streams; /* exchanges that depend on it */
};

/* A door's certificate, shared by its connections. */
struct door_tls {
    struct tls_context *context;
    size_t users;
};

/* A sandbox whose sockets are ours: its connections carry its id to the judge. */
struct gate_session {
    struct gate *gate;
    char *id_text;
    struct str id; /* of id_text */
    size_t users;  /* listeners and connections */
    struct ca *ca;
    struct list leaves; /* leaves.c */
    size_t leaf_count;
    size_t connections;
    bool ended;
    struct list link;
};

struct listener {
    struct gate *gate;
    uint32_t number;
    bool tls, unix_socket;
    enum listener_kind kind;
    struct gate_session *session; /* NULL: a public door */
    struct loop_watch watch;
    int fd; /* -1: none */
    struct list link;
};

/* What the machine gives a gate. */
struct room {
    size_t files;    /* descriptors for connections */
    uint64_t memory; /* of the whole machine */
};

struct gate {
    struct child *child; /* NULL in a test */
    struct loop *loop;
    struct config *config;
    struct link *judge, *vault, *reader, *dialer; /* NULL: not there now */
    struct leaves *leaves;                        /* leaves.c */
    struct list tunnels;                          /* those that the judge allowed */
    struct list early;                            /* splice.c */
    size_t early_count;
    struct cidr proxy_from[LIMIT_PROXY_NETWORKS]; /* of the configuration, parsed */
    size_t proxy_from_count;
    struct door_tls *door;
    struct list listeners;
    struct list sessions;
    struct list clients;    /* all but those in the next three */
    struct list unfinished; /* who has not said what it wants; the oldest first, about */
    struct list drains;     /* answered, and still sending; the oldest first */
    struct list idle;       /* the longest idle first */
    struct list parked;     /* heads that wait for room in the judge's channel */
    struct list dead;       /* to be freed at the end of the turn */
    struct list spare;      /* exchanges to be used again */
    size_t spare_count;
    struct loop_hook bury;
    struct loop_timer stats, accept_again;
    struct table requests, grants; /* exchanges by their numbers */
    uint64_t next_request;
    size_t client_count, idle_count, client_max, drain_count;
    size_t open_admissions;
    struct room machine;
    uint64_t buffered_bytes; /* windows and judged bodies */
    uint64_t head_bytes;     /* of heads that are not complete */
    uint64_t buffer_max;
    uint64_t refused_heads;
    size_t shrunk; /* idle connections that gave up their buffers of late */
    bool started, draining, drained, accepting;
    /* Scratch, used within one call only. */
    struct arena *arena;
    struct http_head head;
    struct message_header headers[LIMIT_FIELDS + 4];
    struct message_presented presented[LIMIT_FIELDS + 4];
    char host[512];
    struct buf plain;
    char date[DATE_BYTES];
    uint64_t date_until_ms; /* when the second ends, by the loop's clock */
};

enum visitor_state {
    VISITOR_PROXY, /* a load balancer is to say whose connection it is */
    VISITOR_HANDSHAKE,
    VISITOR_SOCKS,   /* SOCKS5, until the judge is asked */
    VISITOR_PEEK,    /* a socket in a sandbox: what is it, and for whom */
    VISITOR_TUNNEL,  /* allowed; not yet known what is inside, or to be connected */
    VISITOR_SPLICE,  /* bytes go both ways, unseen */
    VISITOR_IDLE,    /* between requests */
    VISITOR_HEAD,    /* some of a head is here */
    VISITOR_JUDGE,   /* ADMIT is out */
    VISITOR_READ,    /* the body goes to the reader */
    VISITOR_VERDICT, /* all of it went there */
    VISITOR_FORWARD, /* FORWARD is out; bodies stream both ways */
    VISITOR_FAILED,  /* the vault gave up before an answer; the judge will say what to tell */
    VISITOR_ANSWER,  /* all of the answer is in `out` */
    VISITOR_DRAIN,   /* answered; what the client still sends is read and forgotten */
    VISITOR_CLOSED,
    VISITOR_STATE_COUNT
};

struct exchange;
struct tunnel;

struct visitor {
    struct gate *gate;
    struct list link;
    struct list parked;
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_hook flush;
    struct buf in, out;
    struct tls *tls;              /* NULL: plain */
    struct tls *under;            /* the door's own, when `tls` is inside a tunnel through it */
    struct tunnel *tunnel;        /* tunnel.h; NULL: none */
    struct door_tls *door;        /* with tls */
    struct gate_session *session; /* NULL: a public door */
    struct exchange *exchange;
    uint64_t since_ms;      /* in this state */
    uint64_t in_ms, out_ms; /* when bytes moved */
    uint64_t drained_bytes;
    uint32_t listener;
    unsigned char state; /* enum visitor_state */
    unsigned char kind;  /* enum listener_kind, of where it came in */
    unsigned char way;   /* enum door: how its requests come */
    bool peer_ended;     /* it said FIN, or close_notify */
    bool close_after;    /* this answer is the last */
    bool is_parked, shrunk;
    bool skipped_line; /* the one empty line that may precede a request line */
    uint32_t held;     /* bytes of its head that count: room_hold() */
    size_t parsed;     /* so many bytes were there when the head was last parsed */
    char source[VISITOR_SOURCE_BYTES];
};

/* Where a header stands in the head, which may be moved; LIMIT_HEAD_BYTES fit. */
struct field_place {
    uint16_t name, name_len, value, value_len;
};

/* One request, from its head to the last byte of its answer. */
struct exchange {
    struct visitor *client;
    uint64_t request, grant, key;
    struct link *link; /* vault or reader, while they serve it; NULL: none */
    struct list streams;
    struct list spare;
    char request_id[REQUEST_ID_BYTES];
    size_t request_id_len;
    /* the request */
    size_t head_bytes;          /* of it at the front of client->in; 0: in `head` */
    struct field_place *fields; /* the free ones */
    size_t field_count;
    struct buf head; /* copied, where the body had to be read before it was sent */
    struct http_body body;
    bool head_request, http10, expect, may_wait;
    bool body_done;  /* all of it was read off the connection */
    bool end_sent;   /* to the vault */
    bool admitted;   /* the judge knows of it, and has not answered */
    struct buf kept; /* a judged body */
    uint64_t kept_max;
    uint64_t up_credit;
    /* the answer */
    unsigned status; /* 0: no head yet */
    unsigned interims;
    enum body_kind framing; /* towards the client */
    uint64_t answer_left;   /* BODY_LENGTH */
    bool no_body, truncated, client_gone;
    uint64_t down_window, down_taken;
    uint64_t bytes_in, bytes_out;
    uint64_t began_us, first_us;
};

/* ---- visitor.c ---- */

/* Takes over `fd`. */
void visitor_new(struct gate *gate, const struct listener *listener, int fd, const char *source);
void visitor_move(struct visitor *client, enum visitor_state next);
const char *visitor_state_name(enum visitor_state state);
/* Does what can be done with what is here. */
void visitor_work(struct visitor *client);
/* Nothing more can be said to it: tells who must know, and closes. */
void visitor_gone(struct visitor *client);
void visitor_close(struct visitor *client);
/* From here on the connection speaks TLS as a server, inside what it is; `in` is its beginning. */
void visitor_begin_tls(struct visitor *client, struct tls *tls);
void gate_bury(struct gate *gate);

/* ---- receive.c ---- */

/* Takes what is left of the request's body off the input.  True when none of it is missing. */
bool visitor_skip_body(struct visitor *client);

/* ---- flush.c ---- */

void visitor_want_flush(struct visitor *client);
void visitor_end_our_side(struct visitor *client);
/* The answer is complete in `out`; goes on when it has left. */
void visitor_answered(struct visitor *client);

/* ---- admit.c ---- */

/* The request in gate->head: asks the judge, or refuses. */
void admit_request(struct visitor *client);
/* What Proxy-Authorization presents, into gate->presented; wipe gate->plain afterwards. */
size_t admit_proxy_credentials(struct gate *gate, const struct http_head *head);
/* The free headers of the request, which begins at `head`, into gate->headers. */
size_t admit_free_headers(const struct exchange *exchange, const unsigned char *head);

/* ---- exchange.c: a request, and its body's way to reader and vault ---- */

struct exchange *exchange_new(struct visitor *client);
/* DONE, if the judge waits for it; then frees. */
void exchange_end(struct exchange *exchange);
void exchange_use(struct exchange *exchange, struct link *link); /* instead of what it used */
void exchange_leave(struct exchange *exchange); /* what it used has done its part, or is gone */
/* Nothing more goes to the reader or the vault for it, and nothing of them is wanted: they are
 * told. */
void exchange_let_go(struct exchange *exchange);
void exchange_feed_reader(struct visitor *client);
void exchange_feed_vault(struct visitor *client);
bool exchange_wants_body(const struct exchange *exchange);
/* Bytes have left for the client: the vault may send more. */
void exchange_credit(struct exchange *exchange);

/* ---- link.c: the channels to judge, vault, reader and dialer; judged.c: what the judge says ----
 */

/* Takes over `fd`.  It frees itself when the channel ends. */
struct link *link_new(struct gate *gate, enum process_role role, uint32_t index, int fd);
void link_hear_judge(struct channel_events *events); /* fills in the messages */

/* ---- answer.c ---- */

/* A whole answer: of the judge, or one of ours. */
void answer_send(struct visitor *client, const struct message_answer *answer);
/* A refusal in the universal envelope.  `status` 0: the verdict's own. */
void answer_refuse(struct visitor *client, enum verdict verdict, unsigned status, const char *text);
/* The head of a streamed answer.  False when it is not one that may be sent. */
bool answer_head(struct exchange *exchange, const struct message_head *head);
bool answer_data(struct exchange *exchange, struct str bytes);
void answer_end(struct exchange *exchange, bool truncated);
void answer_continue(struct exchange *exchange);

/* ---- doors.c ---- */

/* Takes over the configuration's list of load balancers. */
void doors_configure(struct gate *gate);
/* Whether who connects from there must say first whose connection it is. */
bool door_expects_proxy(const struct gate *gate, const struct listener *listener,
                        const char *source);

void door_add(struct gate *gate, const struct message_listener *message, int fd);
/* As the gate's room says. */
void doors_update(struct gate *gate);
void door_close(struct listener *listener);
void doors_close(struct gate *gate);

/* ---- sessions.c ---- */

/* The session of that listener, made if it is the first; NULL: refused, and logged. */
struct gate_session *session_of(struct gate *gate, const struct message_listener *message);
void session_leave(struct gate_session *session); /* a user fewer; takes NULL too */
/* Its sockets and connections end, whatever is on them. */
void session_end(struct gate *gate, struct str id);

/* ---- gate.c ---- */

void gate_init(struct gate *gate, struct loop *loop, size_t client_max);
void gate_clear(struct gate *gate);
void gate_channel(struct gate *gate, enum process_role role, uint32_t index, int fd);
void gate_drain(struct gate *gate);
void gate_check_drained(struct gate *gate);
void gate_fault(struct gate *gate, const struct link *link, const char *why);

/* ---- room.c ---- */

struct room room_of_machine(void); /* raises the limit of descriptors first.  Before confinement */
void room_fit(struct gate *gate, const struct config *config);
/* Is there room for so much more of it?  What a few clients could fill may not fill all, so that
 * there is always room for another request. */
enum room_for {
    ROOM_REQUEST, /* its first window: up to all of the buffers */
    ROOM_BODY,    /* a judged body: up to three quarters */
    ROOM_WINDOW,  /* a window that grows: up to a half */
};
bool room_for(const struct gate *gate, enum room_for what, uint64_t bytes);
/* So much is here of its head, which is not complete.  False when that is too much: unfinished
 * heads have a quarter of the buffers' size, besides them. */
bool room_hold(struct visitor *client, size_t bytes);
/* There are as many connections as may be: says so, where it can, and closes. */
void room_refuse(const struct listener *listener, int fd);

#endif
