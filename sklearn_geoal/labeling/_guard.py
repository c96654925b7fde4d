"""Who may talk to the page: token, host, origin and size of a request are checked before anything else."""

import secrets

_MAX_BODY = 2**20


class Guard:
    """ASGI middleware that lets through what has the token in its path, comes from the page itself, and is small.

    Parameters
    ----------
    app : ASGI application
        What is guarded; sees paths without the token.
    token : str
        First part of every path.
    hosts : set of str
        What the header ``Host`` may say. A foreign name that was pointed to this machine is none of these.
    """

    def __init__(self, app, token, hosts):
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope, receive, send):
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
        _, token, *rest = (scope["path"] + "/").split("/", 2)
        refusal = self._refusal(headers, token)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if len(body) > _MAX_BODY:
                await _refuse(send, 413, "The request is too large.")
                return
            if not message.get("more_body"):
                break
        path = "/" + (rest[0].rstrip("/") if rest else "")
        scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, _given(body, receive), _hardened(send))

    def _refusal(self, headers, token):
        if headers.get("host") not in self._hosts:
            return 421, "This address is not of the page."
        if "origin" in headers and headers["origin"] not in {f"http://{host}" for host in self._hosts}:
            return 403, "Other pages may not talk to this one."
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return 403, "The address lacks its token: take it as it was printed."
        if not headers.get("content-length", "0").isdigit() or int(headers.get("content-length", 0)) > _MAX_BODY:
            return 413, "The request is too large."
        return None


def _given(body, receive):
    """A ``receive`` that gives a body that was read already, then what comes."""
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again():
        return given.pop() if given else await receive()

    return receive_again


def _hardened(send):
    async def send_with_headers(message):
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", ()),
                (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"),
                (b"x-content-type-options", b"nosniff"),
                (b"referrer-policy", b"no-referrer"),
                (b"cache-control", b"no-store"),
            ]
        await send(message)

    return send_with_headers


async def _refuse(send, status, text):
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
