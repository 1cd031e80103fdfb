# SPDX-License-Identifier: Apache-2.0
"""One sandbox on one platform by the platform's own Python package, unmodified: the protocol of
tests/node/spawn.mjs."""

import json
import sys
from urllib.parse import urlsplit

sys.path.insert(0, sys.argv[1])

import keybrake.sandboxes.docker  # noqa: E402
import keybrake.sandboxes.fly  # noqa: E402
import keybrake.sandboxes.kubernetes  # noqa: E402


def say(**what):
    print(json.dumps(what), flush=True)


def spawn_fly(asked, options, timeout):
    return keybrake.sandboxes.fly.spawn(app="agents", token="fo1_FAKE", api_url=asked["url"],
                                        config={"image": "agent:1"}, region="fra", timeout=timeout,
                                        **options)


def spawn_docker(asked, options, timeout):
    import docker
    parts = urlsplit(asked["url"])
    client = docker.DockerClient(base_url=f"tcp://{parts.netloc}" if parts.netloc else
                                 f"unix://{parts.path}", version="1.41", timeout=timeout)
    return keybrake.sandboxes.docker.spawn(client, image="agent:1", **asked.get("way", {}), **options)


def spawn_kubernetes(asked, options, timeout):
    import kubernetes
    configuration = kubernetes.client.Configuration(host=asked["url"])
    configuration.retries = False
    api = kubernetes.client.ApiClient(configuration)
    return keybrake.sandboxes.kubernetes.spawn(
        kubernetes.client.CoreV1Api(api), kubernetes.client.NetworkingV1Api(api),
        namespace="agents", broker_pods=asked.get("brokerPods"), timeout=timeout,
        pod={"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}, **options)


def shown(error):
    return {"name": type(error).__name__, "message": str(error)}


def main():
    asked = json.loads(sys.stdin.readline())
    options = asked["options"]
    timeout = options.pop("timeoutMs", 1500) / 1000
    if "networkPolicy" in options:
        options["network_policy"] = options.pop("networkPolicy")
    spawned = None
    try:
        spawned = globals()["spawn_" + asked["platform"]](asked, options, timeout)
        say(spawned=[key.id for key in spawned.keys], env=list(spawned.env()))
    except Exception as error:
        say(failed=shown(error))
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        if word == "exit":
            return
        try:
            if word == "extend":
                spawned.extend(argument)
            else:
                spawned.teardown()
            say(did=word)
        except Exception as error:
            say(failed=shown(error))


main()
