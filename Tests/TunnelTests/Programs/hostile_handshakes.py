"""hostile_handshakes.py PORT DIRECTORY CASE: does to the tunnel port what CASE says, and prints what
came of it: "answered" where a tunnel came about and answers prefaces, "alert NAME", "closed", "reset",
or "silent" where nothing happened for 10 s (on an emulated machine longer). DIRECTORY has client.crt and client.key, which the port
accepts, and other.crt and other.key, which it does not.

Without CASE, prints the names of all cases."""

import os, select, socket, ssl, struct, sys, time

from tlslite.api import HandshakeSettings, TLSAbruptCloseError, TLSConnection, TLSRemoteAlert
from tlslite.api import X509CertChain, parsePEMKey
from tlslite.constants import AlertDescription, AlertLevel, ContentType, HandshakeType
from tlslite.messages import Alert, Message

port, directory = 0, ""
# An emulated machine's tunnel port is told to be more patient, too.
PATIENCE = 9 + int(os.environ.get("ISTBPF_TEST_SLOWNESS", 1))
cases = {}


def case(function):
    cases[function.__name__] = function


def dial():
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


# What the peer says to bytes that are no TLS of ours.


def raw(*pieces, pause=0.0):
    """Sends the pieces and tells the answer: an alert in clear, or the end."""
    with dial() as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        except OSError:
            pass  # The answer is there already.
        return answer(connection)


def answer(connection):
    data = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return "reset" if not data else alert(data) or "reset"
        except TimeoutError:
            return "silent"
        data += more
        if not more:
            return alert(data) or "closed"


def alert(data):
    """The name of the first alert in clear among the records of data."""
    while len(data) >= 5:
        length = struct.unpack(">H", data[3:5])[0]
        if data[0] == ContentType.alert and length == 2:
            return "alert " + AlertDescription.toStr(data[6])
        data = data[5 + length:]
    return None


def record(kind, payload, version=0x0301, length=None):
    return struct.pack(">BHH", kind, version, len(payload) if length is None else length) + payload


