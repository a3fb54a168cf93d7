"""The server of the page: which address does what, and what it refuses.

It answers this machine only. A page of another origin can neither read from it (no CORS, and a
session has a name that cannot be guessed) nor reach it by a name of its own (the ``Host`` header is
checked, against DNS rebinding), and nothing on the page can reach another origin (the policy).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cranium.demo import results
from cranium.demo.parcel import Parcel
from cranium.demo.samples import ATTRIBUTION, list_samples, read_sample, thumbnail
from cranium.demo.sessions import DONE, WRITING, Entry, Limits, Refused, Session, Sessions
from cranium.demo.worker import UPLOAD, Segment, Worker
from cranium.inference.spec import NetworkSpec
from cranium.version import __version__
from cranium.visualization.overlay import COLOURS, CONVENTION, FILL, PREDICTION
from cranium.windows import BRAIN, Window

HOSTS = ('127.0.0.1', 'localhost')

HEADERS = {
    'Content-Security-Policy': (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    'Cache-Control': 'no-store',  # a scan does not stay in the browser's cache
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}


def make_app(
    segment: Segment,
    network: NetworkSpec,
    limits: Limits | None = None,
    window: Window = BRAIN,
) -> Starlette:
    """Make the application; its folder and its thread live as long as it is served.

    Args:
        segment (Callable): Such as ``Segmenter.segment_scan``.
        network (NetworkSpec): What segments; the page names it.
        limits (Limits, optional): Defaults to :class:`Limits` as it is.
        window (Window): What 8-bit pictures are taken for. Defaults to the brain window.
    """
    demo = Demo(segment, network, limits or Limits(), window)
    return Starlette(
        routes=[
            Route('/', demo.page),
            Mount('/static', StaticFiles(packages=[('cranium.demo', 'static')])),
            Route('/samples/{patient}.png', demo.thumbnail),
            Route('/sessions', demo.open, methods=['POST']),
            Route('/sessions/{session}', demo.show),
            Route('/sessions/{session}/close', demo.close, methods=['POST']),
            Route('/sessions/{session}/uploads', demo.upload, methods=['POST']),
            Route('/sessions/{session}/samples/{patient}', demo.sample, methods=['POST']),
            Route('/sessions/{session}/scans/{scan:int}', demo.scan),
            Route('/sessions/{session}/scans/{scan:int}', demo.remove, methods=['DELETE']),
            Route('/sessions/{session}/scans/{scan:int}/slices/{slice:int}', demo.slice),
            Route('/sessions/{session}/scans/{scan:int}/files/{name}', demo.file),
        ],
        middleware=[
            Middleware(_Guard),
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
        exception_handlers={Refused: _refuse, HTTPException: _http_error},
        lifespan=demo.lifespan,
    )


class Demo:
    """What the addresses do; see :func:`make_app`."""

    def __init__(
        self, segment: Segment, network: NetworkSpec, limits: Limits, window: Window
    ) -> None:
        self.segment, self.network, self.limits, self.window = segment, network, limits, window

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Hold the folder and the thread; forget pages that were left."""
        with TemporaryDirectory(prefix='cranium-demo-', ignore_cleanup_errors=True) as folder:
            self.sessions = Sessions(Path(folder), self.limits)
            self.worker = Worker(self.segment, self.network, self.limits, self.window)
            self.worker.start()
            watch = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                watch.cancel()
                self.sessions.close_all()
                await run_in_threadpool(self.worker.stop)

    async def page(self, request: Request) -> Response:
        """The page."""
        environment = Environment(
            loader=PackageLoader('cranium.demo'), autoescape=True, undefined=StrictUndefined
        )
        text = environment.get_template('demo.html.jinja').render(
            version=__version__,
            network=self.network.name,
            window=self.window,
            limits=asdict(self.limits),
            samples=await run_in_threadpool(list_samples),
            attribution=ATTRIBUTION,
            convention=CONVENTION,
            colour=COLOURS[PREDICTION],
            fill=round(100 * FILL[PREDICTION]),
        )
        return HTMLResponse(text)

    async def thumbnail(self, request: Request) -> Response:
        """A picture of a sample."""
        patient = self._sample(request)
        return Response(await run_in_threadpool(thumbnail, patient), media_type='image/png')

    async def open(self, request: Request) -> Response:
        """Open a session."""
        return JSONResponse({'session': self.sessions.open()}, 201)

    async def show(self, request: Request) -> Response:
        """List the scans of a session. The page asks again and again, so it is known to be open."""
        session = self._session(request)
        return JSONResponse({'scans': [entry.summary() for entry in session.entries]})

    async def close(self, request: Request) -> Response:
        """Delete a session and all that it holds."""
        self.sessions.close(request.path_params['session'])
        return Response(status_code=204)

    async def upload(self, request: Request) -> Response:
        """Take the files of an upload; what is in them is found out by the worker."""
        session = self._session(request)
        parcel = Parcel(request.stream(), self.limits)
        entry = None
        try:
            await parcel.open()
            names = dict.fromkeys(path.parts[0] for path in parcel.paths)
            more = f' and {len(names) - 1} more' if len(names) > 1 else ''
            (entry,) = session.add(f'{next(iter(names))}{more}', limit=self.limits.scans)
            folder = entry.folder / UPLOAD
            folder.mkdir()
            await parcel.save(folder)
        except (Refused, OSError, ClientDisconnect) as error:
            if entry is not None:
                session.drop(entry)
            if isinstance(error, Refused):
                raise
            reason = error.strerror if isinstance(error, OSError) else 'it broke off'
            msg = f'the upload cannot be stored ({reason}); make room and try again'
            raise Refused(507, msg) from None
        self.worker.upload(session, entry, folder)
        return JSONResponse({'scan': entry.number}, 202)

    async def sample(self, request: Request) -> Response:
        """Take a scan of the sample."""
        session, patient = self._session(request), self._sample(request)
        (entry,) = session.add(f'sample {patient}', limit=self.limits.scans)
        self.worker.scan(session, entry, partial(read_sample, patient))
        return JSONResponse({'scan': entry.number}, 202)

    async def scan(self, request: Request) -> Response:
        """What was found in a scan."""
        _, findings = self._entry(request)
        return JSONResponse(findings)

    async def remove(self, request: Request) -> Response:
        """Take a scan from the list."""
        session = self._session(request)
        session.drop(session.find(request.path_params['scan']))
        return Response(status_code=204)

    async def slice(self, request: Request) -> Response:
        """A slice with mask and probability; see :func:`cranium.demo.results.read_slice`."""
        (entry, _), number = self._entry(request), request.path_params['slice']
        try:
            content = await run_in_threadpool(results.read_slice, entry.folder, number)
        except IndexError:
            raise Refused(404, f'{entry.name} has no slice {number + 1}') from None
        return Response(content, media_type='application/octet-stream')

    async def file(self, request: Request) -> Response:
        """A result to save."""
        (entry, findings), name = self._entry(request), request.path_params['name']
        known = [file['name'] for file in findings['files']]
        if name not in known:
            raise Refused(404, f'{entry.name} has no {name}; choose from {", ".join(known)}')
        return FileResponse(entry.folder / name, filename=name)

    def _session(self, request: Request) -> Session:
        return self.sessions.find(request.path_params['session'])

    def _entry(self, request: Request) -> tuple[Entry, dict[str, Any]]:
        """Return a scan, and what was found in it."""
        entry = self._session(request).find(request.path_params['scan'])
        if entry.findings is None or entry.state not in (WRITING, DONE):
            raise Refused(409, f'{entry.name} is {entry.state}; wait until it is done')
        return entry, entry.findings

    def _sample(self, request: Request) -> str:
        patient: str = request.path_params['patient']
        known = [sample.patient for sample in list_samples()]
        if patient not in known:
            raise Refused(404, f'no sample {patient}; choose from {", ".join(known)}')
        return patient

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(15, self.limits.idle_s / 4))
            self.sessions.expire()


class _Guard:
    """Refuses what a page of another origin asks to be done; adds :data:`HEADERS` to all."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope['type'] == 'http':
            headers = Headers(scope=scope)
            origin = headers.get('origin')
            if origin is not None and origin != f'http://{headers.get("host")}':
                refused = JSONResponse({'error': f'{origin} may ask nothing of this page'}, 403)
                await refused(scope, receive, send_with_headers)
                return
        await self.app(scope, receive, send_with_headers)


async def _refuse(request: Request, error: Any) -> Response:
    return JSONResponse({'error': str(error)}, error.status)


async def _http_error(request: Request, error: Any) -> Response:
    return JSONResponse({'error': error.detail}, error.status_code)
