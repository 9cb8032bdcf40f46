"""TCP clients as tutorials have them, several at once: connect, send, receive, and leave the connections open."""
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

clients = []
for number in range(count):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(5)
    s.connect((host, port))
    clients.append(s)

for said in [b"hello", b"hello again", "straße".encode()]:
    for s in clients:
        s.send(said)
    for s in clients:
        print(s.recv(1024).decode())
