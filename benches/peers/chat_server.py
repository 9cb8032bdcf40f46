import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
members = set()
while True:
    message, address = server.recvfrom(2048)
    if message == b"^hb^":
        members.add(address)
    elif message.startswith(b"^list"):
        server.sendto(b"^token 0^", address)
    else:
        for member in members:
            if member != address:
                server.sendto(message, member)
