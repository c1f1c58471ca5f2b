import asyncio
import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.addresses import Guard
from libs.common.errors import Code, DbifyError
from tests.common.hostile_dsns import INSIDE

PRIVATE = Guard.parse("127.0.0.0/8, ::1/128, 10.0.0.0/8,192.168.0.0/16,fc00::/7, 100.64.0.0/10")


def permitted(guard: Guard, address: str) -> bool:
    try:
        guard.check(address)
    except DbifyError as error:
        return error.code is not Code.ADDRESS_FORBIDDEN
    return True


def test_a_refusal_names_the_variable_and_not_the_address() -> None:
    with pytest.raises(DbifyError) as raised:
        Guard().check("10.1.2.3")
    assert "DBIFY_ALLOW_NETWORKS" in raised.value.message
    assert "10.1.2.3" not in raised.value.message


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "1.1.1.1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ],
)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert permitted(Guard(), address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "fd12::1", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "100.64.1.1"]
)
def test_what_the_operator_allows_may_be_reached(address: str) -> None:
    assert permitted(PRIVATE, address)
    assert not permitted(Guard(), address)


@pytest.mark.parametrize(
    "address", ["172.16.0.1", "169.254.1.1", "::ffff:172.16.0.1", "fe80::1", "fe80::1%1", "::1%lo", "x", ""]
)
def test_the_rest_stays_forbidden(address: str) -> None:
    assert not permitted(PRIVATE, address)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"])
def test_a_metadata_service_is_allowed_by_its_own_address_alone(address: str) -> None:
    everything = Guard.parse("0.0.0.0/0,::/0")
    assert not permitted(everything, address)
    assert not permitted(everything, "::ffff:169.254.169.254")
    assert permitted(Guard.parse(address), address)


@given(st.ip_addresses())
def test_without_allowed_networks_only_global_addresses_pass(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    transitional = isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped or address.sixtofour or address.teredo or address in ipaddress.ip_network("::/96")
    )
    if permitted(Guard(), str(address)) and not transitional:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("text", ["10.0.0.1/8", "all", "10.0.0.0/33", "10.0.0.0/8;::1"])
def test_a_malformed_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        Guard.parse(text)


async def test_a_literal_address_is_checked_without_a_lookup() -> None:
    assert await Guard().resolve("93.184.215.14", 5432) == ("93.184.215.14",)
    with pytest.raises(DbifyError) as raised:
        await Guard().resolve("127.0.0.1", 5432)
    assert raised.value.code is Code.ADDRESS_FORBIDDEN


async def test_a_name_on_this_machine_is_found_and_judged() -> None:
    assert set(await PRIVATE.resolve("localhost", 5432)) <= {"127.0.0.1", "::1"}
    with pytest.raises(DbifyError) as raised:
        await Guard().resolve("localhost", 5432)
    assert raised.value.code is Code.ADDRESS_FORBIDDEN


@pytest.mark.parametrize("name", INSIDE)
async def test_one_forbidden_answer_refuses_the_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 5432)) for address in INSIDE[name]]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(DbifyError) as raised:
        await Guard().resolve(name, 5432)
    assert raised.value.code is Code.ADDRESS_FORBIDDEN


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), Code.INVALID_DATABASE_URL),
        (socket.gaierror(socket.EAI_AGAIN, "x"), Code.DATABASE_UNAVAILABLE),
        (UnicodeError("label too long"), Code.DATABASE_UNAVAILABLE),
    ],
)
async def test_a_lookup_that_fails_is_explained(error: Exception, code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DbifyError) as raised:
        await Guard().resolve("db.example", 5432)
    assert raised.value.code is code


async def test_a_lookup_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.addresses.RESOLVE_TIMEOUT_S", 0.05)

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    with pytest.raises(DbifyError) as raised:
        await Guard().resolve("db.example", 5432)
    assert raised.value.code is Code.DATABASE_UNAVAILABLE
