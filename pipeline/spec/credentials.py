"""Credentials, which must not stand in a spec: in its locations and its storage options."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pipeline.storage.uris import protocol_of

_SECRETS = ("secret", "password", "token", "key", "credential", "connection_string", "sas")
_USER: Final = re.compile(r"://[^/@:]*:[^/@]*@")


def check_storage_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse options that look like a credential, by protocol.

    Raises:
        ValueError: One does, or a protocol has another name here.
    """
    for protocol, values in options.items():
        if protocol != protocol_of(f"{protocol}://"):
            raise ValueError(f"{protocol!r} is called {protocol_of(protocol + '://')!r} here")
        for name, value in _leaves(values, protocol):
            if any(word in name.lower() for word in _SECRETS) or has_password(str(value)):
                raise ValueError(
                    f"{name} looks like a credential, which must not stand in a "
                    "spec; set it in the environment of the driver and the workers"
                )


def check_locations(locations: Iterable[str]) -> None:
    """Refuse URIs that are written with a password.

    Raises:
        ValueError: One is.
    """
    for location in locations:
        if has_password(location):
            raise ValueError(
                f"{without_password(location)!r} is written with a password, which must not "
                "stand in a spec; set it in the environment of the driver and the workers"
            )


def has_password(uri: str) -> bool:
    """Say whether a URI is written as `protocol://user:password@host/…`."""
    return _USER.search(uri) is not None


def without_password(uri: str) -> str:
    """Return a URI without the user and password before its host."""
    return _USER.sub("://", uri)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what nested options hold, with the path of each."""
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{path}.{name}")
