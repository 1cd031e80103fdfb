/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes: two ways.
 *
 * spawn({core, networking}, {namespace, pod, key, lifetime}) issues here and creates a
 * NetworkPolicy, a Secret and the pod that has it as variables; core and networking are the
 * CoreV1Api and NetworkingV1Api of @kubernetes/client-node.
 *
 * manifests({...}) needs nobody while the pod runs: an init container issues the key into a memory
 * volume, a sidecar revokes it in its preStop hook, and the TTL ends what that misses.
 */

import { isIP } from "node:net";

import { seconds, ttlFor } from "../duration.js";
import { KeybrakeError } from "../errors.js";
import { spawn as spawnWith, refuseGiven } from "./common.js";

const LABEL = "keybrake/key";

/* A name that Kubernetes takes, from "key_AbC...": lower case would let two ids collide. */
function nameOf(keyId) {
    return `keybrake-${Buffer.from(keyId).toString("hex")}`;
}

/* Where the pods' egress may go: an address, or keybrake's own pods. */
function peers({ broker, brokerPods }) {
    if (brokerPods !== undefined) {
        return [brokerPods];
    }
    if (broker?.cidr === undefined) {
        throw new KeybrakeError("a NetworkPolicy knows no names: keybrake's URL needs an address, or give brokerPods, its selector");
    }
    return [{ ipBlock: { cidr: broker.cidr } }];
}

function networkPolicy(name, labels, to, port, dns) {
    const egress = [{ to, ports: [{ protocol: "TCP", port }] }];
    if (dns) {
        egress.push({
            to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } }, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } }],
            ports: [{ protocol: "UDP", port: 53 }, { protocol: "TCP", port: 53 }],
        });
    }
    return {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name, labels },
        spec: { podSelector: { matchLabels: labels }, policyTypes: ["Ingress", "Egress"], ingress: [], egress },
    };
}

/* The caller's pod, made to end with its lifetime and without the cluster's own credentials. */
function hardened(pod, name, labels, lifetimeS) {
    refuseGiven(pod.spec, ["activeDeadlineSeconds"], "the sandbox's lifetime says it");
    return {
        apiVersion: "v1",
        kind: "Pod",
        ...pod,
        metadata: { name, ...pod.metadata, labels: { ...pod.metadata?.labels, ...labels } },
        spec: {
            restartPolicy: "Never",
            enableServiceLinks: false,
            ...pod.spec,
            automountServiceAccountToken: false,
            activeDeadlineSeconds: lifetimeS,
        },
    };
}

function withSecret(pod, secretName) {
    const containers = pod.spec.containers.map((container) => ({
        ...container,
        envFrom: [...(container.envFrom ?? []), { secretRef: { name: secretName } }],
    }));
    return { ...pod, spec: { ...pod.spec, containers } };
}

const GONE = 404;

async function unlessGone(promise) {
    try {
        await promise;
    } catch (error) {
        if ((error.code ?? error.statusCode) !== GONE) {
            throw error;
        }
    }
}

async function removeAll({ core, networking }, namespace, podName, name) {
    const results = await Promise.allSettled([
        unlessGone(core.deleteNamespacedPod({ name: podName, namespace, gracePeriodSeconds: 0 })),
        unlessGone(core.deleteNamespacedSecret({ name, namespace })),
        unlessGone(networking.deleteNamespacedNetworkPolicy({ name, namespace })),
    ]);
    const failed = results.find((one) => one.status === "rejected");
    if (failed) {
        throw failed.reason;
    }
}

export function spawn(apis, { namespace = "default", pod, brokerPods, dns = false, ...options }) {
    const { core, networking } = apis;
    return spawnWith(options, {
        async create({ env, keys, broker, lifetimeS }) {
            const name = nameOf(keys[0].id);
            const labels = { [LABEL]: name.slice(-63) };
            const body = withSecret(hardened(pod, name, labels, lifetimeS), name);
            await networking.createNamespacedNetworkPolicy({
                namespace, body: networkPolicy(name, labels, peers({ broker, brokerPods }), broker.port, dns),
            });
            await core.createNamespacedSecret({
                namespace,
                body: { apiVersion: "v1", kind: "Secret", metadata: { name, labels }, type: "Opaque", immutable: true, stringData: env },
            });
            return core.createNamespacedPod({ namespace, body });
        },
        kill: (made) => removeAll(apis, namespace, made.metadata.name, made.spec.containers[0].envFrom.at(-1).secretRef.name),
        sweep: (keys) => removeAll(apis, namespace, pod.metadata?.name ?? nameOf(keys[0].id), nameOf(keys[0].id)),
    });
}

