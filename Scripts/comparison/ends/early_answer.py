"""early_answer.py PORT: answers each request 401 as soon as its header has come, and closes with the body unread."""
import socketserver
import sys

ANSWER = b"who are you?\n" * 10
HEADER = b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.request.recv(512)
            if not piece:
                return
            data += piece
        self.request.sendall(HEADER + ANSWER)
        self.request.close()

    def finish(self):
        """The base class's shutdown would have been refused: it is closed."""


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    def shutdown_request(self, request):
        request.close()


Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
