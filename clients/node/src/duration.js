/* SPDX-License-Identifier: Apache-2.0 */
/* Times, and the rule that ties a key's life to its sandbox's. */

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 };

/* "90s", "10m", "2h", "1d", or a number of seconds: as whole seconds, rounded up. */
export function seconds(duration) {
    let total = duration;
    if (typeof duration === "string") {
        const found = /^([0-9]{1,9})([smhd])$/.exec(duration);
        if (!found) {
            throw new RangeError(`'${duration}' is not a time such as 90s, 10m, 2h or 1d`);
        }
        total = Number(found[1]) * UNITS[found[2]];
    } else if (typeof duration !== "number") {
        throw new TypeError("a time is a text such as '10m', or a number of seconds");
    }
    if (!(total >= 1 && total < 1e9)) {
        throw new RangeError("a time is at least 1 second, and finite");
    }
    return Math.ceil(total);
}

export function ttlFor(lifetime, ttl) {
    const life = seconds(lifetime);
    if (ttl === undefined) {
        return Math.floor((life * 6 + 4) / 5);
    }
    const wanted = seconds(ttl);
    if (wanted > 2 * life) {
        throw new RangeError(
            `a key for a sandbox of ${life} s may live ${2 * life} s at most, not ${wanted}`,
        );
    }
    return wanted;
}
