"""The handlers of the API: decode, call, encode. Their names are those of `control.routes`."""

import functools

import msgspec
from aiohttp import web

from control import openapi
from control.accounts import Accounts
from control.audit_log import AuditLog
from control.bodies import check_upload, length_of, read_json, upload
from control.catalog import Catalog
from control.deploys import Deploys
from control.functions import require_name, version_not_found
from control.permissions import CALLER
from control.queries import (
    QUERY,
    AuditQuery,
    FunctionsQuery,
    LogsQuery,
    SecretsQuery,
    TokensQuery,
    UsersQuery,
    VersionsQuery,
    decode_query,
)
from control.routes import NDJSON_TYPE, Operation
from control.secrets import Secrets
from control.upstream import Pool
from plat.administration import SecretRequest, TokenRequest, UserRequest
from plat.decoding import convert
from plat.errors import PlatError
from plat.logs import get_logger
from plat.model import LiveChange, ScaleChange, SecretName
from plat.web import CALL_ID_HEADER, Handler, call_id_of, json_response

log = get_logger(__name__)


class Api:
    def __init__(
        self,
        catalog: Catalog,
        deploys: Deploys,
        pool: Pool,
        accounts: Accounts,
        secrets: Secrets,
        audit_log: AuditLog,
        *,
        archive_limit_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._accounts = accounts
        self._secrets = secrets
        self._audit_log = audit_log
        self._deploys = deploys
        self._pool = pool
        self._archive_limit = archive_limit_bytes

    async def list_functions(self, request: web.Request) -> web.Response:
        query: FunctionsQuery = request[QUERY]
        return json_response(await self._catalog.page(query.limit, _after(query)))

    async def put_function(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        require_name(name)
        function, created = await self._catalog.put(name, await read_json(request))
        return json_response(function, 201 if created else 200)

    async def get_function(self, request: web.Request) -> web.Response:
        return json_response(await self._catalog.function(request.match_info["name"]))

    async def delete_function(self, request: web.Request) -> web.Response:
        await self._catalog.delete(request.match_info["name"])
        return web.Response(status=204)

    async def deploy(self, request: web.Request) -> web.Response:
        check_upload(request, self._archive_limit)
        name = request.match_info["name"]
        version = await self._deploys.deploy(name, upload(request), length_of(request))
        return json_response(version, 200 if version.unchanged else 201)

    async def list_versions(self, request: web.Request) -> web.Response:
        query: VersionsQuery = request[QUERY]
        before = None if query.after is msgspec.UNSET else query.after
        return json_response(await self._catalog.versions(request.match_info["name"], query.limit, before))

    async def get_version(self, request: web.Request) -> web.Response:
        name, number = request.match_info["name"], request.match_info["version"]
        await self._catalog.function(name)
        return json_response(await self._catalog.version(name, _version_number(name, number)))

    async def set_live(self, request: web.Request) -> web.Response:
        change = convert(await read_json(request), LiveChange)
        return json_response(await self._catalog.set_live(request.match_info["name"], change))

    async def scale(self, request: web.Request) -> web.Response:
        change = convert(await read_json(request), ScaleChange)
        return json_response(await self._catalog.scale(request.match_info["name"], change))

    async def stop(self, request: web.Request) -> web.Response:
        return json_response(await self._catalog.set_stopped(request.match_info["name"], True))

    async def start(self, request: web.Request) -> web.Response:
        return json_response(await self._catalog.set_stopped(request.match_info["name"], False))

    async def list_instances(self, request: web.Request) -> web.Response:
        function = await self._catalog.function(request.match_info["name"])
        return json_response(await self._pool.instances(function.name))

    async def list_decisions(self, request: web.Request) -> web.Response:
        function = await self._catalog.function(request.match_info["name"])
        return json_response(await self._pool.decisions(function.name))

    async def read_logs(self, request: web.Request) -> web.StreamResponse:
        query: LogsQuery = request[QUERY]
        function = await self._catalog.function(request.match_info["name"])
        async with self._pool.logs(function.name, tail=query.tail, follow=query.follow) as chunks:
            headers = {"Content-Type": NDJSON_TYPE, CALL_ID_HEADER: call_id_of(request)}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            try:
                async for chunk in chunks:
                    await response.write(chunk)
                await response.write_eof()
            except (PlatError, OSError) as error:
                _break_off(request, error)
            return response

    async def create_token(self, request: web.Request) -> web.Response:
        wanted = convert(await read_json(request), TokenRequest)
        return json_response(await self._accounts.create_token(request[CALLER], wanted), 201)

    async def list_tokens(self, request: web.Request) -> web.Response:
        query: TokensQuery = request[QUERY]
        return json_response(self._accounts.tokens(request[CALLER], query.limit, _after(query)))

    async def get_token(self, request: web.Request) -> web.Response:
        return json_response(self._accounts.token(request[CALLER], request.match_info["id"]))

    async def revoke_token(self, request: web.Request) -> web.Response:
        await self._accounts.revoke(request[CALLER], request.match_info["id"])
        return web.Response(status=204)

    async def create_user(self, request: web.Request) -> web.Response:
        wanted = convert(await read_json(request), UserRequest)
        return json_response(await self._accounts.create_user(wanted.name), 201)

    async def list_users(self, request: web.Request) -> web.Response:
        query: UsersQuery = request[QUERY]
        return json_response(await self._accounts.users(query.limit, _after(query)))

    async def delete_user(self, request: web.Request) -> web.Response:
        await self._accounts.delete_user(request.match_info["user"])
        return web.Response(status=204)

    async def set_secret(self, request: web.Request) -> web.Response:
        name = convert(request.match_info["secret"], SecretName)
        wanted = _secret_request(await read_json(request))
        secret, created = await self._secrets.set(name, wanted.value)
        return json_response(secret, 201 if created else 200)

    async def list_secrets(self, request: web.Request) -> web.Response:
        query: SecretsQuery = request[QUERY]
        return json_response(await self._secrets.page(query.limit, _after(query)))

    async def delete_secret(self, request: web.Request) -> web.Response:
        await self._secrets.delete(request.match_info["secret"])
        return web.Response(status=204)

    async def rotate_secrets(self, request: web.Request) -> web.Response:
        return json_response(await self._secrets.rotate())

    async def list_audit(self, request: web.Request) -> web.Response:
        query: AuditQuery = request[QUERY]
        return json_response(await self._audit_log.page(query))

    async def read_openapi(self, request: web.Request) -> web.Response:
        return json_response(_openapi_document())


def handler_of(api: Api, operation: Operation) -> Handler:
    """Its method, for a request whose parameters were checked: also where the operation has none."""
    handle: Handler = getattr(api, operation.name)

    async def checked(request: web.Request) -> web.StreamResponse:
        request[QUERY] = decode_query(request.query.items(), operation.query)
        return await handle(request)

    return checked


_openapi_document = functools.cache(openapi.document)


def _after(query: FunctionsQuery | TokensQuery | UsersQuery | SecretsQuery) -> str:
    """Nothing sorts before the empty text."""
    return "" if query.after is msgspec.UNSET else query.after


def _version_number(name: str, text: str) -> int:
    """Raises PlatError `version_not_found` for what is no version's number."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) < 2**31):
        raise version_not_found(name, text)
    return int(text)


def _secret_request(body: object) -> SecretRequest:
    """Raises PlatError `invalid`, which does not say what was given instead."""
    try:
        return convert(body, SecretRequest)
    except PlatError:
        raise PlatError(
            "invalid",
            'The body is not {"value": "..."} with a text of at most 32768 characters, without NUL'
            " (it is not shown).",
        ) from None


def _break_off(request: web.Request, error: Exception) -> None:
    """An answer that has begun can only be cut, so that the client does not take it for whole."""
    log.warning("logs broke off", path=request.path, detail=str(error))
    if request.transport is not None:
        request.transport.close()
