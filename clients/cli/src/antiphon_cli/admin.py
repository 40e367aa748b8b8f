"""The first administrator: made once, by whoever can read the data directory."""

from pathlib import Path

from antiphon_cli.client import Client
from antiphon_cli.failures import Failure

SECRET_FILE = Path("secrets") / "auth" / "bootstrap"


class SecretMissing(Failure):
    """There is no one-time secret: the text says what that means."""


def read_secret(data: Path) -> str:
    """The one-time secret that a platform without an administrator keeps in its data directory."""
    try:
        return (data / SECRET_FILE).read_text().strip()
    except FileNotFoundError as error:
        text = f"{data} holds no one-time secret: there is an administrator, or --data is another directory."
        raise SecretMissing(text) from error
    except OSError as error:
        raise SecretMissing(f"the one-time secret in {data} cannot be read: {error.strerror}") from error


async def create(server: str, *, secret: str, email: str, name: str, password: str) -> None:
    """Make the first administrator. Raises `ApiError` when there is one, or the password is too weak."""
    body = {"secret": secret, "email": email, "name": name, "password": password}
    async with Client(server) as client:
        await client.request("POST", "/api/auth/bootstrap", json=body)
