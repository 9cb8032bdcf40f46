"""The other kind of chat client: one datagram to register, and from then on it only listens."""
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
sock.sendto(b"register", (host, port))
for _ in range(count):
    data, _ = sock.recvfrom(1024)
    print(data.decode(), flush=True)
