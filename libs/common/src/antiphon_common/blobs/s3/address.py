"""Where a bucket is and who may use it, from a URL; and which setting to mend when that is wrong."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from antiphon_common.schemes import WrongUrl, authority, no_tls, port_of, untrusted

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OPTIONS = ("endpoint", "region", "ca")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
# How rustls' errors look from within obstore.
_UNTRUSTED = re.compile(r"InvalidCertificate\(\s*(\w+)")
_NO_TLS = "InvalidContentType"

_REFUSED_KEY = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound", "403")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired")
_WRONG_REGION = (
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
)


@dataclass(frozen=True, slots=True)
class Address:
    """One bucket; without `key` the credentials come from the usual AWS chain."""

    bucket: str
    endpoint: str | None
    region: str
    key: str | None
    secret: str | None = field(repr=False)
    ca: Path | None

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address in a URL. Raises `WrongUrl` with a sentence for the operator."""
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True)
        unknown = [name for name, values in options.items() if name not in _OPTIONS or len(values) != 1]
        if unknown:
            raise WrongUrl(url, f"knows {', '.join(_OPTIONS)} once each, not {', '.join(unknown)}")
        bucket = parts.hostname or ""
        if not _BUCKET.fullmatch(bucket) or parts.path not in ("", "/"):
            raise WrongUrl(url, "needs the form s3://key:secret@bucket?endpoint=https://host&region=name")
        if (parts.username is None) != (parts.password is None):
            raise WrongUrl(url, "has a key without a secret or a secret without a key")
        endpoint = options.get("endpoint", [""])[0] or None
        if endpoint and (
            urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname
        ):
            raise WrongUrl(url, "endpoint= must be http://host:port or https://host:port")
        port_of(url, endpoint or "", default=0)
        ca = authority(url, tls=not endpoint or endpoint.startswith("https:"))
        return cls(
            bucket=bucket,
            endpoint=endpoint.rstrip("/") if endpoint else None,
            region=options.get("region", ["us-east-1"])[0],
            key=None if parts.username is None else unquote(parts.username),
            secret=None if parts.password is None else unquote(parts.password),
            ca=Path(ca) if ca else None,
        )

    @property
    def shown(self) -> str:
        """How an operator knows it; no secret in it."""
        return f"bucket {self.bucket!r} at {self.endpoint or f'AWS {self.region}'}"

    def distrust(self, text: str) -> str | None:
        """A sentence when an error's text says that TLS failed for what people must mend."""
        at = urlsplit(self.endpoint or f"https://s3.{self.region}.amazonaws.com")
        place = f"{at.hostname}:{at.port or 443}"
        if found := _UNTRUSTED.search(text):
            return untrusted(place, found[1].removesuffix("Context"))
        return no_tls(place) if _NO_TLS in text else None

    def complaint(self, code: str) -> str:
        """One line for the operator: what is wrong, and which setting to change."""
        if code == "NoSuchBucket":
            return f"{self.shown} does not exist: create it, or change blob_url"
        if code in _EXPIRED:
            return f"{self.shown}: the credential has expired: renew it, in blob_url or where AWS keeps it"
        if code in _REFUSED_KEY:
            return f"{self.shown} refuses the key or what it may do ({code}): change key:secret in blob_url"
        if code in _WRONG_REGION:
            return f"{self.shown} is in another region ({code}): change region= in blob_url"
        if code == "RequestTimeTooSkewed":
            return f"{self.shown} finds that this machine's clock is wrong: set it"
        if code:
            return f"{self.shown} answered {code}: look at the store, or change blob_url"
        return f"{self.shown} does not answer: start it, or change endpoint= in blob_url"


def code_in(text: str) -> str:
    """The store's code in an error's text, else its status, else nothing: then there was no answer."""
    found = _CODE.search(text) or _STATUS.search(text)
    return found[1] if found else ""
