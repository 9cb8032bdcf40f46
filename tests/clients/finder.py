"""A discovery client as tutorials have it: `Notify` to the group, and whoever answers."""
import socket
import sys

interface = sys.argv[1]

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
sock.settimeout(5)
sock.sendto(b"Notify", ("224.0.0.1", 8001))
data, server = sock.recvfrom(1024)
print(server[0], data.decode())
