"""A server outside every deployment: https on port 443 with the key and certificate of a directory, http on 80. It
answers with its container's address. server.py DIRECTORY"""

import http.server, socket, ssl, sys, threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"from {self.connection.getsockname()[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{sys.argv[1]}/certificate.pem", f"{sys.argv[1]}/key.pem")
plain = http.server.ThreadingHTTPServer(("0.0.0.0", 80), Handler)
secure = http.server.ThreadingHTTPServer(("0.0.0.0", 443), Handler)
secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=plain.serve_forever, daemon=True).start()
print(socket.gethostbyname(socket.gethostname()), flush=True)
secure.serve_forever()
