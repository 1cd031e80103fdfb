/* SPDX-License-Identifier: Apache-2.0 */
import type { Spawned, SpawnOptions } from "./common.js";

/** The first three are the modal package's ModalClient, App and Image. */
export function spawn<A, I, S extends { terminate(): Promise<unknown> }>(
    modal: {
        secrets: { fromObject(entries: Record<string, string>): Promise<unknown> };
        sandboxes: { create(app: A, image: I, params?: any): Promise<S> };
    },
    app: A, image: I,
    options: SpawnOptions & { method?: "create" | "experimentalCreate"; create?: Record<string, unknown> },
): Promise<Spawned<S>>;
