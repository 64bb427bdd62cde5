# SPDX-License-Identifier: Apache-2.0
"""A file on the web, served and fetched with several libraries.

    pyweb.py aiohttp|uvloop|tornado PORT FILE    serves it; for gunicorn and uwsgi the WSGI application is `app`, its file $FILE
    pyweb.py get URL COUNT SHA256                fetches it COUNT times by urllib, aiohttp, and aiohttp on uvloop
"""
import asyncio, hashlib, os, sys, urllib.request


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", str(os.path.getsize(os.environ["FILE"])))])
    return environ.get("wsgi.file_wrapper", lambda f, n: iter(lambda: f.read(n), b""))(open(os.environ["FILE"], "rb"), 65536)


def serve(kind, port, file):
    if kind == "tornado":
        import tornado.ioloop, tornado.web

        where = {"path": os.path.dirname(file)}
        tornado.web.Application([("/(.*)", tornado.web.StaticFileHandler, where)]).listen(port)
        tornado.ioloop.IOLoop.current().start()
    from aiohttp import web

    if kind == "uvloop":
        import uvloop

        uvloop.install()
    site = web.Application()
    site.router.add_static("/", os.path.dirname(file))
    web.run_app(site, host="0.0.0.0", port=port, print=None, loop=asyncio.new_event_loop())


def check(body, want):
    if hashlib.sha256(body).hexdigest() != want:
        sys.exit(f"{len(body)} bytes, wrong hash")


async def many(url, count, want):
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async def one():
            async with session.get(url) as r:
                check(await r.read(), want)

        await asyncio.gather(*(one() for _ in range(count)))


def get(url, count, want):
    import uvloop

    for _ in range(count):
        with urllib.request.urlopen(url, timeout=30) as r:
            check(r.read(), want)
    asyncio.run(many(url, count, want))
    uvloop.install()
    asyncio.run(many(url, count, want))


if __name__ == "__main__":
    if sys.argv[1] == "get":
        get(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
