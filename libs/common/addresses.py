"""Which network addresses may be reached on behalf of a user.

A user names a host and this deployment dials it: without a guard, that reaches the deployment's own network. A name is
resolved once, every answer is checked, and the checked addresses are what gets dialled, so that a name which answers
differently the next time (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from libs.common.errors import Code, DbifyError

Network = IPv4Network | IPv6Network

RESOLVE_TIMEOUT_S = 5.0
# A name with more answers than this is checked whole and dialled at the first of them.
MAX_ADDRESSES = 8

_FORBIDDEN_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network", RFC 791: Linux takes 0.0.0.0 as itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598; also cloud-internal services
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only global unicast may be reached at all; these are the special ranges within it.
_GLOBAL_6 = IPv6Network("2000::/3")
_FORBIDDEN_6 = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
)
# Where clouds answer with credentials. Some lie in ranges that a deployment may well allow, or in public space.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",  # AWS container credentials
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_LARGEST_SPECIAL = IPv6Address("::ffff")


class Guard:
    """Decides which addresses may be dialled: public ones, and those in the networks the operator allows.

    Args:
        allow: Networks that may be reached though they are private; DBIFY_ALLOW_NETWORKS.
    """

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)

    @classmethod
    def parse(cls, text: str) -> "Guard":
        """The guard for a comma-separated list of CIDRs, which may be empty.

        Raises:
            ValueError: If one of them is not a network, saying what it should look like.
        """
        return cls(tuple(_network(part.strip()) for part in text.split(",") if part.strip()))

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host, all of them checked, in the order in which to try them.

        Raises:
            DbifyError: ADDRESS_FORBIDDEN if any answer may not be reached, INVALID_DATABASE_URL if the name does not
                exist, DATABASE_UNAVAILABLE if the lookup failed or took more than 5 s.
        """
        addresses = await _look_up(host, port)
        for address in addresses:
            self.check(address)
        return addresses[:MAX_ADDRESSES]

    def check(self, address: str) -> None:
        """Refuse an address that may not be reached.

        Raises:
            DbifyError: ADDRESS_FORBIDDEN.
        """
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            parsed = None
        if parsed is None or not self._permits(parsed):
            raise DbifyError(
                Code.ADDRESS_FORBIDDEN,
                "The host's address is private, local or otherwise reserved, and may not be reached from here. Use a "
                "public address, or have the operator list the network in DBIFY_ALLOW_NETWORKS.",
            )

    def _permits(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether an address and every address wrapped inside it may be reached."""
        if isinstance(address, IPv6Address):
            wrapped = tuple(_wrapped(address))
            if wrapped:
                return all(self._permits(inner) for inner in wrapped)
        if self._allows(address):
            return True
        if address in _METADATA:
            return False
        if isinstance(address, IPv4Address):
            return not any(address in network for network in _FORBIDDEN_4)
        return (
            address.scope_id is None
            and address in _GLOBAL_6
            and not any(address in network for network in _FORBIDDEN_6)
        )

    def _allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the operator names it; a metadata service only by a network of just that address."""
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return False
        return any(
            address in network and (address not in _METADATA or network.num_addresses == 1) for network in self._allow
        )


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("each network is an address and a prefix length without host bits, as in 10.0.0.0/8") from None


def _wrapped(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a packet to this one ends up at, by translation or a tunnel."""
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64 or (address in _COMPATIBLE and address > _LARGEST_SPECIAL):
        yield IPv4Address(address.packed[-4:])
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo


async def _look_up(host: str, port: int) -> tuple[str, ...]:
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}:
            raise DbifyError(Code.INVALID_DATABASE_URL, "The database URL's host does not exist.") from None
        raise _unresolved() from None
    except (OSError, TimeoutError, UnicodeError):
        raise _unresolved() from None
    addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if not addresses:
        raise _unresolved()
    return addresses


def _unresolved() -> DbifyError:
    return DbifyError(
        Code.DATABASE_UNAVAILABLE, "The database's host name cannot be resolved at the moment: try again."
    )
