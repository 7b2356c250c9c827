"""Every setting of the desk: one table, read from environment variables.

Rule 1: a setting stands here and nowhere else; docs/settings.md is written from this table.
Rule 2: all that is wrong is said at once, each with the variable's name and what it should be.
Rule 3: no Django here, so that the command line answers quickly.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints
from urllib.parse import urlsplit

PREFIX = "TELLTALE_"
_SHORTEST_SECRET = 32  # characters; Django's own check asks for 50, which token_urlsafe(48) gives us
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
# RFC 952 and RFC 1123 section 2.1, with the underscore that container networks use.
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.IGNORECASE
)


class HostPort(NamedTuple):
    """Where a socket listens, or whom to ask."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(ValueError):
    """What is wrong with the environment, a sentence for each variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str  # the environment variable
    parse: Callable[[str], Any]  # raises ValueError
    _: KW_ONLY
    should_be: str  # ends the sentence "it should be …"
    default: str | Callable[[Mapping[str, str]], str] = ""  # may depend on the variables that are set
    default_in_words: str = ""  # where the default itself does not say enough
    doc: str
    example: str
    is_secret: bool = False

    def value_in(self, variables: Mapping[str, str]) -> Any:
        default = self.default if isinstance(self.default, str) else self.default(variables)
        return self.parse(variables.get(self.name) or default)

    def complaint(self, value: str) -> str:
        if not value:
            shown = "is not set, and has no default here"
        else:
            shown = f"has {len(value)} characters" if self.is_secret else f'is "{value}"'
        return f"{self.name} {shown}: it should be {self.should_be}, such as {self.example}"


def load(variables: Mapping[str, str] = os.environ) -> Environment:
    """The settings that these variables make; an empty variable counts as one that is not set.

    Raises SettingsError, which names every variable that is wrong or unknown.
    """
    values: dict[str, Any] = {}
    problems, wrong_defaults = list(_unknown(variables)), list[str]()
    for field_name, setting in TABLE.items():
        value = variables.get(setting.name, "")
        try:
            values[field_name] = setting.value_in(variables)
        except ValueError:
            (problems if value else wrong_defaults).append(setting.complaint(value))
    # A default is wrong through another variable, which is complained about itself, or for want of a home folder.
    if problems or wrong_defaults:
        raise SettingsError(problems or wrong_defaults)
    return Environment(**values)


def _unknown(variables: Mapping[str, str]) -> Iterator[str]:
    known = [
        setting.name.removeprefix(PREFIX) for setting in TABLE.values() if setting.name.startswith(PREFIX)
    ]
    for variable in sorted(variables):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"{variable} is no setting of Telltale" + (
                f"; did you mean {PREFIX}{near[0]}?" if near else ""
            )


def _database(value: str) -> str:
    if value:
        from psycopg import ProgrammingError  # slow to import, and seldom needed
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(value)
        except ProgrammingError as error:
            raise ValueError("no conninfo") from error
    return value


def _secret(value: str) -> str:
    if value and len(value) < _SHORTEST_SECRET:
        raise ValueError("too short")
    return value


def _secrets(value: str) -> tuple[str, ...]:
    return tuple(_secret(secret) for secret in value.split(",") if secret)


def _folder(value: str) -> Path:
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError("nobody has this home folder") from error
    if not path.is_absolute():
        raise ValueError("a relative path means another folder in each process")
    return path


def _readable_file(value: str) -> Path | None:
    if not value:
        return None
    path = _folder(value)
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError("cannot be read") from error
    return path


def _existing_folder(value: str) -> Path | None:
    if not value:
        return None
    path = _folder(value)
    try:
        is_folder = path.is_dir()
    except OSError as error:  # below a folder that we may not enter
        raise ValueError("out of reach") from error
    if not is_folder:
        raise ValueError("no folder")
    return path


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.removeprefix("[").removesuffix("]")))
    except ValueError:
        return _host_name(value)


def _host_name(value: str) -> str:
    if value and not _HOST_NAME.fullmatch(value):
        raise ValueError("no host name")
    return value


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not lowest <= number <= highest:
            raise ValueError("out of range")
        return number

    return parse


_port = _number(1, 65_535)


def _host_port(value: str) -> HostPort:
    host, _, port = value.rpartition(":")
    if not host or (":" in host and not host.startswith("[")):
        raise ValueError("no host")
    return HostPort(_host(host), _port(port))


def _optional_host_port(value: str) -> HostPort | None:
    return _host_port(value) if value else None


def _names(value: str) -> tuple[str, ...]:
    return tuple(_host_name(one.strip().lower()) for one in value.split(",") if one.strip())


def _networks(value: str) -> tuple[Network, ...]:
    """Raises ValueError also for a network that begins in the middle: 10.0.0.1/8 may be meant as either."""
    return tuple(ipaddress.ip_network(one.strip()) for one in value.split(",") if one.strip())


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("no base URL")
    if parts.username is not None or not parts.hostname or parts.port == 0:
        raise ValueError("no host")
    _host(parts.hostname)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _bool(value: str) -> bool:
    if value.lower() not in (*_YES, *_NO):
        raise ValueError("neither yes nor no")
    return value.lower() in _YES


def _size(value: str) -> int:
    found = re.fullmatch(r"(\d{1,12}) *([kmg]i?b|)", value.strip().lower())
    if not found or int(found[1]) == 0:
        raise ValueError("no size")
    return int(found[1]) * _SIZES[found[2]]


def _duration(value: str) -> timedelta:
    duration = _duration_or_none(value)
    if not duration:
        raise ValueError("nothing happens in no time")
    return duration


def _duration_or_none(value: str) -> timedelta:
    if not re.fullmatch(r"(\d{1,6}[smhd])+", value):
        raise ValueError("no duration")
    return sum(
        (timedelta(**{_UNITS[unit]: int(number)}) for number, unit in re.findall(r"(\d+)([smhd])", value)),
        timedelta(),
    )


def _log_level(value: str) -> str:
    if value.upper() not in _LOG_LEVELS:
        raise ValueError("no log level")
    return value.upper()


def _default_data(variables: Mapping[str, str]) -> str:
    if os.geteuid() == 0:
        return "/var/lib/telltale"
    own = variables.get("XDG_DATA_HOME", "")  # the XDG specification: ignore it where it is relative
    return str(Path(own if own.startswith("/") else "~/.local/share") / "telltale")


def _default_url(variables: Mapping[str, str]) -> str:
    host = variables.get("TELLTALE_HOST") or "127.0.0.1"
    if host in ("0.0.0.0", "::", "[::]"):  # noqa: S104  (every address of the machine is none to open)
        host = "127.0.0.1"
    port = variables.get("TELLTALE_PORT") or "8000"
    return f"http://[{host}]:{port}" if ":" in host and "[" not in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The settings in force. This class is the table: each field is one variable."""

    database_url: Annotated[
        str,
        Setting(
            "DATABASE_URL",
            _database,
            should_be="a PostgreSQL URL or connection string",
            default_in_words="empty: an own PostgreSQL in the data folder",
            doc="Which PostgreSQL (15 or newer) holds the desk. Empty: Telltale starts one of its own. "
            "It has to write what it confirms (`synchronous_commit` other than `off`). "
            "A pooler before it has to pool sessions, not transactions: the desk listens for notifications.",
            example="postgresql://telltale:password@db.example.com/telltale",
            is_secret=True,
        ),
    ] = field(repr=False)
    secret_key: Annotated[
        str,
        Setting(
            "SECRET_KEY",
            _secret,
            should_be=f"{_SHORTEST_SECRET} characters or more that nobody can guess",
            default_in_words="empty: one is made and kept in the data folder",
            doc="Signs sessions, sign-in links and return paths. The same on every machine of one desk.",
            example="the output of: openssl rand -base64 48",
            is_secret=True,
        ),
    ] = field(repr=False)
    earlier_secret_keys: Annotated[
        tuple[str, ...],
        Setting(
            "TELLTALE_EARLIER_SECRET_KEYS",
            _secrets,
            should_be=f"keys of {_SHORTEST_SECRET} characters or more each, with commas between",
            doc="Keys that were SECRET_KEY before. What they signed still holds: bounces come days later.",
            example="earlier-key-of-32-characters-or-more",
            is_secret=True,
        ),
    ] = field(repr=False)
    data: Annotated[
        Path,
        Setting(
            "TELLTALE_DATA",
            _folder,
            should_be="the full path of a folder",
            default=_default_data,
            default_in_words="`~/.local/share/telltale`; for root `/var/lib/telltale`",
            doc="Where the desk keeps attachments, raw mail, logs, and its own PostgreSQL where it runs one.",
            example="/srv/telltale",
        ),
    ]
    postgres_bin: Annotated[
        Path | None,
        Setting(
            "TELLTALE_POSTGRES_BIN",
            _existing_folder,
            should_be="an existing folder with initdb and postgres in it",
            default_in_words="empty: the programs that came with Telltale, else the system's",
            doc="Whose programs run the desk's own PostgreSQL. Without meaning where DATABASE_URL is set.",
            example="/usr/lib/postgresql/17/bin",
        ),
    ]
    host: Annotated[
        str,
        Setting(
            "TELLTALE_HOST",
            _host,
            should_be="an address of this machine, or a name for one",
            default="127.0.0.1",
            doc="The address that the web server listens on.",
            example="0.0.0.0",  # noqa: S104  (an example)
        ),
    ]
    port: Annotated[
        int,
        Setting(
            "TELLTALE_PORT",
            _port,
            should_be="a port number from 1 to 65535",
            default="8000",
            doc="The port that the web server listens on.",
            example="8080",
        ),
    ]
    url: Annotated[
        str,
        Setting(
            "TELLTALE_URL",
            _url,
            should_be="an address that begins with http:// or https:// and has no path",
            default=_default_url,
            default_in_words="`http://` with TELLTALE_HOST and TELLTALE_PORT",
            doc="The address that agents type. With https, cookies travel over TLS only.",
            example="https://desk.example.com",
        ),
    ]
    helo: Annotated[
        str,
        Setting(
            "TELLTALE_HELO",
            _host_name,
            should_be="a full host name",
            default_in_words="empty: the full name of this machine",
            doc="The name we give to mail servers (EHLO). It should resolve to the address we send from.",
            example="desk.example.com",
        ),
    ]
    smtp_listen: Annotated[
        HostPort,
        Setting(
            "TELLTALE_SMTP_LISTEN",
            _host_port,
            should_be="an address and a port with a colon between",
            default="127.0.0.1:2525",
            doc="Where the desk takes mail by SMTP: customers' mail and bounces.",
            example="0.0.0.0:25",
        ),
    ]
    lmtp_listen: Annotated[
        HostPort | None,
        Setting(
            "TELLTALE_LMTP_LISTEN",
            _optional_host_port,
            should_be="an address and a port with a colon between",
            default_in_words="empty: no LMTP",
            doc="Where the desk takes mail by LMTP from a mail server of yours: docs/ways-in.md. "
            "Whoever reaches this port is believed: keep it to the machine, or to your own network.",
            example="127.0.0.1:2524",
        ),
    ]
    smtp_connections: Annotated[
        int,
        Setting(
            "TELLTALE_SMTP_CONNECTIONS",
            _number(1, 10_000),
            should_be="a number from 1 to 10000",
            default="200",
            doc="How many connections the SMTP door holds at once; whoever comes then is asked to come again. "
            "One stranger has at most 50 of them, and 120 connections or mails a minute.",
            example="500",
        ),
    ]
    smtp_trusted: Annotated[
        tuple[Network, ...],
        Setting(
            "TELLTALE_SMTP_TRUSTED",
            _networks,
            should_be="networks, with commas between",
            default="127.0.0.0/8,::1/128",
            doc="Where mail servers of your own stand that pass mail on to the desk: "
            "they may come as often and as fast as they like.",
            example="10.1.2.0/24,2001:db8::25",
        ),
    ]
    smtp_proxies: Annotated[
        tuple[Network, ...],
        Setting(
            "TELLTALE_SMTP_PROXIES",
            _networks,
            should_be="networks, with commas between",
            default_in_words="empty: no proxy stands before the SMTP door",
            doc="Where the proxies stand that the SMTP door is behind. Then each connection has to come from there "
            "and to begin with a PROXY header (version 1 or 2), which says who is behind it.",
            example="10.1.2.3",
        ),
    ]
    trusted_results: Annotated[
        tuple[str, ...],
        Setting(
            "TELLTALE_TRUSTED_RESULTS",
            _names,
            should_be="names of servers, with commas between",
            default_in_words="empty: no server of yours checks senders",
            doc="The names by which mail servers of yours write Authentication-Results (RFC 8601) on top of what they "
            "hand over: the desk believes what these say about a sender. At the SMTP door it looks itself.",
            example="mx.example.com",
        ),
    ]
    tls_certificate: Annotated[
        Path | None,
        Setting(
            "TELLTALE_TLS_CERTIFICATE",
            _readable_file,
            should_be="the full path of a file of PEM that the desk may read",
            default_in_words="empty: one of the desk's own making, which no authority has signed",
            doc="The certificate that the SMTP door shows after STARTTLS, with its chain. "
            "A renewed one is read without a restart.",
            example="/etc/letsencrypt/live/desk.example.com/fullchain.pem",
        ),
    ]
    tls_key: Annotated[
        Path | None,
        Setting(
            "TELLTALE_TLS_KEY",
            _readable_file,
            should_be="the full path of a file of PEM that the desk may read",
            default_in_words="empty: it stands in the file of TELLTALE_TLS_CERTIFICATE",
            doc="The private key of TELLTALE_TLS_CERTIFICATE.",
            example="/etc/letsencrypt/live/desk.example.com/privkey.pem",
        ),
    ]
    smtp_port: Annotated[
        int,
        Setting(
            "TELLTALE_SMTP_PORT",
            _port,
            should_be="a port number from 1 to 65535",
            default="25",
            doc="The port of other people's mail servers. Anything but 25 is for tests.",
            example="2526",
        ),
    ]
    dns: Annotated[
        HostPort | None,
        Setting(
            "TELLTALE_DNS",
            _optional_host_port,
            should_be="an address and a port with a colon between",
            default_in_words="empty: the system's resolver",
            doc="The resolver to ask where a domain takes its mail.",
            example="127.0.0.1:5353",
        ),
    ]
    sandbox: Annotated[
        bool,
        Setting(
            "TELLTALE_SANDBOX",
            _bool,
            should_be="yes or no",
            default="no",
            doc="Whether the desk shows the page of sandbox addresses. `telltale demo` turns it on.",
            example="yes",
        ),
    ]
    deliver_concurrency: Annotated[
        int,
        Setting(
            "TELLTALE_DELIVER_CONCURRENCY",
            _number(1, 1000),
            should_be="a number from 1 to 1000",
            default="100",
            doc="How many mails one deliver process sends at the same time; at most 20 of them to one destination.",
            example="50",
        ),
    ]
    max_message_size: Annotated[
        int,
        Setting(
            "TELLTALE_MAX_MESSAGE_SIZE",
            _size,
            should_be="a number of octets, or one with kB, MB, GB, KiB, MiB or GiB",
            default="25MB",
            doc="The largest mail that the desk sends or takes, as on the wire: files grow by a third there.",
            example="50MB",
        ),
    ]
    retry_for: Annotated[
        timedelta,
        Setting(
            "TELLTALE_RETRY_FOR",
            _duration,
            should_be="a number with s, m, h or d behind it",
            default="5d",
            doc="How long a reply is tried again after temporary refusals, before it counts as failed.",
            example="2d12h",
        ),
    ]
    attention_after: Annotated[
        timedelta,
        Setting(
            "TELLTALE_ATTENTION_AFTER",
            _duration,
            should_be="a number with s, m, h or d behind it",
            default="1h",
            doc="How long a reply may be delayed before the agent is told to look.",
            example="30m",
        ),
    ]
    undo_send: Annotated[
        timedelta,
        Setting(
            "TELLTALE_UNDO_SEND",
            _duration_or_none,
            should_be="a number with s or m behind it; 0s for none",
            default="10s",
            doc="How long a reply waits after Send, so that it can be taken back.",
            example="30s",
        ),
    ]
    lease: Annotated[
        timedelta,
        Setting(
            "TELLTALE_LEASE",
            _duration,
            should_be="a number with s, m, h or d behind it",
            default="20s",
            doc="How long a deliver process that fell silent keeps its mails, before another one takes them.",
            example="2m",
        ),
    ]
    log_level: Annotated[
        str,
        Setting(
            "TELLTALE_LOG_LEVEL",
            _log_level,
            should_be="DEBUG, INFO, WARNING, ERROR or CRITICAL",
            default="INFO",
            doc="How much the logs tell.",
            example="DEBUG",
        ),
    ]

    @property
    def helo_name(self) -> str:
        """The name for EHLO. May ask the resolver for the name of this machine: call it once."""
        return self.helo or socket.getfqdn()


TABLE: dict[str, Setting] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Environment, include_extras=True).items()
}


def markdown() -> str:
    """docs/settings.md."""
    return _HEAD + "\n".join(_section(setting) for setting in TABLE.values())


_HEAD = """\
# Settings

<!-- Written by `telltale settings --markdown` from src/telltale/config/environment.py. -->

Every setting is an environment variable. An empty variable counts as one that is not set. A wrong value, and
a `TELLTALE_` variable that does not exist, stops the start with a sentence that says what it should be.
`telltale settings` shows the values in force.

"""


def _section(setting: Setting) -> str:
    return f"""\
## {setting.name}

{setting.doc}

- Should be: {setting.should_be}
- Default: {setting.default_in_words or _default_of(setting)}
- Example: `{setting.example}`
"""


def _default_of(setting: Setting) -> str:
    return f"`{setting.default}`" if setting.default else "empty"
