"""A DNS server for one name: names.py ADDRESS NAME ANSWER. What a resolver does for a real one."""

import socket, sys

own, name, answer = sys.argv[1:]
question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((own, 53))
while True:
    query, caller = server.recvfrom(512)
    known = query[12 : 12 + len(question)].lower() == question
    header = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(answer) if known else b""
    server.sendto(header + query[12 : 12 + len(question)] + record, caller)
