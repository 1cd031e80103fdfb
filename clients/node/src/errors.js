/* SPDX-License-Identifier: Apache-2.0 */
/* What can go wrong: see index.d.ts. */

export class KeybrakeError extends Error {
    constructor(message, options) {
        super(message, options);
        this.name = new.target.name;
    }
}

export class ConnectionFailed extends KeybrakeError {}
export class TimedOut extends ConnectionFailed {}
export class BadAnswer extends KeybrakeError {}

export class RevokeFailed extends KeybrakeError {
    constructor(message, key_id, expires_at, options) {
        super(message, options);
        this.key_id = key_id;
        this.expires_at = expires_at;
    }
}

export class ApiError extends KeybrakeError {
    constructor(status, code, detail) {
        super(`${detail} (${status} ${code})`);
        this.status = status;
        this.code = code;
        this.detail = detail;
    }
}

export class BadRequest extends ApiError {}
export class Unauthorized extends ApiError {}
export class Forbidden extends ApiError {}
export class NotFound extends ApiError {}
export class Conflict extends ApiError {}
export class Refused extends ApiError {}
export class Unavailable extends ApiError {}

const KINDS = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    422: Refused,
    429: Unavailable,
};

/* The error for an answer that is not 2xx. */
export function apiError(status, problem) {
    const Kind = KINDS[status] ?? (status >= 500 ? Unavailable : ApiError);
    const { code, detail } = problem ?? {};
    return new Kind(
        status,
        typeof code === "string" ? code : `http_${status}`,
        typeof detail === "string" ? detail : "the server refused without a reason",
    );
}
