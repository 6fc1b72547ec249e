"""The token by which a Ray cluster knows its users."""

import os
from typing import Any


def send_token() -> None:
    """Have this process send its user's token to Ray, if there is one.

    It is `RAY_AUTH_TOKEN`, else the content of the file that `RAY_AUTH_TOKEN_PATH` names, else of
    ~/.ray/auth_token. Ray itself sends it to an address that is given only with
    `RAY_AUTH_MODE=token`, while its clusters ask for one by default. A mode that is set stays.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    import ray._raylet  # noqa: PLC0415 - takes a second

    core: Any = ray._raylet  # noqa: SLF001 - the one that reads these files; Ray is pinned
    if core.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        os.environ["RAY_AUTH_MODE"] = "token"
        core.Config.initialize("")  # or Ray, imported already, would not look again
