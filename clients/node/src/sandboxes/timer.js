/* SPDX-License-Identifier: Apache-2.0 */
/* For platforms without a lifetime: the sandbox is torn down when its time is up. */

const LONGEST_MS = 2 ** 31 - 1;

export class Timer {
    #due;
    #timer;
    #spawned;

    start(spawned, lifetimeS) {
        this.#spawned = spawned;
        this.set(lifetimeS);
        return spawned;
    }

    /* From now on. */
    set(lifetimeS) {
        this.#due = Date.now() + lifetimeS * 1000;
        this.#look();
    }

    stop() {
        clearTimeout(this.#timer);
    }

    #look() {
        clearTimeout(this.#timer);
        const left = this.#due - Date.now();
        if (left <= 0) {
            this.#spawned.teardown().catch((error) => process.emitWarning(`keybrake: ${error.message}`));
            return;
        }
        this.#timer = setTimeout(() => this.#look(), Math.min(left, LONGEST_MS));
        this.#timer.unref();
    }
}
