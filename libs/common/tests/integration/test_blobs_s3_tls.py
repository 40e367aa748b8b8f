"""A bucket behind TLS: trusted by its authority's file, and refused without it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from antiphon_common.blobs.s3 import S3Blobs
from antiphon_common.blobs.s3.address import Address
from antiphon_common.errors import Unavailable
from antiphon_common.testing.suites.blobs import chunks, content


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but its own file vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, secret = folder / "store.pem", folder / "store.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, secret


@pytest.fixture
async def tls(s3_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The URL of the bucket behind TLS, and the file that vouches for it."""
    endpoint = Address.of(s3_url).endpoint or ""
    at, (pem, secret) = urlsplit(endpoint), certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection(at.hostname, at.port)
        await asyncio.gather(_copy(reader, downstream), _copy(upstream, writer), return_exceptions=True)

    server = await asyncio.start_server(through, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    yield s3_url.replace(endpoint, f"https://127.0.0.1:{port}"), pem
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def test_a_store_behind_tls_is_used_when_its_authority_is_named(tls: tuple[str, Path]) -> None:
    url, pem = tls
    store = S3Blobs(f"{url}&ca={pem}")
    await store.start()
    await store.put("a", chunks(b"x" * 100_000))
    assert await content(store, "a") == b"x" * 100_000
    await store.stop()


async def test_a_store_with_a_certificate_that_nobody_vouches_for_is_refused(tls: tuple[str, Path]) -> None:
    url, _ = tls
    store = S3Blobs(url)
    with pytest.raises(Unavailable):
        await store.start()
    with pytest.raises(Unavailable):
        await store.put("a", chunks(b"x"))
    await store.stop()
