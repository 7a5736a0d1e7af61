"""Flags and options of reading and writing."""

import select, socket, struct

from end import SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, pattern
from table import BYTES, case


@case(BYTES, "TCP_CORK holds back what is less than a segment")
class Cork:
    def server(t):
        s = t.accepted()
        t.meet()
        t.see("within 100 ms", t.readable(s, 0.05))
        t.meet()
        t.readable(s)
        t.settle()
        t.call("recv", s.recv, 100)

    def client(t):
        s = t.connected()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        t.call("send", s.send, b"head")
        t.meet()
        t.meet()
        t.call("send", s.send, b"body")
        t.call("uncork", s.setsockopt, socket.IPPROTO_TCP, socket.TCP_CORK, 0)


@case(BYTES, "MSG_MORE, then the rest")
class More:
    def server(t):
        s = t.accepted()
        t.see("recv", t.exactly(s, 8))

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"head", socket.MSG_MORE)
        t.call("send", s.send, b"body")
        t.call("recv", s.recv, 1)


@case(BYTES, "MSG_PEEK, also at the end")
class Peek:
    def server(t):
        s = t.accepted()
        t.call("peek", s.recv, 3, socket.MSG_PEEK)
        t.meet()
        t.settle()
        t.call("peek more", s.recv, 10, socket.MSG_PEEK)
        t.call("recv", s.recv, 2)
        t.call("peek", s.recv, 10, socket.MSG_PEEK)
        t.call("recv", s.recv, 10)
        t.call("peek at the end", s.recv, 10, socket.MSG_PEEK)
        t.call("recv at the end", s.recv, 10)

    def client(t):
        s = t.connected()
        s.sendall(b"abc")
        s.sendall(b"def")
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(BYTES, "MSG_WAITALL over three writes")
class WaitAll:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 9, socket.MSG_WAITALL)
        t.call("recv short of it, to the end", s.recv, 9, socket.MSG_WAITALL)
        t.call("recv at the end", s.recv, 9, socket.MSG_WAITALL)

    def client(t):
        s = t.connected()
        for part in (b"abc", b"def", b"ghi"):
            s.sendall(part)
            t.settle(0.05)
        s.sendall(b"jk")
        s.shutdown(socket.SHUT_WR)


@case(BYTES, "MSG_WAITALL with SO_RCVTIMEO, and MSG_DONTWAIT with nothing there")
class WaitAllTimeout:
    def server(t):
        s = t.accepted()
        t.call("recv without waiting", s.recv, 3, socket.MSG_DONTWAIT)
        t.meet()
        t.settle()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        t.took("recv of 9", 0.8, 3, s.recv, 9, socket.MSG_WAITALL)
        t.took("recv", 0.8, 3, s.recv, 9)
        t.meet()

    def client(t):
        s = t.connected()
        t.meet()
        t.call("send", s.send, b"abc")
        t.meet()


@case(BYTES, "MSG_TRUNC throws bytes away")
class Trunc:
    def server(t):
        s = t.accepted()
        t.readable(s)
        t.settle()
        t.see("thrown away", s.recv_into(bytearray(3), 3, socket.MSG_TRUNC))
        t.call("recv", s.recv, 10)

    def client(t):
        t.call("send", t.connected().send, b"abcdef")


@case(BYTES, "sendmsg and recvmsg with several buffers")
class Scatter:
    def server(t):
        s = t.accepted()
        t.readable(s)
        t.settle()
        buffers = [bytearray(2), bytearray(3), bytearray(5)]
        count, ancillary, flags, address = s.recvmsg_into(buffers)
        t.see("recvmsg", f"{count} {flags} {len(ancillary)} {address}")
        t.see("buffers", " ".join(b.decode() for b in buffers))

    def client(t):
        s = t.connected()
        t.call("sendmsg", s.sendmsg, [b"ab", b"", b"cde", b"fghij"])


@case(BYTES, "SIOCINQ and SIOCOUTQ")
class Queues:
    def server(t):
        s = t.accepted()
        t.ioctl("SIOCINQ", s, SIOCINQ)
        t.meet()
        t.meet()
        t.settle(0.3)
        t.ioctl("SIOCINQ with bytes", s, SIOCINQ)
        t.call("recv", s.recv, 400)
        t.ioctl("SIOCINQ after it", s, SIOCINQ)
        t.meet()
        t.settle(0.3)
        s.recv(600)
        t.ioctl("SIOCINQ at the end", s, SIOCINQ)
        t.call("recv at the end", s.recv, 10)

    def client(t):
        s = t.connected()
        t.ioctl("SIOCOUTQ", s, SIOCOUTQ)
        t.meet()
        t.call("send", s.send, pattern(1000))
        t.meet()
        t.settle(0.3)
        t.ioctl("SIOCOUTQ when it arrived", s, SIOCOUTQ)
        t.ioctl("SIOCOUTQNSD", s, SIOCOUTQNSD)
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(BYTES, "TCP_INQ tells what is left beside each read")
class InQ:
    def server(t):
        s = t.accepted()
        s.setsockopt(socket.IPPROTO_TCP, 36, 1)
        t.readable(s)
        t.settle()
        data, ancillary, _, _ = s.recvmsg(4, 100)
        t.see("recvmsg", data)
        t.see("left", [struct.unpack("i", value)[0] for _, kind, value in ancillary if kind == 36])

    def client(t):
        t.call("send", t.connected().send, b"abcdefghij")


@case(BYTES, "SO_RCVLOWAT: poll waits for so many bytes")
class LowWater:
    def server(t):
        s = t.accepted()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
        t.see("SO_RCVLOWAT", s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))
        t.meet()
        t.events("poll with 5 bytes", s, wait=0.3, mask=select.POLLIN)
        t.meet()
        t.await_events("poll with 10", s, select.POLLIN)
        t.call("recv", s.recv, 100)
        t.meet()
        t.await_events("poll at the end", s, select.POLLIN)

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"abcde")
        t.meet()
        t.meet()
        t.call("send", s.send, b"fghij")
        t.meet()
        s.shutdown(socket.SHUT_WR)
