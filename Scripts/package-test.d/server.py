"""Answers each line with the same line, on port 3211 of the instance."""
import socketserver


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 1024


Server(("0.0.0.0", 3211), Echo).serve_forever()
