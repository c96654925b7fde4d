"""The page on which a person answers: a small server of one session, for browsers on this machine."""

import asyncio
import json
import secrets
import socket
import threading
import webbrowser
from pathlib import Path

import numpy as np

from ._guard import Guard
from ._pictures import SceneView, class_png, uncertainty_png
from ._state import ConflictError

_FILES = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_HELD = 20  # seconds that a question for news is held
_LOOK_AGAIN = 0.02
_HISTORY = 200
_MAX_DETAIL = 2**20  # pixels


class Page:
    """A session as requests see it.

    Parameters
    ----------
    open_session : callable
        Takes ``tell`` and gives the session; called in a thread, while the page shows how far it is.
    """

    def __init__(self, open_session):
        self._open, self.session, self._view = open_session, None, None
        self._stage, self._error = ("opening the scene", 0.0), None
        self._work, self._closed = threading.Event(), False
        self._exported, self._lock = {}, threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        """End the session; what was said is on the disk already."""
        self._closed = True
        self._work.set()
        self._thread.join()
        if self.session is not None:
            self.session.close()

    def _run(self):
        """Open the session, then teach whenever there is something to teach."""
        try:
            session = self._open(lambda stage, share: setattr(self, "_stage", (stage, 0.8 * share)))
            self._stage = ("the picture", 0.85)
            self._view = SceneView(session.scene)
            self._means = _class_means(session)
            session.update()
            self.session = session
            while not self._closed:
                self._work.wait()
                self._work.clear()
                session.update()
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"
            raise

    def version(self):
        """What differs where the state differs."""
        return [self._error, *(self._stage if self.session is None else (self.session.version,))]

    def state(self):
        """All that the page shows, but for pictures."""
        if self.session is None or self._error:
            stage, share = self._stage
            return {"version": self.version(), "ready": False, "stage": stage, "share": share, "error": self._error}
        session, progress = self.session, self.session.progress()
        query = session.latest_query
        return {
            "version": self.version(), "ready": True, "seq": session.state()["seq"], "map": session.map_version,
            "shape": session.scene.scene_shape, "step": self._view.step, "bands": session.scene.band_names,
            "shown": self._view.default_bands(), "classes": session.classes, "query": query,
            "history": session.history[-_HISTORY:], "progress": progress, "busy": session.is_behind,
            "exported": sorted(self._exported),
        }  # fmt: skip

    def act(self, said):
        """Do what a browser says, a dict with ``do``."""
        session, do, seen = self.session, said.get("do"), said.get("seen")
        if seen is not None and not _is_int(seen):
            raise ValueError("seen must be a whole number.")
        if do in ("answer", "skip") and not _is_int(said.get("pixel")):
            raise ValueError("pixel must be a whole number.")
        if do == "answer":
            session.answer(said["pixel"], said.get("class"), seen=seen)
        elif do == "skip":
            session.skip(said["pixel"], seen=seen)
        elif do == "add":
            session.add(said.get("class"), polygon=said.get("polygon"), seen=seen)
        elif do == "undo":
            session.undo(seen=seen)
        elif do == "class":
            session.add_class(said.get("name"))
        elif do == "rename":
            session.rename(said.get("class"), said.get("name"))
        elif do == "color":
            session.recolor(said.get("class"), said.get("color"))
        elif do == "export":
            with self._lock:
                self._exported = {path.name: path for path in session.export().values()}
        else:
            raise ValueError("There is no such action.")
        self._work.set()

    def picture(self, kind, query):
        """PNG of "scene", "classes" or "uncertainty"."""
        session, step = self.session, self._view.step
        if kind == "classes":
            return class_png(session.map()[::step, ::step], [known["color"] for known in session.classes])
        if kind == "uncertainty":
            return uncertainty_png(session.uncertainty()[::step, ::step])
        bands, cut = [int(band) for band in query["bands"].split(",")], float(query["cut"])
        if len(bands) != 3 or not all(0 <= band < session.scene.n_bands for band in bands) or not 0 <= cut < 50:
            raise ValueError("A picture is of three bands of the scene, cut between 0 and 50.")
        if "block" not in query:
            return self._view.picture(bands, cut)
        top, bottom, left, right = (int(side) for side in query["block"].split(","))
        if (bottom - top) * (right - left) > _MAX_DETAIL:
            raise ValueError("That is too much to be shown at once.")
        return self._view.detail(bands, cut, (top, bottom, left, right))

    def spectrum(self, pixel):
        """Values of a pixel and the means of the classes, None where there is none."""
        row, column = self.session.scene.rows_to_pixels([pixel])[0].tolist()
        values = self.session.scene.read((row, row + 1, column, column + 1))[:, 0, 0]
        return {"pixel": pixel, "values": _plain(values), "means": [_plain(mean) for mean in self._means()]}

    def exported(self, name):
        """Path of an exported file by its name."""
        return self._exported[name]


