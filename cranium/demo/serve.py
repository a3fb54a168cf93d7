"""Serving the page on this machine."""

import errno
import signal
import socket
import sys
import threading
import webbrowser

import click
import uvicorn
from starlette.applications import Starlette

from cranium.errors import CraniumError

HOST = '127.0.0.1'


def serve(app: Starlette, port: int, browser: bool) -> None:
    """Serve until interrupted.

    Args:
        app (Starlette): The application.
        port (int): 0: any that is free.
        browser (bool): Whether to open the page.

    Raises:
        CraniumError: The port is taken, or may not be used.
    """
    with listen(port) as listener:
        address = f'http://{HOST}:{listener.getsockname()[1]}/'
        click.echo(f'{address} on this machine only; Ctrl-C ends it and deletes what was uploaded')
        sys.stdout.flush()
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        server = uvicorn.Server(
            uvicorn.Config(app, log_level='warning', access_log=False, timeout_graceful_shutdown=2)
        )
        # The terminal has gone: end as by Ctrl-C, so that nothing is left on the disk.
        signal.signal(signal.SIGHUP, lambda *_: server.handle_exit(signal.SIGTERM, None))
        server.run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """Take a port of this machine.

    Raises:
        CraniumError: It is taken, or may not be used.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = 'is in use' if error.errno == errno.EADDRINUSE else 'is reserved'
        raise CraniumError(
            f'port {port} {why}; choose another: --port {port % 60000 + 1025}'
        ) from None
    return listener
