"""slow_etcd.py ADDRESS PORT SECONDS OFFSET: answers as etcd does to /health, so late, by a clock that is so wrong."""
import email.utils, http.server, sys, time

seconds, offset = float(sys.argv[3]), float(sys.argv[4])


class Handler(http.server.BaseHTTPRequestHandler):
    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(time.time() + offset, usegmt=True)

    def do_GET(self):
        time.sleep(seconds)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"health":"true"}')


server = http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("ready", flush=True)
server.serve_forever()
