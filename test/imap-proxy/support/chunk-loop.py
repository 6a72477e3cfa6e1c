"""Fetches every message of INBOX as Thunderbird does: pieces of 64 KiB above a threshold of 96 KiB.

Arguments: port, login. The password is on standard input. Prints a line for each message: UID, announced size, sum
of the pieces, SHA-256 of the pieces, SHA-256 of BODY[]. Ends with an error where Thunderbird would drop a message.
"""

import hashlib
import imaplib
import re
import sys

PIECE = 64 * 1024
THRESHOLD = 96 * 1024

imap = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
imap.login(sys.argv[2], sys.stdin.readline().rstrip("\n"))
imap.select("INBOX", readonly=True)
listing = "(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Content-Type)])"
_, found = imap.uid("FETCH", "1:*", listing)
sizes = {}
for item in found:
    if isinstance(item, tuple):
        head = item[0].decode("latin-1")
        uid = re.search(r"UID (\d+)", head).group(1)
        sizes[uid] = int(re.search(r"RFC822\.SIZE (\d+)", head).group(1))
for uid, size in sizes.items():
    pieces = b""
    origin = 0
    step = PIECE if size > THRESHOLD else size + 1
    while True:
        _, data = imap.uid("FETCH", uid, f"(UID RFC822.SIZE BODY.PEEK[]<{origin}.{step}>)")
        piece = data[0][1]
        pieces += piece
        origin += len(piece)
        if len(piece) < step:
            break
    if origin < size:
        sys.exit(f"message {uid} ends before its size")
    _, data = imap.uid("FETCH", uid, "(UID BODY.PEEK[])")
    print(uid, size, len(pieces), hashlib.sha256(pieces).hexdigest(), hashlib.sha256(data[0][1]).hexdigest())
imap.logout()
