"""Python apps and handlers that only the Python runtime has: WSGI, ASGI, threads."""

from tests.integration.runtimes.sources import PYTHON_MARKS

WSGI = (
    PYTHON_MARKS
    + """
import json, sys
class App:
    def __call__(self, environ, start_response):
        return getattr(self, environ["PATH_INFO"].strip("/") or "home")(environ, start_response)
    def home(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        keys = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X_A", "CONTENT_TYPE",
                "REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "wsgi.multithread")
        seen = {key: environ.get(key) for key in keys}
        return [json.dumps(seen).encode()]
    def lines(self, environ, start_response):
        start_response("200 OK", [("X-Kind", "lines"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        body = environ["wsgi.input"]
        return [body.readline(), body.read(3), b"".join(body)]
    def size(self, environ, start_response):
        count = 0
        while piece := environ["wsgi.input"].read(65536): count += len(piece)
        start_response("200 OK", [])
        return [str(count).encode()]
    def big(self, environ, start_response):
        start_response("200 OK", [])
        return (b"x" * 65536 for _ in range(1600))
    def stream(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        def items():
            try:
                yield b"one"
                wait("go")
                yield b"two"
            finally: mark("closed")
        return items()
    def written(self, environ, start_response):
        write = start_response("200 OK", [])
        write(b"one")
        return [b"two"]
    def unread(self, environ, start_response):
        start_response("413 Too Large", [("Content-Length", "3")])
        return [b"big"]
    def lies(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "10")])
        return [b"short"]
    def replaced(self, environ, start_response):
        start_response("200 OK", [])
        try: raise ValueError("late")
        except ValueError: start_response("500 Oh", [], sys.exc_info())
        return [b"replaced"]
    def nothing(self, environ, start_response):
        start_response("204 No Content", [])
        return []
    def fail(self, environ, start_response): raise KeyError("lost")
    def forgets(self, environ, start_response): return [b"body"]
app = App()
def function(environ, start_response):
    start_response("200 OK", [])
    return [b"a function"]
"""
)

ASGI = (
    PYTHON_MARKS
    + """
import json
async def whole(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
async def answer(send, body, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
class App:
    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan": return await self.lifespan(scope, receive, send)
        name = scope["path"].removeprefix(scope["root_path"]).strip("/") or "home"
        if scope["type"] == "websocket": name = "ws_" + name
        await getattr(self, name)(scope, receive, send)
    async def lifespan(self, scope, receive, send):
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["started"] = "yes"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        mark("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
    async def home(self, scope, receive, send):
        keys = ("type", "http_version", "method", "scheme", "path", "root_path", "client", "server", "state")
        seen = {key: scope[key] for key in keys}
        seen["raw_path"], seen["query"] = scope["raw_path"].decode(), scope["query_string"].decode()
        seen["header"] = dict(scope["headers"])[b"x-a"].decode()
        await answer(send, json.dumps(seen).encode(), 201, [(b"x-b", b"1")])
    async def echo(self, scope, receive, send): await answer(send, await whole(receive))
    async def size(self, scope, receive, send):
        count, more = 0, True
        while more:
            message = await receive()
            count += len(message["body"])
            more = message["more_body"]
        await answer(send, str(count).encode())
    async def unread(self, scope, receive, send):
        await answer(send, b"big", 413, [(b"content-length", b"3")])
    async def big(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1600):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body"})
    async def stream(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await wait_async("go")
        await send({"type": "http.response.body", "body": b"two", "more_body": False})
    async def background(self, scope, receive, send):
        await answer(send, b"answered")
        mark("answered")
        await wait_async("go")
        mark("after")
    async def nothing(self, scope, receive, send): await answer(send, b"", 204)
    async def fail(self, scope, receive, send): raise KeyError("lost")
    async def silent(self, scope, receive, send): pass
    async def lies(self, scope, receive, send):
        await answer(send, b"short", 200, [(b"content-length", b"10")])
    async def waits(self, scope, receive, send):
        mark("started")
        try: await asyncio.sleep(3600)
        finally: mark("cancelled")
    async def ws_echo(self, scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        chosen = scope["subprotocols"][0] if scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"x-ws", b"yes")]})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                mark(f"left-{message['code']}")
                return
            if message.get("text") == "bye":
                return await send({"type": "websocket.close", "code": 4001, "reason": "bye"})
            if message.get("text") == "raise": raise ValueError("ws")
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
    async def ws_refuse(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.close"})
    async def ws_fail(self, scope, receive, send): raise ValueError("before accept")
app = App()
async def function(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    await answer(send, b"a function")
async def cannot(scope, receive, send):
    await receive()
    try: raise RuntimeError("no database")
    except RuntimeError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
"""
)

THREADS = (
    PYTHON_MARKS
    + """
import sys, threading
def meet(event):
    mark(f"in-{event}")
    wait("go")
    return [event, threading.current_thread() is threading.main_thread()]
def leave(event): sys.exit(event)
def segfault(event):
    import ctypes
    ctypes.string_at(0)
def sync(event):
    mark("started")
    wait("go")
    mark("ended")
    return "done"
def drip(event):
    try:
        while True:
            mark("started")
            yield "x" * 65536
    finally: mark("ended")
def printing(event): print("one line")
def cancelled(event): raise asyncio.CancelledError("by itself")
async def async_cancelled(event): raise asyncio.CancelledError("by itself")
async def async_leave(event): sys.exit(event)
async def each():
    yield "a"
    yield "b"
async def returns_generator(event): return each()
def one(event): return event
def none(): return "none"
def more(event, context=None, extra=5): return [event, context.function_name, extra]
def anything(*arguments): return len(arguments)
class Object:
    def method(self, event, context): return context.function_name
    def __call__(self, event, context): return "an adapter"
method = Object().method
adapter = Object()
def wide(a, b, c): pass
def keyword(event, *, needed): pass
"""
)
