"""TLS inside the test: an authority, the certificates it signs, and a proxy that ends TLS before a server.

So every server is met as it stands behind certificates, without being configured for it.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
# What a client of Postgres asks before TLS begins (`SSLRequest`), and the answers yes and no.
_ASKED, _YES, _NO = b"\0\0\0\x08\x04\xd2\x16\x2f", b"S", b"N"


class Authority:
    """Signs certificates; `file` (PEM) is what names it to a client."""

    def __init__(self, folder: Path, *, name: str = "authority") -> None:
        self.file = folder / f"{name}.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        signed = _draft(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file.write_bytes(_pem(signed.sign(self._key, hashes.SHA256())))

    def context(self, host: str = "127.0.0.1", *, days: int = 1) -> ssl.SSLContext:
        """For a server of this name; with negative `days` its certificate has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        name: x509.GeneralName
        try:
            name = x509.IPAddress(ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        draft = _draft(_named("server"), self._name, key, days=days)
        draft = draft.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        both = self._folder / f"{host}{days}.pem"
        both.write_bytes(_pem(draft.sign(self._key, hashes.SHA256())) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context


class TlsProxy:
    """Ends TLS with `context` and passes bytes to `host:port`; without a context it offers none.

    With `asked_first` TLS begins as Postgres wants it: when the client has asked for it and heard yes.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, *, asked_first: bool = False
    ) -> None:
        self.context = context
        self.port = 0
        self._target = (host, port)
        self._asked_first = asked_first
        self._open: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def cut(self) -> None:
        """End the connections that are open now; new ones work."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that does not like the certificate, or ends in the middle, is what is tested.
        with contextlib.suppress(OSError, EOFError):
            try:
                await self._meet(reader, writer)
                from_server, to_server = await asyncio.open_connection(*self._target)
                await asyncio.gather(_pass(reader, to_server), _pass(from_server, writer))
            finally:
                writer.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._asked_first and await reader.readexactly(len(_ASKED)) == _ASKED:
            writer.write(_YES if self.context else _NO)
        if self.context:
            await writer.start_tls(self.context)


@asynccontextmanager
async def tls_before(
    host: str, port: int, context: ssl.SSLContext | None, *, asked_first: bool = False
) -> AsyncIterator[TlsProxy]:
    """A proxy that listens on `port` of 127.0.0.1 until the block ends."""
    proxy = TlsProxy(host, port, context, asked_first=asked_first)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.cut()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = 1
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + days * _DAY
    return x509.CertificateBuilder(
        issuer_name=issuer, subject_name=subject, public_key=key.public_key(),
        serial_number=x509.random_serial_number(), not_valid_before=end - 2 * _DAY, not_valid_after=end,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
