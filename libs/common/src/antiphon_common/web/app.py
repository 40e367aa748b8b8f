"""Makes the FastAPI application of a service from its parts; the same for all of them."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from structlog.typing import FilteringBoundLogger

from antiphon_common.lifecycle import Component, Starter, run_together
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.health import Check, Readiness, health_router
from antiphon_common.web.identity import POLICIES, Verifier
from antiphon_common.web.measuring import measured
from antiphon_common.web.middleware import MAX_JSON_BYTES, RequestContext, StrictText
from antiphon_common.web.problems import Problem, documented, install_problem_handlers


class PolicyMissing(RuntimeError):
    """A route does not say who may call it."""


def service_app(
    *,
    title: str,
    description: str,
    deps: object,
    routers: Sequence[APIRouter],
    components: Iterable[Component],
    checks: Mapping[str, Check],
    verifier: Verifier,
    telemetry: Telemetry,
    log: FilteringBoundLogger,
) -> FastAPI:
    """The application of one service.

    `deps` is what its routes find as `request.app.state.deps`; `components` are started in order before the
    first request and stopped in reverse after the last. Raises `PolicyMissing` for a route without a policy.
    """
    starter = Starter(tuple(components), log=log)
    readiness = Readiness({**checks, "starting": starter.ping}, log=log)
    # Measured first, so that a process which waits for its servers can be looked at.
    first = measured(telemetry, starter.parts, readiness, log=log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with run_together(*first, starter):
                log.info("started")
                yield
            log.info("stopped")
        finally:
            telemetry.close()

    app = FastAPI(
        title=title,
        description=description,
        version=version("antiphon-common"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Ours is `RequestContext`; the framework's asks process globals at every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.deps = deps
    app.state.readiness = readiness
    app.state.verifier = verifier
    for router in routers:
        _declare_policies(router)
        app.include_router(router)
    app.include_router(health_router(readiness))
    install_problem_handlers(app)
    app.add_middleware(StrictText)
    app.add_middleware(RequestContext, telemetry=telemetry, log=log)
    _describe_problems(app)
    return app


def _declare_policies(router: APIRouter) -> None:
    for route in router.routes:
        if isinstance(inner := getattr(route, "original_router", None), APIRouter):
            _declare_policies(inner)
            continue
        if not isinstance(route, APIRoute):
            raise PolicyMissing(f"{getattr(route, 'path', route)} must be a route that takes a policy")
        found = [POLICIES[call] for call in _calls(route.dependant) if call in POLICIES]
        if len(set(found)) != 1:
            raise PolicyMissing(f"{route.methods} {route.path} must take one of Anyone, User, Admin")
        policy = found[0]
        if route.body_field is not None:
            # A body that is read into memory has its limit under every content type.
            route.max_body_size = MAX_JSON_BYTES
        route.openapi_extra = {**(route.openapi_extra or {}), "x-policy": policy}
        statuses = {"anyone": (401, 422), "user": (401, 422), "admin": (401, 403, 422)}[policy]
        route.responses = {**documented(*statuses, 500, 503), **route.responses}


def _calls(dependant: Dependant) -> Iterable[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


def _describe_problems(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(whole.pop("$defs"))
            schemas["Problem"] = whole
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
