"""The baseline of warm calls: a bare aiohttp server that answers what the warm function answers.

usage: python -m bench.baseline PORT
"""

import sys

import uvloop
from aiohttp import web


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"message": "Hello"})


def main() -> None:
    app = web.Application()
    app.router.add_post("/", answer)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