def hello():
    """A good ClientHello's handshake message, as OpenSSL makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()[5:]


# TLS as tlslite-ng speaks it, good or nearly so.


def credentials(name):
    chain = X509CertChain()
    with open(f"{directory}/{name}.crt") as file:
        chain.parsePemList(file.read())
    with open(f"{directory}/{name}.key") as file:
        return chain, parsePEMKey(file.read(), private=True)


def settings(**values):
    result = HandshakeSettings()
    result.minVersion = result.maxVersion = (3, 4)
    # It would compress the certificate though the server cannot read that.
    result.certificate_compression_send = result.certificate_compression_receive = []
    for name, value in values.items():
        setattr(result, name, value)
    return result


def tell(action):
    try:
        return action()
    except TLSRemoteAlert as error:
        return "alert " + AlertDescription.toStr(error.description)
    except (TLSAbruptCloseError, BrokenPipeError):
        return "closed"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "silent"


def tunnel(after=lambda connection: None, certificate="client", key=None, then=None, **values):
    """A handshake, then `after`, then a preface, and what is said to it."""

    def body():
        with dial() as plain:
            connection = TLSConnection(plain)
            connection.plain = plain
            connection.ignoreAbruptClose = False
            chain, secret = credentials(certificate) if certificate else (None, None)
            if key:
                secret = credentials(key)[1]
            connection.handshakeClientCert(chain, secret, settings=settings(**values))
            after(connection)
            return (then or preface)(connection)

    return tell(body)


def preface(connection):
    """A preface of version 9, which is answered by EPROTONOSUPPORT; unless an alert comes before, which
    a write could lose: the port may be closed already."""
    if not select.select([connection.plain], [], [], 0.5)[0]:
        connection.write(bytes([6, 0, 0, 2, 8, 9]))
    data = connection.read(min=4, max=4)
    return "answered" if data[:1] == b"\x07" else "closed" if not data else f"said {data}"


def send(connection, message):
    for _ in connection._sendMsg(message):
        pass


def handshake_message(connection, kind, payload):
    body = bytes([kind]) + len(payload).to_bytes(3, "big") + payload
    send(connection, Message(ContentType.handshake, bytearray(body)))


@case
def good():
    return tunnel()


@case
def tls_1_2():
    return tunnel(minVersion=(3, 1), maxVersion=(3, 3))


@case
def tls_1_0():
    return tunnel(minVersion=(3, 1), maxVersion=(3, 1))


@case
def ssl_3():
    return tunnel(minVersion=(3, 0), maxVersion=(3, 0))


@case
def ssl_2():
    return raw(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + os.urandom(37))


@case
def no_certificate():
    return tunnel(certificate=None)


@case
def pre_shared_key_nobody_knows():
    return tunnel(certificate=None, pskConfigs=[(b"0123456789abcdef", b"k" * 32, "sha256")])


@case
def unknown_authority():
    return tunnel(certificate="other")


@case
def key_of_another_certificate():
    return tunnel(key="other")


@case
def only_chacha20():
    return tunnel(cipherNames=["chacha20-poly1305"])


@case
def close_notify_at_once():
    return tunnel(lambda c: send(c, Alert().create(AlertDescription.close_notify, AlertLevel.warning)))


@case
def reset_in_the_handshake():
    with dial() as connection:
        connection.sendall(record(22, hello()))
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "reset"


@case
def fatal_alert_at_once():
    return raw(record(21, bytes([2, 40])))


@case
def thousand_warnings():
    return raw(record(21, bytes([1, 90])) * 1000)


@case
def hello_in_single_bytes():
    message = hello()
    return raw(*[record(22, message[i:i + 1]) for i in range(len(message))], record(22, b"\x00"))


@case
def hello_that_stops():
    return raw(record(22, hello())[:100])


@case
def hello_one_byte_a_second():
    return raw(*[bytes([byte]) for byte in record(22, hello())[:12]], pause=1)


@case
def hello_of_16_mib():
    return raw(record(22, b"\x01\xff\xff\xff" + bytes(16000)), *[record(22, bytes(16000))] * 20)


@case
def record_too_long():
    return raw(record(22, hello() + bytes(20_000), length=20_000))


@case
def record_of_unknown_type():
    return raw(record(99, b"12345"))


@case
def empty_records():
    return raw(record(22, b"") * 1000)


@case
def data_in_clear():
    return raw(record(22, hello()), record(23, b"in clear" * 4))


@case
def change_cipher_specs():
    return raw(record(22, hello()), record(20, b"\x01") * 1000)


@case
def hello_twice():
    message = hello()
    return raw(record(22, message), record(22, message))


@case
def early_data():
    """Early data under a session that never was: rejected, and the handshake goes on without."""
    message = bytearray(hello())
    identity = os.urandom(32)
    key = struct.pack(">HHH", 41, 2 + 2 + 32 + 4 + 2 + 33, 2 + 32 + 4) + struct.pack(">H", 32) \
        + identity + bytes(4) + struct.pack(">HB", 33, 32) + os.urandom(32)
    extensions = struct.pack(">HH", 42, 0) + key
    # The extensions' length stands behind 4 + 2 + 32 bytes, session, suites and compression.
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack(">H", message[at:at + 2])[0]
    at += 1 + message[at]
    length = struct.unpack(">H", message[at:at + 2])[0] + len(extensions)
    message[at:at + 2] = struct.pack(">H", length)
    message += extensions
    message[1:4] = (len(message) - 4).to_bytes(3, "big")
    return raw(record(22, bytes(message)), record(23, os.urandom(64), 0x0303) * 500)


@case
def key_update():
    return tunnel(lambda c: [None for _ in c.send_keyupdate_request(0)])


@case
def key_update_asked_of_the_peer():
    return tunnel(lambda c: [None for _ in c.send_keyupdate_request(1)])


@case
def thousand_key_updates():
    def flood(connection):
        for _ in range(1000):
            for _ in connection.send_keyupdate_request(0):
                pass

    return tunnel(flood)


@case
def renegotiation():
    return tunnel(lambda c: handshake_message(c, HandshakeType.client_hello, hello()[4:]))


@case
def session_ticket_from_the_client():
    return tunnel(lambda c: handshake_message(
        c, HandshakeType.new_session_ticket, bytes(8) + b"\x01x\x00\x04abcd\x00\x00"))


@case
def certificate_request_from_the_client():
    return tunnel(lambda c: handshake_message(c, HandshakeType.certificate_request, b"\x00\x00\x00"))


@case
def certificate_after_the_handshake():
    return tunnel(lambda c: handshake_message(c, HandshakeType.certificate, bytes(4)))


@case
def handshake_message_of_unknown_type():
    return tunnel(lambda c: handshake_message(c, 99, b"?"))


@case
def damaged_record():
    def damage(connection):
        connection.plain.sendall(record(23, os.urandom(64), 0x0303))

    return tunnel(damage)


@case
def record_in_clear_after_the_handshake():
    return tunnel(lambda c: c.plain.sendall(record(22, hello())))


@case
def change_cipher_spec_after_the_handshake():
    return tunnel(lambda c: c.plain.sendall(record(20, b"\x01", 0x0303)))


if len(sys.argv) == 1:
    print("\n".join(cases))
else:
    port, directory = int(sys.argv[1]), sys.argv[2]
    print(cases[sys.argv[3]]())
