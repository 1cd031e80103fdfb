/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job: one request of the API on its way.  For the files of this folder.
 *
 * A job ends with job_answer(), job_refuse() or job_relay(), exactly once, and is gone then with
 * its arena; or with job_stream(), and is gone when all is sent.
 */
#ifndef CONTROL_JOB_H
#define CONTROL_JOB_H

#include <jansson.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/table.h"
#include "control/api.h"
#include "ipc/channel.h"
#include "policy/calls.h"
#include "store/query.h"

struct api {
    struct loop *loop;
    struct server *server;
    struct config *config;
    char doors[CONFIG_LISTENERS_MAX][128]; /* where they really are; empty: as configured */
    struct channel *judge;
    void (*fault)(void *ctx, const char *why);
    void *fault_ctx;
    struct table calls; /* jobs that wait for a REPLY, by number */
    struct list jobs;   /* the same, the oldest first */
    uint64_t next_call;
    char *ca_pem;        /* of the forward proxy's CA; NULL: none */
    struct query *query; /* the database; NULL in tests that have none */
    struct list sandboxes;
    size_t sandbox_count;
    const struct api_parent *parent; /* NULL: no sandboxes here */
    void *parent_ctx;
};

enum { ARGUMENTS_MAX = 24 };

/* A CALL without a job: its REPLY is for sandboxes_reply(). */
uint64_t api_call(struct api *api, const struct message_call *call);

struct argument {
    struct str name, value; /* decoded */
};

struct job;
struct route;
typedef void job_reply(struct job *job, const struct message_reply *reply);

struct job {
    uint64_t call; /* number of the CALL that is open */
    struct list link;
    struct loop_timer timer;
    struct api *api;
    struct exchange *exchange;
    const struct route *route;
    struct arena *arena;
    json_t *json;  /* the body; NULL when there was none */
    struct str id; /* what the path names, decoded */
    struct argument arguments[ARGUMENTS_MAX];
    size_t argument_count;
    bool other_spelling; /* came as /vault/... */
    bool local;
    bool vault_key;
    struct digest token_digest;
    struct message_call asked; /* what the last CALL said, without its body */
    job_reply *reply;
    struct buf scratch; /* wiped; for whoever works on the job */
    void *own;          /* of the route's own, freed by `own_free` */
    void (*own_free)(void *own);
};

enum route_flags {
    ROUTE_BODY = 1,      /* a JSON object must come */
    ROUTE_BODY_MAY = 2,  /* it may */
    ROUTE_OPEN = 4,      /* needs no bearer */
    ROUTE_VAULT_KEY = 8, /* a vault key may, about itself */
    ROUTE_PAGED = 16,    /* takes limit and cursor */
    ROUTE_SELF = 32,     /* the key whose token asks */
};

/* Fills what the CALL needs beyond verb, id, page and who asks.  -1: answered with 400. */
typedef int route_build(struct job *job, struct message_call *call, struct buf *body,
                        struct err *err);

struct route {
    const char *method;
    const char *pattern; /* "{id}" is one segment */
    enum call_verb verb;
    unsigned flags;
    route_build *build;         /* NULL: the CALL has no body */
    job_reply *reply;           /* NULL: the reply is relayed as it is */
    void (*run)(struct job *);  /* NULL: asks the judge */
    const char *const *queries; /* names that may be given, beyond limit and cursor */
};

/* The table, in routes.c; path by "/v1/..." only. */
enum route_result { ROUTE_NOT_FOUND, ROUTE_OTHER_METHOD, ROUTE_FOUND };
enum route_result route_find(struct str method, struct str path, const struct route **ret_route,
                             struct str *ret_id, struct buf *ret_allow);

struct str job_argument(const struct job *job, const char *name); /* empty when not given */
bool job_has_argument(const struct job *job, const char *name);

/* Asks the judge; `reply` goes on.  Refuses the job when the judge cannot be asked. */
void job_call(struct job *job, const struct message_call *call, job_reply *reply);
/* A CALL that says who asks, with verb and id. */
struct message_call job_ask(const struct job *job, enum call_verb verb, struct str id);

void job_answer(struct job *job, const struct answer *answer);
void job_answer_json(struct job *job, unsigned status, struct str json);
/* 405, with the methods that the path takes. */
void job_refuse_method(struct job *job, struct str allow);
void job_refuse(struct job *job, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void job_relay(struct job *job, const struct message_reply *reply);
void job_stream(struct job *job, const char *content_type, stream_more *more); /* ctx: the job */
void job_over(struct job *job); /* its exchange was taken over */
bool job_failed(struct job *job, const struct message_reply *reply); /* relayed if it did */

/* Writes `thing` as the CALL's body.  -1 when a text in it is longer than it may be. */
int job_encode(const struct wire_schema *schema, const void *thing, struct buf *body,
               struct err *err);

struct str json_str(const json_t *value); /* of a JSON text; empty when it is none */

#endif
