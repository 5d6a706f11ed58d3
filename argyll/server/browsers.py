"""Keeps web pages out: a browser on this machine must not drive a node for a page that happens to be open in it.

A node without authentication trusts who can reach it, and any page can make a browser send requests to a loopback address.
Browsers say in `Origin` which page asks; programs send no such header and are not concerned.
"""

from ipaddress import ip_address

_LOCAL_NAMES = frozenset(("localhost", "localhost.localdomain"))


def is_foreign_origin(origin: str, host: str, allowed: tuple[str, ...], *, loopback_only: bool) -> bool:
    """Whether a request comes from a page that neither the node itself nor one of the `allowed` origins served.

    The page's own address must be the one in `Host`. On a node that only this machine reaches it must be a local name
    as well: a page can have a name of its own point at 127.0.0.1.
    """
    if "*" in allowed or origin in allowed:
        return False
    page = origin.partition("://")[2].lower()
    return page != host.lower() or (loopback_only and not is_local(page))


def is_local(authority: str) -> bool:
    """Whether `name`, `name:port` or `[address]:port` means this machine."""
    name = authority[1:].partition("]")[0] if authority.startswith("[") else authority.partition(":")[0]
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