def _class_means(session):
    """A function that gives the mean spectrum of the labels of each class; pixels are read once."""
    spectra = {}

    def means():
        labels, names = session.labels, [known["name"] for known in session.classes]
        width = session.scene.scene_shape[1]
        chosen = {name: [pixel for pixel, label in labels.items() if label == name][-100:] for name in names}
        for pixel in (pixel for pixels in chosen.values() for pixel in pixels if pixel not in spectra):
            row, column = divmod(pixel, width)
            spectra[pixel] = session.scene.read((row, row + 1, column, column + 1))[:, 0, 0]
        return [np.mean([spectra[pixel] for pixel in chosen[name]], axis=0) if chosen[name] else None for name in names]

    return means


def _plain(values):
    return None if values is None else [None if np.isnan(value) else float(value) for value in values]


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def application(page, token, hosts):
    """The ASGI application of a page, guarded."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    async def answered(function, *arguments):
        """What a function gives, in a thread; errors of the input as a response."""
        if page.session is None:
            return PlainTextResponse("The session is still being prepared.", 503)
        try:
            return await run_in_threadpool(function, *arguments)
        except ConflictError as error:
            return PlainTextResponse(str(error), 409)
        except (ValueError, IndexError, TypeError, KeyError, OverflowError) as error:
            return PlainTextResponse(str(error), 400)
        except (OSError, ImportError) as error:
            return PlainTextResponse(str(error), 500)

    def file(name):
        async def give(request):
            return FileResponse(Path(__file__).parent / "page" / (name or "index.html"), media_type=_FILES[name])

        return give

    async def state(request):
        known = request.query_params.get("version")
        for _ in range(int(_HELD / _LOOK_AGAIN)):
            if known is None or json.dumps(page.version(), separators=(",", ":")) != known:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        return JSONResponse(await run_in_threadpool(page.state))

    async def do(request):
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return PlainTextResponse("Actions are JSON.", 415)
        try:
            said = await request.json()
        except ValueError:
            return PlainTextResponse("That is no JSON.", 400)
        if not isinstance(said, dict):
            return PlainTextResponse("An action is a JSON object.", 400)
        response = await answered(page.act, said)
        return JSONResponse(page.version()) if response is None else response

    async def picture(request):
        given = await answered(page.picture, request.path_params["kind"], dict(request.query_params))
        return given if isinstance(given, Response) else Response(given, media_type="image/png")

    async def spectrum(request):
        given = await answered(page.spectrum, request.path_params["pixel"])
        return given if isinstance(given, Response) else JSONResponse(given)

    async def exported(request):
        given = await answered(page.exported, request.path_params["name"])
        return given if isinstance(given, Response) else FileResponse(given, filename=given.name)

    routes = [
        *(Route(f"/{name}", file(name)) for name in _FILES),
        Route("/state", state),
        Route("/do", do, methods=["POST"]),
        Route("/picture/{kind}.png", picture),
        Route("/spectrum/{pixel:int}", spectrum),
        Route("/exported/{name}", exported),
    ]
    return Guard(Starlette(routes=routes), token, hosts)


def serve(open_session, *, host="127.0.0.1", port=0, open_browser=True, announce=print):
    """Serve the page of a session until it is interrupted.

    Parameters
    ----------
    open_session : callable
        Takes ``tell``, as :class:`LabelingSession` does, and gives the session.
    host : str, default="127.0.0.1"
        Address to listen on: by default only this machine reaches it.
    port : int, default=0
        Port; 0 is any that is free.
    open_browser : bool, default=True
        Open the page in a browser.
    announce : callable, default=print
        Is told the address.

    Raises
    ------
    ImportError
        If the extra ``label`` is not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ImportError(
            "The page needs starlette and uvicorn, which are not installed: pip install 'sklearn_geoal[label]'."
        ) from error
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen()  # whoever is faster than the server waits
    port, token = bound.getsockname()[1], secrets.token_urlsafe(24)
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", host)}
    page = Page(open_session)
    address = f"http://{host}:{port}/{token}/"
    announce(address)
    if open_browser:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    # no longer than a held question: tabs that are open do not keep the server from ending
    config = uvicorn.Config(application(page, token, hosts), log_level="warning", timeout_graceful_shutdown=1)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    finally:
        page.close()
