"""A check for schemathesis: a request that fits the schema is accepted, or refused for a reason no schema can say.

Its own `positive_data_acceptance` knows only statuses. Some of our refusals depend on what a JSON Schema cannot
express, and each of them has a code of its own, so this check asks for the code.
"""

from typing import Any

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response

# By the problem's code: the state of the world, or a text whose meaning is judged.
_EXPLAINED = {
    "invalid_query", "invalid_text", "invalid_cursor", "stale_revision", "password_weak", "password_common", "bootstrap_closed", "track_not_found",
    "not_an_image", "not_audio", "invalid_username", "invalid_token", "bad_credentials",
}  # fmt: skip
# By the code of a rejected field: characters we never store, and 1.0 where JSON Schema calls it an integer.
_EXPLAINED_FIELDS = {"value_error", "int_type"}


@schemathesis.check
def positive_data_accepted_or_explained(
    _: CheckContext, response: Response, case: schemathesis.Case[Any]
) -> None:
    """400, 410, 412, 413, 415 and 422 for a valid request need a code that explains them."""
    if (
        case.meta is None
        or not case.meta.generation.mode.is_positive
        or response.status_code not in (400, 410, 412, 413, 415, 422)
    ):
        return
    problem = response.json()
    fields = {field["code"] for field in problem.get("errors") or []}
    if problem["code"] in _EXPLAINED or fields & _EXPLAINED_FIELDS:
        return
    raise Failure(
        operation=case.operation.label,
        title="Valid request refused without an explanation",
        message=f"{response.status_code} {problem['code']}: {problem['detail']} {problem.get('errors')}",
    )
