"""Style and script of the console: files of this package come in, routes that serve them from memory go out.

Their addresses hold a digest of what is in them, so that a browser may keep them for good, and gets new ones with a new version.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.web import guard

_HERE = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_PATH = "/static/{digest}/{name}"
_FOR_GOOD = "public, max-age=31536000, immutable"


class Assets:
    def __init__(self) -> None:
        files = sorted(path for path in _HERE.iterdir() if path.suffix in _TYPES)
        self._content = {path.name: path.read_bytes() for path in files}
        self._digest = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in self._content.items()}

    def url(self, name: str) -> str:
        return f"/static/{self._digest[name]}/{name}"

    def route(self) -> Route:
        return Route(_PATH, self._serve)

    async def _serve(self, request: Request) -> Response:
        request.scope[guard.ROUTE] = _PATH
        name = request.path_params["name"]
        content = self._content.get(name)
        if content is None or request.path_params["digest"] != self._digest[name]:
            return Response("not found", 404, media_type="text/plain")
        return Response(content, headers={"Content-Type": _TYPES[Path(name).suffix], "Cache-Control": _FOR_GOOD})
