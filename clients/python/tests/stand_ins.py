# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the e2b and modal packages: the signatures of their public documentation (E2B's
Python SDK 2.36, Modal's reference of Sandbox), and refusals of what those would refuse.  What the
platform then has is in `world`, so that a call that failed may have left something behind."""

import ipaddress
import re

API_PARAMS = {"api_key", "access_token", "domain", "api_url", "sandbox_url", "request_timeout",
              "headers", "api_headers", "proxy", "debug", "validate_api_key", "retries", "signal",
              "extra_sandbox_headers"}
HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")


class World:
    """What exists at the platform, and the calls in their order."""

    def __init__(self, server, fails=None, fails_late=None, kill_fails=None):
        self.server = server
        self.fails, self.fails_late, self.kill_fails = fails, fails_late, kill_fails
        self.created, self.alive, self.log = [], [], []

    def add(self, told, thing):
        self.created.append(told)
        if self.fails:
            raise self.fails
        self.alive.append(thing)
        if self.fails_late:  # the platform has it, its answer was lost
            raise self.fails_late
        return thing

    def end(self, thing):
        self.log.append(("kill", self.server.revoked()))
        if self.kill_fails:
            raise self.kill_fails
        if thing in self.alive:
            self.alive.remove(thing)


def texts(given, what):
    if not isinstance(given, dict) or not all(isinstance(k, str) and isinstance(v, str)
                                              for k, v in given.items()):
        raise TypeError(f"{what} is no dict of texts: {given!r}")
    return given


def whole_seconds(given):
    if type(given) is not int or not 0 < given <= 86400:
        raise ValueError(f"timeout is no number of seconds: {given!r}")
    return given


def a_list(given, what):
    if type(given) is not list or not all(isinstance(v, str) for v in given):
        raise TypeError(f"{what} is no list of texts: {given!r}")
    return given


class SandboxQuery:
    def __init__(self, metadata=None, state=None, started_after=None, template=None):
        self.metadata, self.state = metadata, state
        self.started_after, self.template = started_after, template


def e2b(world):
    """A Sandbox class."""

    class Either:
        """sandbox.kill(), or Sandbox.kill(sandbox_id)."""

        def __get__(self, instance, owner):
            def kill(*args, **opts):
                assert set(opts) <= API_PARAMS, opts
                if instance is not None:
                    assert not args, args
                    world.end(instance)
                    return True
                sandbox_id, = args
                found = [one for one in world.alive if one.sandbox_id == sandbox_id]
                world.log.append(("kill by id", sandbox_id, opts))
                for one in found:
                    world.alive.remove(one)
                return bool(found)
            return kill

    class Paginator:
        def __init__(self, query, limit, opts):
            self.pages = [[one] for one in world.alive if all(
                one.metadata.get(k) == v for k, v in (query.metadata or {}).items())]
            world.log.append(("list", query.metadata, opts))

        @property
        def has_next(self):
            return bool(self.pages)

        def next_items(self, **opts):
            if not self.pages:
                raise Exception("No more items to fetch")
            return self.pages.pop(0)

    class Sandbox:
        kill = Either()

        @classmethod
        def create(cls, template=None, timeout=None, metadata=None, envs=None, secure=True,
                   allow_internet_access=True, mcp=None, network=None, iam=None, lifecycle=None,
                   volume_mounts=None, logger=None, **opts):
            if not set(opts) <= API_PARAMS:
                raise TypeError(f"create() got unexpected arguments: {set(opts) - API_PARAMS}")
            whole_seconds(timeout)
            texts(metadata, "metadata")
            texts(envs, "envs")
            if not set(network) <= {"allow_out", "deny_out", "rules", "allow_public_traffic",
                                    "mask_request_host", "egress_proxy", "https_ports"}:
                raise TypeError(f"network: {network!r}")
            for entry in a_list(network["allow_out"], "allow_out"):
                assert HOST.match(entry) or ipaddress.ip_network(entry), entry
            for entry in a_list(network["deny_out"], "deny_out"):
                ipaddress.ip_network(entry)  # names cannot be denied
            self = cls()
            self.sandbox_id, self.metadata = f"i{len(world.created)}", metadata
            told = {"template": template, "timeout": timeout, "metadata": metadata, "envs": envs,
                    "network": network, **opts}
            return world.add(told, self)

        @staticmethod
        def list(query=None, limit=None, next_token=None, order=None, **opts):
            assert set(opts) <= API_PARAMS, opts
            assert isinstance(query, SandboxQuery), query
            return Paginator(query, limit, opts)

        def set_timeout(self, timeout, **opts):
            world.log.append(("timeout", whole_seconds(timeout)))

    Sandbox.__module__ = "e2b.sandbox_sync.main"
    return Sandbox


class modal:
    """The package, in one world."""

    def __init__(self, world):
        package = self

        class App:
            app_id = "ap-1"

        class Image:
            pass

        class Secret:
            def __init__(self, env):
                self.env = env

            @staticmethod
            def from_dict(env_dict={}):
                return Secret(dict(texts(env_dict, "env_dict")))

        class Sandbox:
            @staticmethod
            def create(*args, app=None, name=None, tags=None, image=None, env=None, secrets=None,
                       network_file_systems={}, timeout=300, idle_timeout=None, workdir=None,
                       gpu=None, cloud=None, region=None, cpu=None, memory=None, runtime=None,
                       block_network=False, outbound_cidr_allowlist=None,
                       outbound_domain_allowlist=None, _experimental_outbound_policy=None,
                       inbound_cidr_allowlist=None, volumes={}, pty=False, encrypted_ports=[],
                       h2_ports=[], unencrypted_ports=[], custom_domain=None, proxy=None,
                       include_oidc_identity_token=False, readiness_probe=None, verbose=False,
                       experimental_options=None, _experimental_enable_snapshot=False, client=None,
                       environment_name=None, pty_info=None, cidr_allowlist=None):
                if app is not None and not isinstance(app, App):
                    raise TypeError(f"app: {app!r}")
                if not all(isinstance(arg, str) for arg in args):
                    raise TypeError(f"the command: {args!r}")
                if not all(isinstance(secret, Secret) for secret in secrets or []):
                    raise TypeError(f"secrets: {secrets!r}")
                if cidr_allowlist is not None and outbound_cidr_allowlist is not None:
                    raise ValueError("cidr_allowlist is the old name of outbound_cidr_allowlist")
                if block_network and (outbound_cidr_allowlist or outbound_domain_allowlist):
                    raise ValueError("block_network excludes the allow-lists")
                if _experimental_outbound_policy is not None and outbound_domain_allowlist:
                    raise ValueError("the outbound policy excludes the allow-list of domains")
                for entry in a_list(outbound_cidr_allowlist, "outbound_cidr_allowlist"):
                    ipaddress.ip_network(entry)
                for entry in a_list(outbound_domain_allowlist, "outbound_domain_allowlist"):
                    assert HOST.match(entry), entry
                self = Sandbox()
                self.app, self.tags = app, texts(tags, "tags")
                self.object_id = f"sb-{len(world.created)}"
                told = {"command": args, "app": app, "image": image, "tags": tags,
                        "timeout": whole_seconds(timeout), "client": client,
                        "env": {name: value for secret in secrets for name, value
                                in secret.env.items()},
                        "outbound_cidr_allowlist": outbound_cidr_allowlist,
                        "outbound_domain_allowlist": outbound_domain_allowlist}
                return world.add(told, self)

            @staticmethod
            def list(*, app_id=None, tags=None, client=None):
                world.log.append(("list", app_id, tags))
                return iter([one for one in world.alive if all(
                    one.tags.get(k) == v for k, v in texts(tags, "tags").items()) and (
                        app_id is None or one.app.app_id == app_id)])

            def terminate(self, *, wait=False):
                world.end(self)

        package.App, package.Image, package.Secret, package.Sandbox = App, Image, Secret, Sandbox
