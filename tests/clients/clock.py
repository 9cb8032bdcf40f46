"""A time client as tutorials have it: one datagram with a format, or an empty one, and one back."""
import socket
import sys

host, port, request = sys.argv[1], int(sys.argv[2]), sys.argv[3]

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto(request.encode(), (host, port))
data, server = sock.recvfrom(1024)
print(data.decode())
