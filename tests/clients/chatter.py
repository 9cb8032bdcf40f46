"""A chat client as tutorials have it: connect, a heartbeat every few seconds, a text, what comes back, quit."""
import socket
import sys
import time

host, port, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
heartbeat_interval = float(sys.argv[4]) if len(sys.argv) > 4 else 3.0

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect((host, port))
sock.settimeout(heartbeat_interval)
sock.send(b"^hb^")
sock.send(text.encode())
deadline = time.time() + 3 * heartbeat_interval
while time.time() < deadline:
    try:
        print(sock.recv(1024).decode(), flush=True)
    except socket.timeout:
        sock.send(b"^hb^")
sock.send(b"quit")