const FILES = "/keybrake"; /* the agent's */
const OURS = "/keybrake-own";

function shell(text) {
    return `'${String(text).replaceAll("'", "'\\''")}'`;
}

function issueCommand({ vendor, daily_usd_cap, allowed_endpoints, label, run_id, tenant, total_usd_cap }, ttl) {
    const words = ["keybrake", "key", "issue", "--vendor", vendor, "--cap", daily_usd_cap ?? "none", "--ttl", `${ttl}s`, "--for", "sh"];
    for (const entry of allowed_endpoints) {
        words.push("--allow", entry);
    }
    for (const [option, value] of [["--label", label], ["--run-id", run_id], ["--tenant", tenant], ["--total-cap", total_usd_cap]]) {
        if (value !== undefined) {
            words.push(option, value);
        }
    }
    return `${words.map(shell).join(" ")} --id-file ${OURS}/id > ${FILES}/env`;
}

/* [NetworkPolicy, Pod].  The agent's command starts with `. /keybrake/env`. */
export function manifests({ name, namespace, pod, key, lifetime, ttl, image, controlUrl, tokenSecret, broker: url, brokerPods, controlPort, dns = false }) {
    const lifetimeS = seconds(lifetime);
    const parsed = new URL(url);
    const host = parsed.hostname.replace(/^\[|\]$/g, "");
    const broker = { cidr: isIP(host) ? `${host}/${isIP(host) === 4 ? 32 : 128}` : undefined };
    const port = Number(parsed.port || (parsed.protocol === "https:" ? 443 : 80));
    const labels = { "keybrake/sandbox": name };
    const env = [
        { name: "KEYBRAKE_URL", value: controlUrl },
        { name: "KEYBRAKE_TOKEN", valueFrom: { secretKeyRef: { name: tokenSecret, key: "token" } } },
    ];
    const mount = (readOnly) => ({ name: "keybrake", mountPath: FILES, readOnly });
    const own = { name: "keybrake-own", mountPath: OURS };
    const ready = hardened(pod, name, labels, lifetimeS);
    const policy = networkPolicy(name, labels, peers({ broker, brokerPods }), port, dns);
    policy.spec.egress[0].ports.push({ protocol: "TCP", port: controlPort ?? Number(new URL(controlUrl).port) });
    const ours = [
        {
            name: "keybrake-issue", image, env, volumeMounts: [mount(false), own],
            command: ["sh", "-ec", issueCommand(key, ttlFor(lifetime, ttl))],
        },
        {
            /* A sidecar: ends after the agent, and then revokes. */
            name: "keybrake-revoke", image, env, volumeMounts: [own], restartPolicy: "Always",
            command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"],
            lifecycle: { preStop: { exec: { command: ["sh", "-c", `keybrake key revoke "$(cat ${OURS}/id)"`] } } },
        },
    ];
    return [
        { ...policy, metadata: { ...policy.metadata, namespace } },
        {
            ...ready,
            metadata: { ...ready.metadata, namespace },
            spec: {
                ...ready.spec,
                volumes: [
                    ...(ready.spec.volumes ?? []),
                    ...["keybrake", "keybrake-own"].map((volume) => ({ name: volume, emptyDir: { medium: "Memory", sizeLimit: "1Mi" } })),
                ],
                initContainers: [...ours, ...(ready.spec.initContainers ?? [])],
                containers: ready.spec.containers.map((container) => ({
                    ...container, volumeMounts: [...(container.volumeMounts ?? []), mount(true)],
                })),
            },
        },
    ];
}
