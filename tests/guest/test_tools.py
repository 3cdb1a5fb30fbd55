"""The guest's own small commands, run here by the shell that is at hand."""

import base64
import http.server
import os
import subprocess
import sys
import threading
from importlib.resources import files

import pytest

import aerostat.guest

COMMANDS = files(aerostat.guest) / "files" / "root"


class Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps what was asked; answers by the path."""

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/there")
            self.end_headers()
        elif self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"6\r\nchunk \r\n4;x=y\r\nend\n\r\n0\r\n\r\n")
        else:
            failing = self.path == "/busy" and len(self.server.seen) < 3
            self.send_response(503 if failing or self.path == "/broken" else 200)
            self.end_headers()
            self.wfile.write(b"answer\n")

    do_GET = do_POST = do_PUT = do_HEAD = _answer

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.seen = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# busybox's nc, in so far as the guest's curl uses it: it ends when the other side ends.
NC = f"""\
#!{sys.executable}
import os, socket, sys, threading
try:
    line = socket.create_connection((sys.argv[-2], int(sys.argv[-1])), 10)
except OSError:
    sys.exit(1)
def send():
    while data := os.read(0, 65536):
        line.sendall(data)
threading.Thread(target=send, daemon=True).start()
while data := line.recv(65536):
    os.write(1, data)
os._exit(0)
"""


@pytest.fixture
def curl(tmp_path):
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "nc").write_text(NC)
    (commands / "nc").chmod(0o755)
    env = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        done = subprocess.run(
            ["sh", str(COMMANDS / "bin/curl"), *arguments],
            input=stdin,
            capture_output=True,
            timeout=30,
            check=False,
            env=env,
        )
        return done.returncode, done.stdout.decode()

    return run


def test_it_signals_a_wait_condition_as_the_handle_says(server, curl):
    status, said = curl(
        *("-i", "-X", "POST", "-H", "X-Auth-Token: abc", "-H", "Content-Type: application/json"),
        *("-H", "Accept: application/json", server.url + "/v1/signal?x=1&y=2"),
        *("--data-binary", '{"status": "SUCCESS"}'),
    )
    assert status == 0
    assert said.startswith("HTTP/1.0 200 OK")
    assert said.endswith("\r\n\r\nanswer\n")
    method, path, headers, body = server.seen[0]
    assert (method, path, body) == ("POST", "/v1/signal?x=1&y=2", b'{"status": "SUCCESS"}')
    assert headers["X-Auth-Token"] == "abc"
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept"] == "application/json"
    assert headers["Host"] == server.url.removeprefix("http://")


def test_form_data_is_joined_and_files_are_sent_as_they_are(server, curl, tmp_path):
    assert curl("-s", "-d", "a=1", "--data", "b=2", server.url) == (0, "answer\n")
    assert server.seen[0][3] == b"a=1&b=2"
    assert server.seen[0][2]["Content-Type"] == "application/x-www-form-urlencoded"
    content = os.urandom(200_000)
    (tmp_path / "file").write_bytes(content)
    curl("-s", "--data-binary", f"@{tmp_path / 'file'}", server.url)
    assert server.seen[1][3] == content
    curl("-s", "-T", str(tmp_path / "file"), server.url)
    assert (server.seen[2][0], server.seen[2][3]) == ("PUT", content)
    curl("-s", "--data-binary", "@-", server.url, stdin=b"one\ntwo\n")
    assert server.seen[3][3] == b"one\ntwo\n"


def test_letters_may_stand_together(server, curl, tmp_path):
    assert curl("-fsSko", str(tmp_path / "out"), "-XPUT", server.url) == (0, "")
    assert server.seen[0][0] == "PUT"
    assert (tmp_path / "out").read_text() == "answer\n"


def test_it_fails_as_curl_fails(server, curl):
    assert curl("-s", server.url + "/broken") == (0, "answer\n")
    assert curl("-sf", server.url + "/broken") == (22, "")
    assert curl("-s", "http://127.0.0.1:1/")[0] == 7
    assert curl("-s", "--no-such-option", server.url)[0] == 2
    assert curl("-s")[0] == 2
    assert curl("-s", "https://127.0.0.1/")[0] == 1


def test_it_tries_again_while_the_server_is_busy(server, curl):
    assert curl("-sf", "--retry", "5", "--retry-delay", "0", server.url + "/busy") == (0, "answer\n")
    assert len(server.seen) == 3


def test_it_follows_and_unpacks(server, curl):
    assert curl("-s", server.url + "/chunked") == (0, "chunk end\n")
    assert curl("-sL", "-w", "%{http_code}", server.url + "/moved") == (0, "answer\n200")
    assert [path for _, path, _, _ in server.seen] == ["/chunked", "/moved", "/there"]
    assert curl("-sI", server.url)[1].startswith("HTTP/1.0 200")


ARCHIVE = """\
Content-Type: multipart/mixed; boundary="===outer=="
MIME-Version: 1.0

--===outer==
Content-Type: text/cloud-config; charset="us-ascii"

hostname: x
--===outer==
Content-Type: text/x-shellscript; charset="utf-8"
MIME-Version: 1.0
Content-Transfer-Encoding: base64

{encoded}
--===outer==
Content-Type: multipart/mixed; boundary="inner"

--inner
Content-Type: text/x-shellscript

#!/bin/sh
echo two

--inner--
--===outer==--
"""


def test_scripts_are_taken_out_of_a_mime_archive(tmp_path):
    encoded = base64.encodebytes(b"#!/bin/sh\necho one\n").decode()
    archive = ARCHIVE.format(encoded=encoded).replace("\n", "\r\n")
    command = ["sh", str(COMMANDS / "sbin/mime-scripts"), str(tmp_path)]
    subprocess.run(command, input=archive.encode(), check=True)
    parts = sorted(tmp_path.iterdir())
    assert [path.read_text().split()[-1] for path in parts] == ["one", "two"]
    assert all(path.read_text().startswith("#!/bin/sh\n") for path in parts)
