"""A proxy for HTTP's CONNECT on port 3128, which looks names up itself. Says its container's address."""

import socket, threading


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(client):
    with client, client.makefile("rb") as stream:
        method, target, _ = stream.readline().decode().split()
        while stream.readline().strip():
            pass
        host, port = target.rsplit(":", 1)
        try:
            if method != "CONNECT":
                raise OSError("only CONNECT")
            server = socket.create_connection((host, int(port)))
        except OSError as error:
            client.sendall(f"HTTP/1.1 502 {error}\r\n\r\n".encode())
            return
        client.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
        back = threading.Thread(target=copy, args=[server, client])
        back.start()
        copy(client, server)
        back.join()
        server.close()


listener = socket.create_server(("0.0.0.0", 3128), backlog=64)
print(socket.gethostbyname(socket.gethostname()), flush=True)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
