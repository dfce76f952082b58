"""A web server on 127.0.0.1 that serves one file, also badly."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What is served, how, and what was asked for.

    ``content`` is the file; ``cut`` ends answers after so many bytes of it, though the whole length was promised;
    ``ranges`` says whether parts may be asked for; ``asked`` has the Range header of every request.
    """

    def __init__(self, content):
        self.content, self.cut, self.ranges, self.asked, self.url = content, None, True, [], ""

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start and start >= len(self.content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        request.wfile.write(self.content[start : self.cut])
        request.close_connection = True


@contextlib.contextmanager
def serving(content):
    served = Served(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/file.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
