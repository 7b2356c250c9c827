"""Pictures from elsewhere: fetched from the public Internet alone, within bounds, and only pictures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from telltale.web import remote_images
from telltale.web.remote_images import NoPictureError, fetch, is_public
from tests.smtp.certificates import Workshop

GIF = b"GIF89a" + b"\0" * 20


class Server(ThreadingHTTPServer):
    """Answers as a test says, and remembers who asked how."""

    daemon_threads = True
    scheme = "http"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.headers: list[dict[str, str]] = []

    @property
    def address(self) -> str:
        return f"{self.scheme}://pictures.example:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        self.server.answers[self.path](self)

    def handle(self) -> None:
        with suppress(OSError):  # whoever we serve may leave
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        monkeypatch.setattr(remote_images, "PORTS", {"http": port, "https": 443})
        monkeypatch.setattr(remote_images, "_public_address", lambda host, port: "127.0.0.1")
        yield server
        server.shutdown()


@pytest.fixture
def secure_server(monkeypatch, tmp_path) -> Iterator[Server]:
    """The same with TLS, for pictures.example."""
    workshop = Workshop(tmp_path)
    assert workshop.client  # writes the file of its authority
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with Server() as server:
        context = workshop.server(workshop.signed("pictures.example"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.scheme = "https"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setitem(remote_images.PORTS, "https", server.server_address[1])
        monkeypatch.setattr(remote_images, "_public_address", lambda host, port: "127.0.0.1")
        yield server
        server.shutdown()


def sends(octets: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(octets)))
        handler.end_headers()
        handler.wfile.write(octets)

    return answer


def test_a_picture_is_fetched_without_a_word_about_who_looks(server):
    server.answers["/a.gif?x=1"] = sends(GIF, **{"Content-Type": "text/html"})

    assert fetch(f"{server.address}/a.gif?x=1") == ("image/gif", GIF)
    [asked] = server.headers
    assert asked["Host"] == "pictures.example"
    assert not {"Cookie", "Referer", "Authorization"} & set(asked)


def test_a_redirect_is_followed_a_few_times(server):
    server.answers["/1"] = sends(b"", 302, Location="/2")
    server.answers["/2"] = sends(GIF)
    server.answers["/loop"] = sends(b"", 302, Location="/loop")

    assert fetch(f"{server.address}/1") == ("image/gif", GIF)
    with pytest.raises(NoPictureError, match="redirected too often"):
        fetch(f"{server.address}/loop")
    assert len(server.headers) == 2 + 4


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sends(b"<svg onload=alert(1)>", **{"Content-Type": "image/png"}), "no picture"),
        (sends(b"no", 404), "answered 404"),
        (sends(b"", 302, Location="file:///etc/passwd"), "only http and https"),
        (sends(b"", 302, Location="http://pictures.example:22/"), "at their own ports"),
        (sends(GIF + b"x" * 6_000_000), "more than 5000000 octets"),
    ],
)
def test_what_is_no_picture_for_us_is_refused_with_a_reason(server, answer, words):
    server.answers["/"] = answer
    with pytest.raises(NoPictureError, match=words):
        fetch(server.address)


def test_a_server_that_trickles_is_left(server, monkeypatch):
    monkeypatch.setattr(remote_images, "SECONDS", 0.3)
    gone = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not gone.wait(0.02):
            try:
                handler.wfile.write(GIF * 4_000)
            except OSError:
                return

    server.answers["/"] = trickle
    with pytest.raises(NoPictureError, match=r"takes too long|more than"):
        fetch(server.address)
    gone.set()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("where", ["header", "body"])
def test_a_server_that_gives_one_octet_at_a_time_is_left_in_time(
    server, secure_server, monkeypatch, where, scheme
):
    """Each of its octets comes soon enough; all of them never do."""
    monkeypatch.setattr(remote_images, "SECONDS", 0.5)
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        begun = b"HTTP/1.0 200 OK\r\nX-Slow: " if where == "header" else b"HTTP/1.0 200 OK\r\n\r\nGIF89a"
        handler.wfile.write(begun)
        while not gone.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    asked = server if scheme == "http" else secure_server
    asked.answers["/"] = drip
    with pytest.raises(NoPictureError, match="takes too long"):
        fetch(asked.address)  # for ever, where each octet began a new patience
    gone.set()


def test_a_server_that_takes_the_connection_and_greets_nobody_is_left(server, monkeypatch):
    monkeypatch.setattr(remote_images, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(remote_images, "PORTS", {"https": silent.getsockname()[1]})
        with pytest.raises(NoPictureError, match="takes too long"):
            fetch(f"https://pictures.example:{silent.getsockname()[1]}/")


def test_tls_is_spoken_with_the_name_and_its_certificate_has_to_hold(secure_server, monkeypatch):
    secure_server.answers["/"] = sends(GIF)
    assert fetch(secure_server.address) == ("image/gif", GIF)

    with pytest.raises(NoPictureError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(secure_server.address.replace("pictures.", "others."))


@pytest.mark.parametrize(
    "address",
    [
        "ftp://pictures.example/",
        "http://pictures.example:25/",
        "http:///a",
        "http://[::1",
        "javascript:x",
        "http://",
    ],
)
def test_other_addresses_are_not_asked(address):
    with pytest.raises(NoPictureError):
        fetch(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0", "[::1]", "169.254.169.254", "10.0.0.1", "2130706433"]
)
def test_our_own_network_is_not_asked(host):
    with pytest.raises(NoPictureError):
        fetch(f"http://{host}/")


@pytest.mark.parametrize(
    "ip",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.1",
            "224.0.0.1",
        ),
        *(
            "0.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1%eth0",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
        ),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_special_addresses_are_not_public_in_whatever_form(ip):
    assert not is_public(ip)


@pytest.mark.parametrize(
    "ip", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"]
)
def test_others_are(ip):
    assert is_public(ip)
