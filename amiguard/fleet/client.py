"""Reaches Redis: the only import of its library. Whatever fails becomes a `FleetError`, by its type."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis import asyncio as redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from amiguard.errors import FleetError, FleetFull
from amiguard.fleet.places import Kind, parse
from amiguard.fleet.settings import FleetSettings

PATIENCE = 3.0
"""Seconds that Redis may take for an answer."""

CONNECTING = 2.0
"""Seconds that a connection may take: long enough for one packet that is lost, and short, for Redis may be back."""

CONNECTIONS = 4

CODES = frozenset({"BUSY", "CLUSTERDOWN", "CROSSSLOT", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TRYAGAIN", "WRONGTYPE"})
"""What Redis' refusals may begin with that tell an operator something."""

_UNKNOWN = re.compile(r"unknown command [`'\"](AUTH|HELLO|EVAL|EVAL_RO|XREAD|SELECT)[`'\"]", re.IGNORECASE)

Client = redis.Redis
"""A client of a cluster has the same commands."""


def connected(settings: FleetSettings) -> list[Client]:
    """Return a client, which connects when it is first used, and behind it those that it asks for the way."""
    place = parse(settings.url)
    timeouts: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": CONNECTING,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
    }
    if place.kind is Kind.SERVER:
        return [redis.Redis.from_url(settings.url, max_connections=CONNECTIONS, **timeouts)]
    login: dict[str, Any] = {"username": place.username or None, "password": place.password or None}
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": place.ca or None} if place.tls else {}
    if place.kind is Kind.CLUSTER:
        nodes = [ClusterNode(host, port) for host, port in place.servers]
        cluster = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **login, **tls, **timeouts)
        return [cast("Client", cluster)]
    asked = Sentinel(place.servers, sentinel_kwargs=timeouts | tls, **login, **tls, **timeouts)  # type: ignore[no-untyped-call]
    return [asked.master_for(place.master, db=place.db, max_connections=CONNECTIONS), *asked.sentinels]


def is_refusal(answer: object) -> bool:
    """Whether Redis refused one command for what it is about, and not for who asks or how Redis is."""
    return type(answer) is ResponseError


@contextmanager
def explained(server: str) -> Iterator[None]:
    """Raise what goes wrong as `FleetError`: in words for who set this up, and without a secret.

    And a task that was cancelled ends, whatever the library made of it: it sends through `asyncio.wait_for`, which in
    Python 3.11 forgets a cancellation that comes just when it is done, and a task that asks again would never end."""
    with _translated(f"Redis at {server}"):
        yield
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _why(said: str) -> str:
    """Return what of Redis' words may be shown. It repeats what it does not understand, such as a login where AUTH was
    renamed."""
    unknown = _UNKNOWN.match(said)
    if unknown is not None:
        return f": it does not know {unknown[1].upper()}"
    code = said.partition(" ")[0]
    return f" ({code})" if code in CODES else ""


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Raises what goes wrong `from None`: a traceback would show the words of Redis."""
    try:
        yield
    except OutOfMemoryError:
        raise FleetFull(f"{where} has no memory left (maxmemory)") from None
    except AuthenticationError:
        raise FleetError(f"{where} refuses the login of AMIGUARD_REDIS_URL") from None
    except NoPermissionError:
        raise FleetError(f"{where} does not allow this user what amiguard needs (ACL)") from None
    except ReadOnlyError:
        raise FleetError(f"{where} is a replica that takes no changes") from None
    except RedisTimeout:
        raise FleetError(f"{where} does not answer") from None
    except ResponseError as error:
        raise FleetError(f"{where} refuses a command{_why(str(error))}") from None
    except (RedisError, RedisClusterException, OSError) as error:
        if isinstance(error.__cause__, AuthenticationError):
            raise FleetError(f"{where} refuses the login of AMIGUARD_REDIS_URL") from None
        raise FleetError(f"{where} can't be reached") from None
    except (TypeError, ValueError, AttributeError, IndexError, RecursionError):
        raise FleetError(f"{where} answers what was not expected: is it Redis 7 or Valkey?") from None
