/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits: every limit and timer that a user can meet, by name.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    /* HTTP, both sides */
    LIMIT_TARGET_BYTES = 8 * 1024,
    LIMIT_HEAD_BYTES = 32 * 1024,
    LIMIT_FIELDS = 100,
    LIMIT_CHUNK_EXTENSION_BYTES = 256,
    LIMIT_INTERIM_ANSWERS = 8,
    LIMIT_JUDGED_BODY_BYTES = 1024 * 1024,
    LIMIT_JSON_DEPTH = 32,
    LIMIT_SPLICES = 16,                 /* values that are put into one judged body */
    LIMIT_SPLICED_BYTES = 4096,         /* by which all of them may lengthen it */
    LIMIT_REDACT_POINTERS = 64,         /* of one answer */
    LIMIT_REDACTED_BYTES = 1024 * 1024, /* an answer that is to be redacted; a longer one: 502 */
    LIMIT_DRAIN_BYTES = 64 * 1024 * 1024,
    LIMIT_DRAIN_MS = 30 * 1000,
    LIMIT_DRAINS_A_GATE = 256,
    LIMIT_IDEMPOTENCY_KEY_BYTES = 255,
    LIMIT_PROXY_BYTES = 2048,  /* a load balancer's head before a connection */
    LIMIT_PROXY_NETWORKS = 16, /* that are believed what such a head says */

    /* policy */
    LIMIT_ALLOWLIST_ENTRIES = 256,
    LIMIT_ENTRY_BYTES = 1024,
    LIMIT_LABEL_BYTES = 200,
    LIMIT_NAME_BYTES = 64, /* credentials, tenants, vendors */
    LIMIT_KEY_DEPTH = 4,
    LIMIT_SECRET_BYTES_MIN = 16,
    LIMIT_SECRET_BYTES_MAX = 16 * 1024,
    LIMIT_LIST_VALUES = 64, /* currencies, accounts, prefixes, ... of one key */

    /* the judge's memory */
    LIMIT_LIVE_KEYS = 1000000,
    LIMIT_OPEN_HOLDS = 1000000,
    LIMIT_OPEN_HOLDS_A_KEY = 1000,
    LIMIT_IDEMPOTENCY_RECORDS = 500000,
    LIMIT_CHILDREN_A_KEY = 10000,
    LIMIT_TENANTS = 100000,
    LIMIT_OPEN_ADMISSIONS_A_GATE = 4096,
    LIMIT_REQUESTS_A_KEY = 1024, /* under way at one time: no key fills a gate */

    /* channels */
    LIMIT_FRAME_BYTES = 1536 * 1024, /* a judged body in one piece is the largest */
    LIMIT_MESSAGES_A_TURN = 64,
    LIMIT_SCRIBE_QUEUE_BYTES = 8 * 1024 * 1024,
    LIMIT_SCRIBE_QUEUE_MS = 2000,
    LIMIT_STREAM_WINDOW_BYTES = 16 * 1024,
    LIMIT_STREAM_WINDOW_BYTES_MAX = 256 * 1024,
    LIMIT_GATE_BUFFER_BYTES = 64 * 1024 * 1024,

    /* doors */
    LIMIT_SESSION_CONNECTIONS = 256, /* of one sandbox, at one gate */
    LIMIT_TUNNELS_A_GATE = 65536,
    LIMIT_TUNNEL_IDLE_MS = 600 * 1000, /* a spliced one */
    LIMIT_DIALS = 1024, /* connections to other hosts that are being made at one time */

    /* gate timers */
    LIMIT_HEAD_MS = 10 * 1000,
    LIMIT_BODY_GAP_MS = 30 * 1000,
    LIMIT_IDLE_MS = 75 * 1000,
    LIMIT_WRITE_STALL_MS = 60 * 1000,
    LIMIT_JUDGE_SILENT_MS = 3 * 1000,
    LIMIT_TLS_HANDSHAKE_MS = 10 * 1000,

    /* judge timers */
    LIMIT_COMMIT_MS = 2000,
    LIMIT_SETTLE_WAIT_MS = 5 * 1000, /* an answer, for its settlement to be durable */
    LIMIT_BEGIN_BY_MS = 10 * 1000,
    LIMIT_IN_FLIGHT_WAIT_MS =
        10 * 1000, /* for the request before it under the same idempotency key */

    /* vault timers */
    LIMIT_RESOLVE_MS = 5 * 1000,
    LIMIT_CONNECT_MS = 5 * 1000,
    LIMIT_UPSTREAM_TLS_MS = 5 * 1000,
    LIMIT_FIRST_BYTE_MS = 120 * 1000, /* a pack may say more: LLM vendors 600 s */
    LIMIT_SILENCE_MS = 600 * 1000,
    LIMIT_PARK_MS = 1000,        /* a FORWARD that comes before its GRANT */
    LIMIT_LINGER_MS = 60 * 1000, /* client gone under a hold: read on */
    LIMIT_LINGER_BYTES = 8 * 1024 * 1024,
    LIMIT_LINGERS_A_GATE = 1000,
    LIMIT_POOL_FRESH_MS = 3000, /* a request with a hold takes no staler connection */
    LIMIT_POOL_IDLE_MS = 30 * 1000,
    LIMIT_POOL_CONNECTIONS = 1024, /* idle ones, a vault */
    /* A coded answer: in all; and beyond the free ones so many bytes for one. */
    LIMIT_DECODED_BYTES = 64 * 1024 * 1024,
    LIMIT_DECODED_FREE_BYTES = 1024 * 1024,
    LIMIT_DECODED_RATIO = 100,
    LIMIT_FETCH_MS = 5 * 1000,     /* a GET of ours, from the judge's word to its answer */
    LIMIT_FETCH_BYTES = 64 * 1024, /* of its answer */

    /* revoke */
    LIMIT_VAULT_SILENT_MS = 250,
    LIMIT_GATE_SILENT_MS = 1000,

    /* sandboxes */
    LIMIT_SESSIONS = 1024,
    LIMIT_SESSION_KEYS = 16,
    LIMIT_SESSION_SOCKETS = 16,

    /* vault keys */
    LIMIT_TTL_DEFAULT_MS = 3600 * 1000,
    LIMIT_TTL_MAX_MS = 24 * 3600 * 1000, /* the default of the server's maximum */

    /* control API */
    LIMIT_API_BODY_BYTES = 1024 * 1024,
    LIMIT_API_PAGE = 100,
    LIMIT_API_PAGE_MAX = 1000,
    LIMIT_API_CONNECTIONS = 256,
    LIMIT_API_LOCAL = 64, /* of these, so many for the local socket alone */
    LIMIT_API_IDLE_MS = 75 * 1000,
    LIMIT_DB_PAGE_ROWS = 500,
    LIMIT_DB_READ_MS = 20,
    LIMIT_ISSUE_REPEAT_MS = 10 * 60 * 1000,
};

#endif
