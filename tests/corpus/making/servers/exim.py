"""Exim, with a configuration of our own: deliver locally or to the MX, and tell."""

from __future__ import annotations

from .server import Server

_CONFIGURATION = r"""
primary_hostname = mx.lamp.example
domainlist local_domains = lamp.example : mx.lamp.example
hostlist relay_from = 127.0.0.1 : 192.0.2.0/24
qualify_domain = lamp.example
acl_smtp_rcpt = accept_all
daemon_smtp_ports = 25
local_interfaces = 192.0.2.10
disable_ipv6 = true
dns_again_means_nonexist =
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
delay_warning = 5s:1h
ignore_bounce_errors_after = 1m
queue_run_max = 5
tls_advertise_hosts =
keep_environment =
never_users = root
received_headers_max = 10
queue_only = false

begin acl
accept_all:
  accept

begin routers
aliases:
  driver = redirect
  domains = +local_domains
  data = ${lookup{$local_part}lsearch{/etc/aliases}}
  allow_fail
  user = nobody
  group = nogroup
  pipe_transport = address_pipe
local_user:
  driver = accept
  domains = +local_domains
  check_local_user
  transport = local_delivery
  cannot_route_message = Unknown user
mx:
  driver = dnslookup
  domains = ! +local_domains
  transport = remote_smtp
  ignore_target_hosts = 0.0.0.0 : 127.0.0.0/8
  no_more

begin transports
remote_smtp:
  driver = smtp
  interface = 192.0.2.10
local_delivery:
  driver = appendfile
  file = /var/mail/$local_part_data
  quota = 2K
  delivery_date_add
  envelope_to_add
  return_path_add
  group = mail
  mode = 0660
address_pipe:
  driver = pipe
  return_output

begin retry
*  quota
*  *  F,20s,2s
"""
_ALIASES = """\
sales: nobody@paper.example
robot: |/bin/sh -c "echo The robot has no more paper.; exit 70"
"""
_ID = r"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}"

EXIM = Server(
    name="exim",
    packages=("exim4-daemon-light",),
    files={"/etc/exim4/exim4.conf": _CONFIGURATION, "/etc/aliases": _ALIASES},
    prepare="chown root:Debian-exim /etc/exim4/exim4.conf; chmod 640 /etc/exim4/exim4.conf",
    start="exim4 -bd -q1h",
    nudge="exim4 -qff",
    changing={
        r"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}": "1xAbCd-0002Ef-3G",
        r"(?<=boundary=)[0-9]+(?=-eximdsn)": "1793620800",
        r"(?<=-eximdsn-)[0-9]+": "846930886",
    },
    cases=(
        "no-such-user",
        "no-such-user-dsn",
        "several-fates",
        "full",
        "no-enhanced-code",
        "latin-1-reply",
        "wordy",
        "spam",
        "too-large",
        "greeting",
        "null-mx",
        "unknown-domain",
        "no-address",
        "greylisted",
        "connection-lost",
        "closed-for-the-night",
        "unreachable",
        "local-unknown",
        "local-full",
        "program-fails",
        "alias",
        "loop",
        "utf-8-refused",
        "success-local",
        "success-relayed",
    ),
)
